//! Nothing waits for ever.

use proptest::prelude::*;

use super::*;

#[test]
fn what_has_a_low_priority_gets_older_until_it_is_first() {
    let fairness = Fairness { step: Duration::from_secs(1), ..Fairness::default() };
    let mut machine = Machine::new(fairness, slots(1));
    let low = machine.submit(Entry { priority: priority(-100), ..entry("a", 0) }, 100);
    let high = machine.submit(Entry { priority: priority(1), ..entry("a", 500) }, 100);
    let same = machine.submit(entry("a", 0), 100);
    assert_eq!([machine.step(), machine.step()], [Some(high), Some(same)]);
    while !machine.begun.contains_key(&low) {
        machine.submit(Entry { priority: priority(100), ..entry("a", machine.now) }, 100);
        machine.submit(Entry { priority: priority(100), ..entry("a", machine.now) }, 100);
        machine.step();
        // 200 points of a second each, and twice as much comes as is worked off.
        assert!(machine.now <= 410_000, "it still waits");
    }
    assert!(machine.now >= 200_000, "its priority did not count: {}", machine.now);
}

#[test]
fn what_is_large_gets_what_it_is_short_of_reserved() {
    let limits = slots(8).with(Resource::Memory, 8);
    let mut machine = Machine::new(patient(5000), limits);
    let claims = |memory| slot().with(Resource::Memory, memory);
    let mut dice = Dice(11);
    let mut small = |machine: &mut Machine, name: &str| {
        let takes = 100 + dice.below(1000);
        machine.submit(Entry { claims: claims(1), ..entry(name, machine.now) }, takes);
    };
    for _ in 0..20 {
        small(&mut machine, "b");
    }
    machine.step();
    let large = machine.submit(Entry { claims: claims(8), ..entry("a", machine.now) }, 100);
    let mut without = 0;
    while !machine.begun.contains_key(&large) {
        for name in ["a", "b", "c"] {
            small(&mut machine, name);
        }
        // What claims no memory goes on.
        machine.slot_of("c", 50);
        without += usize::from(machine.step().is_some_and(|ticket| machine.known[&ticket].1 == 50));
        assert!(machine.now < 20_000, "it still waits");
    }
    assert!(machine.now > 5000 && without > 0);
}

#[test]
fn the_next_of_the_same_kind_has_a_patience_of_its_own() {
    let mut machine = Machine::new(patient(1000), slots(8).with(Resource::Memory, 8));
    let claims = |memory| slot().with(Resource::Memory, memory);
    machine.submit(Entry { claims: claims(1), ..entry("b", 0) }, 2000);
    machine.start();
    let large = [0; 2].map(|_| machine.submit(Entry { claims: claims(8), ..entry("a", 0) }, 10));
    machine.submit(Entry { claims: claims(1), ..entry("b", 0) }, 10);
    machine.step();
    let overdue = |machine: &Machine| machine.queue.overdue(Timestamp(machine.now)).len();
    assert_eq!((machine.now, overdue(&machine)), (10, 0));
    machine.step();
    assert_eq!((machine.now, overdue(&machine)), (2000, 1));
    machine.start();
    assert!(machine.begun.contains_key(&large[0]) && !machine.begun.contains_key(&large[1]));
    assert_eq!(overdue(&machine), 0);
}

#[test]
fn nothing_is_kept_for_what_only_an_operator_can_let_go_on() {
    let limits = slots(8).with(Resource::Memory, 8);
    let mut machine = Machine::new(patient(0), limits);
    let claims = |memory| slot().with(Resource::Memory, memory);
    let backend = Resource::Backend(crate::BackendId::new("closed"));
    machine.submit(Entry { claims: claims(1), ..entry("b", 0) }, 10);
    machine.start();
    machine.submit(Entry { claims: claims(8).with(backend.clone(), 1), ..entry("a", 0) }, 1);
    machine.submit(Entry { claims: claims(8), ..entry("a", 0) }, 1);
    machine.submit(Entry { claims: claims(1), ..entry("b", 0) }, 10);
    machine.start();
    // Both were passed over, and there is no patience.
    assert_eq!(machine.queue.overdue(Timestamp(0)).len(), 2);
    machine.queue.hold(&backend, true);
    machine.queue.set_limit(Resource::Memory, Some(7));
    for _ in 0..50 {
        machine.submit(Entry { claims: claims(1), ..entry("b", 0) }, 10);
    }
    for _ in 0..50 {
        assert!(machine.step().is_some(), "something is kept back");
    }
    assert_eq!(machine.queue.waiting(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn everybody_starts_in_bounded_time_whatever_else_comes(
        seed in any::<u64>(), memory in 1..=16_u64, number in -100..=100_i64, few in 1..5_u64,
    ) {
        let fairness = Fairness { step: Duration::from_millis(100), ..patient(10_000) };
        let mut machine = Machine::new(fairness, slots(few).with(Resource::Memory, 16));
        let mut dice = Dice(seed);
        let crowd = |machine: &mut Machine, dice: &mut Dice| {
            for name in ["a", "b"] {
                // All of them want the one and the same in every way, only sooner and less.
                while machine.waiting_of(name) < 8 {
                    let claims = slot().with(Resource::Memory, 1 + dice.below(4));
                    let takes = 1 + dice.below(1000);
                    let entry = Entry { claims, priority: priority(100), ..entry(name, machine.now) };
                    machine.submit(entry, takes);
                }
            }
        };
        for _ in 0..100 {
            crowd(&mut machine, &mut dice);
            machine.step();
        }
        let came = machine.now;
        let claims = slot().with(Resource::Memory, memory);
        let one = machine.submit(Entry { claims, priority: priority(number), ..entry("a", came) }, 10);
        while !machine.begun.contains_key(&one) {
            crowd(&mut machine, &mut dice);
            machine.step();
            prop_assert!(machine.now - came < 60_000, "it still waits after {}", machine.now - came);
        }
    }

    #[test]
    fn those_with_the_same_key_never_overlap(seed in any::<u64>(), lengths in prop::collection::vec((0..3_usize, 1..50_u64), 1..60)) {
        let mut machine = Machine::new(Fairness::default(), slots(8));
        let mut dice = Dice(seed);
        let mut keys = BTreeMap::new();
        for (key, takes) in lengths {
            let name = ["a", "b"][usize::try_from(dice.below(2)).expect("small")];
            let claims = slot().with(Resource::Key(format!("{key}")), 1);
            keys.insert(machine.submit(Entry { claims, ..entry(name, 0) }, takes), key);
        }
        while machine.step().is_some() {}
        let mut spans: Vec<_> = keys.iter().map(|(ticket, key)| {
            let begun = machine.begun[ticket];
            (*key, begun, begun + machine.known[ticket].1)
        }).collect();
        spans.sort_unstable();
        for pair in spans.windows(2) {
            prop_assert!(pair[0].0 != pair[1].0 || pair[0].2 <= pair[1].1, "{pair:?}");
        }
    }
}
