//! The queue beside a model that keeps a list, under random calls.

use proptest::prelude::*;

use super::{super::Refusal, *};
use crate::BackendId;

#[derive(Clone, Debug)]
enum Call {
    Push { ticket: u8, tenant: usize, priority: i64, back: u64, claims: Vec<(usize, u64)> },
    Pop,
    Release(u8),
    Remove(u8),
    Limit(usize, Option<u64>),
    Hold(usize, bool),
    Drain(usize),
    Step(u64),
    Weigh(usize, u32),
}

fn resources() -> Vec<Resource> {
    vec![
        Resource::Slots,
        Resource::Memory,
        Resource::Disk,
        Resource::Backend(BackendId::new("one")),
        Resource::Key("serial".into()),
        Resource::Tenant(tenant("b")),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let resource = || 0..resources().len();
    let claims = prop::collection::vec((resource(), 0..5_u64), 0..4);
    let push = (any::<u8>(), 0..3_usize, -100..=100_i64, 0..100_u64, claims).prop_map(
        |(ticket, tenant, priority, back, claims)| Call::Push {
            ticket: ticket % 64,
            tenant,
            priority,
            back,
            claims,
        },
    );
    prop_oneof![
        6 => push,
        6 => Just(Call::Pop),
        5 => (0..64_u8).prop_map(Call::Release),
        1 => (0..64_u8).prop_map(Call::Remove),
        1 => (resource(), prop::option::of(0..8_u64)).prop_map(|(which, limit)| Call::Limit(which, limit)),
        1 => (resource(), any::<bool>()).prop_map(|(which, held)| Call::Hold(which, held)),
        1 => resource().prop_map(Call::Drain),
        3 => (0..500_u64).prop_map(Call::Step),
        1 => (0..3_usize, 1..5_u32).prop_map(|(tenant, weight)| Call::Weigh(tenant, weight)),
    ]
}

#[derive(Default)]
struct Model {
    waiting: BTreeMap<u8, Entry>,
    running: BTreeMap<u8, Entry>,
    limits: Limits,
    held: Vec<Resource>,
}

impl Model {
    fn taken(&self, resource: &Resource) -> u64 {
        self.running.values().map(|entry| entry.claims.of(resource)).sum()
    }

    fn short(&self, claims: &Claims) -> Vec<Resource> {
        let all = resources().into_iter();
        let short = |resource: &Resource| {
            let asked = claims.of(resource);
            asked > 0 && self.limits.of(resource).is_some_and(|limit| self.taken(resource) + asked > limit)
        };
        all.filter(short).collect()
    }

    fn may_start(&self, claims: &Claims) -> bool {
        self.short(claims).is_empty() && self.held.iter().all(|held| claims.of(held) == 0)
    }
}

/// Looks whether the queue says of itself what the model says of it.
fn agree(queue: &FairQueue<u8>, model: &Model, now: u64) -> Result<(), TestCaseError> {
    prop_assert_eq!(queue.waiting(), model.waiting.len());
    prop_assert_eq!(queue.running(), model.running.len());
    let taken: BTreeMap<Resource, u64> =
        queue.taken().map(|(resource, taken)| (resource.clone(), taken)).collect();
    let sum = resources().into_iter().map(|resource| (resource.clone(), model.taken(&resource)));
    prop_assert_eq!(taken, sum.filter(|(_, taken)| *taken > 0).collect::<BTreeMap<_, _>>());
    let places: BTreeMap<u8, _> = queue.places(Timestamp(now)).into_iter().collect();
    prop_assert!(places.keys().eq(model.waiting.keys()));
    for (name, counts) in queue.counts() {
        let of =
            |entries: &BTreeMap<u8, Entry>| entries.values().filter(|entry| entry.tenant == name).count();
        prop_assert_eq!((counts.waiting, counts.running), (of(&model.waiting), of(&model.running)));
    }
    Ok(())
}

fn popped(queue: &mut FairQueue<u8>, model: &mut Model, now: u64) -> Result<bool, TestCaseError> {
    let overdue = queue.overdue(Timestamp(now));
    let overdue: Vec<Claims> = overdue.into_iter().map(|(_, claims, _)| claims.as_ref().clone()).collect();
    let Some(ticket) = queue.pop(Timestamp(now)) else {
        let kept: Vec<Resource> = overdue.iter().flat_map(|claims| model.short(claims)).collect();
        for entry in model.waiting.values().filter(|entry| model.may_start(&entry.claims)) {
            prop_assert!(kept.iter().any(|kept| entry.claims.of(kept) > 0), "{entry:?} could start");
        }
        return Ok(false);
    };
    let entry = model.waiting.remove(&ticket).expect("it waits");
    prop_assert!(model.may_start(&entry.claims), "{entry:?} was started");
    model.running.insert(ticket, entry);
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_or_started_twice_and_what_is_taken_is_what_runs(
        calls in prop::collection::vec(call(), 0..300), patience in 0..2000_u64,
    ) {
        let (mut model, mut now) = (Model::default(), 1000);
        let mut queue = FairQueue::new(patient(patience), Limits::default());
        for call in calls {
            match call {
                Call::Push { ticket, tenant: whose, priority: number, back, claims } => {
                    let add = |sum: Claims, (which, amount): (usize, u64)| sum.with(resources()[which].clone(), amount);
                    let claims = claims.into_iter().fold(Claims::default(), add);
                    let arrived = Timestamp(now - back.min(now));
                    let entry = Entry { tenant: tenant(["a", "b", "c"][whose]), priority: priority(number), arrived, claims };
                    let known = model.waiting.contains_key(&ticket) || model.running.contains_key(&ticket);
                    match queue.push(ticket, entry.clone(), Timestamp(now)) {
                        Ok(()) => {
                            prop_assert!(!known);
                            model.waiting.insert(ticket, entry);
                        }
                        Err(Refusal::Known) => prop_assert!(known),
                        Err(Refusal::TooLarge { resource, asked, limit }) => {
                            prop_assert!(asked > limit && entry.claims.of(&resource) == asked);
                            prop_assert!(model.limits.of(&resource).is_some_and(|now| now <= limit));
                        }
                    }
                }
                Call::Pop => { popped(&mut queue, &mut model, now)?; }
                Call::Release(ticket) => {
                    prop_assert_eq!(queue.release(&ticket, Timestamp(now)), model.running.remove(&ticket).is_some());
                    prop_assert!(!queue.release(&ticket, Timestamp(now)));
                }
                Call::Remove(ticket) => {
                    prop_assert_eq!(queue.remove(&ticket), model.waiting.remove(&ticket).is_some());
                    prop_assert!(!queue.remove(&ticket));
                }
                Call::Limit(which, limit) => {
                    queue.set_limit(resources()[which].clone(), limit);
                    model.limits.set(resources()[which].clone(), limit);
                }
                Call::Hold(which, held) => {
                    queue.hold(&resources()[which], held);
                    model.held.retain(|other| *other != resources()[which]);
                    model.held.extend(held.then(|| resources()[which].clone()));
                }
                Call::Drain(which) => for ticket in queue.drain(&resources()[which]) {
                    prop_assert!(model.waiting.remove(&ticket).is_some());
                },
                Call::Step(time) => now += time,
                Call::Weigh(whose, weight) => {
                    queue.set_weight(&tenant(["a", "b", "c"][whose]), weight.try_into().expect("not zero"));
                }
            }
            agree(&queue, &model, now)?;
        }
        for resource in resources() {
            queue.hold(&resource, false);
        }
        model.held.clear();
        // What was let in when there was more of the key has to get it once more.
        model.limits = Limits::default().with(resources()[4].clone(), 10);
        queue.set_limits(model.limits.clone());
        while queue.waiting() > 0 {
            let some = popped(&mut queue, &mut model, now)?;
            prop_assert!(some || !model.running.is_empty());
            now += 10_000;
            for ticket in std::mem::take(&mut model.running).into_keys() {
                prop_assert!(queue.release(&ticket, Timestamp(now)));
            }
        }
        for ticket in std::mem::take(&mut model.running).into_keys() {
            prop_assert!(queue.release(&ticket, Timestamp(now)));
        }
        agree(&queue, &model, now)?;
        prop_assert_eq!(queue.taken().count(), 0);
        prop_assert!(queue.counts().is_empty());
    }
}

#[test]
fn what_can_never_start_is_refused_and_what_only_cannot_now_waits() {
    let mut queue = FairQueue::new(Fairness::default(), slots(2).with(Resource::Memory, 8));
    let large = |resource: Resource, amount| Entry { claims: slot().with(resource, amount), ..entry("a", 0) };
    let refused = queue.push(1, large(Resource::Memory, 9), Timestamp(0)).expect_err("too large");
    assert_eq!(refused, Refusal::TooLarge { resource: Resource::Memory, asked: 9, limit: 8 });
    assert_eq!(refused.to_string(), "asked for 9 bytes of memory, where there are never more than 8");
    assert!(queue.push(1, large(Resource::Slots, 3), Timestamp(0)).is_err());
    // Memory that is short now may be back in a minute; a setting does not come back by itself.
    queue.set_limit(Resource::Memory, Some(4));
    queue.set_limit(Resource::Slots, Some(1));
    assert_eq!(queue.push(1, large(Resource::Memory, 8), Timestamp(0)), Ok(()));
    assert!(queue.push(2, large(Resource::Slots, 2), Timestamp(0)).is_err());
    assert_eq!(queue.pop(Timestamp(0)), None);
    queue.set_limit(Resource::Memory, Some(8));
    assert_eq!(queue.pop(Timestamp(0)), Some(1));
}

#[test]
fn a_limit_below_what_is_taken_stops_nothing_and_starts_nothing() {
    let mut queue = FairQueue::new(Fairness::default(), Limits::default().with(Resource::Disk, 10));
    let claims = Claims::default().with(Resource::Disk, 4);
    for ticket in 0..4 {
        let entry = Entry { claims: claims.clone(), ..entry("a", 0) };
        queue.push(ticket, entry, Timestamp(0)).expect("taken");
    }
    assert_eq!(
        (queue.pop(Timestamp(0)), queue.pop(Timestamp(0)), queue.pop(Timestamp(0))),
        (Some(0), Some(1), None)
    );
    queue.set_limit(Resource::Disk, Some(5));
    assert!(queue.release(&0, Timestamp(1)));
    assert_eq!(queue.pop(Timestamp(1)), None);
    assert!(queue.release(&1, Timestamp(2)));
    assert_eq!((queue.pop(Timestamp(2)), queue.pop(Timestamp(2))), (Some(2), None));
}

#[test]
fn ten_thousand_that_wait_are_cheap() {
    let begun = std::time::Instant::now();
    let mut machine = Machine::new(Fairness::default(), slots(64).each_tenant(40));
    let mut dice = Dice(7);
    for number in 0..10_000 {
        let name = ["a", "b", "c", "d", "e"][number % 5];
        let memory = [1, 2, 4, 8][usize::try_from(dice.below(4)).expect("small")];
        let claims = slot().with(Resource::Tenant(tenant(name)), 1).with(Resource::Memory, memory);
        let takes = 1 + dice.below(500);
        machine.submit(Entry { claims, ..entry(name, number as u64) }, takes);
    }
    assert_eq!(machine.queue.places(Timestamp(0)).len(), 10_000);
    let mut ended = 0;
    while machine.step().is_some() {
        ended += 1;
    }
    assert_eq!(ended, 10_000);
    // Looking at all that waits for each that starts would take minutes.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
