//! What each tenant gets beside the others.

use proptest::prelude::*;

use super::*;

/// Keeps all tenants busy until so many have ended.
fn keep_busy(machine: &mut Machine, tenants: &[(&str, u64)], ends: usize, dice: &mut Dice) {
    for _ in 0..ends {
        for (name, longest) in tenants {
            while machine.waiting_of(name) < 3 {
                let takes = 1 + dice.below(*longest);
                machine.slot_of(name, takes);
            }
        }
        machine.step().expect("something runs");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn over_a_long_time_everybody_gets_the_share_of_the_weight(
        seed in any::<u64>(), count in 1..9_u64,
        tenants in prop::collection::vec((1..6_u32, prop::sample::select(vec![200_u64, 1000, 5000])), 2..5),
    ) {
        let names = ["a", "b", "c", "d", "e"];
        let mut machine = Machine::new(Fairness::default(), slots(count));
        let mut dice = Dice(seed);
        for (name, (weight, _)) in names.iter().zip(&tenants) {
            machine.queue.set_weight(&tenant(name), (*weight).try_into().expect("not zero"));
        }
        let busy: Vec<(&str, u64)> = names.iter().copied().zip(tenants.iter().map(|(_, longest)| *longest)).collect();
        // Until the longest has had its share many times over.
        while tenants.iter().zip(names).any(|((_, longest), name)| machine.used_by(name) < longest * 150) {
            keep_busy(&mut machine, &busy, 100, &mut dice);
        }
        let (all, weights): (u64, u32) = (machine.used.values().sum(), tenants.iter().map(|(weight, _)| weight).sum());
        for (name, (weight, _)) in names.iter().zip(&tenants) {
            let due = all * u64::from(*weight) / u64::from(weights);
            let used = machine.used_by(name);
            prop_assert!(used.abs_diff(due) * 10 <= due, "{name} used {used} of {due}: {:?}", machine.used);
        }
    }
}

#[test]
fn who_comes_later_gets_a_share_and_not_all() {
    let mut machine = Machine::new(Fairness::default(), slots(4));
    let mut dice = Dice(1);
    keep_busy(&mut machine, &[("early", 1000)], 4000, &mut dice);
    let before = machine.used_by("early");
    keep_busy(&mut machine, &[("early", 1000), ("late", 1000)], 1000, &mut dice);
    let early = machine.used_by("early") - before;
    let late = machine.used_by("late");
    assert!(early.abs_diff(late) * 10 < late, "{early} and {late}");
}

#[test]
fn who_comes_later_begins_soon_though_nothing_of_it_was_seen_yet() {
    let mut machine = Machine::new(Fairness::default(), slots(4));
    let mut dice = Dice(1);
    // All take much less than is guessed before anything is known.
    keep_busy(&mut machine, &[("early", 200)], 4000, &mut dice);
    let before = machine.used_by("early");
    keep_busy(&mut machine, &[("early", 200), ("late", 200)], 60, &mut dice);
    let early = machine.used_by("early") - before;
    let late = machine.used_by("late");
    assert!(early.abs_diff(late) * 3 < late, "{early} and {late}");
}

#[test]
fn who_goes_away_for_a_moment_keeps_what_it_had() {
    let mut machine = Machine::new(Fairness::default(), slots(1));
    machine.slot_of("greedy", 100_000);
    machine.start();
    machine.slot_of("modest", 10);
    machine.step();
    // Its long one has ended; it has nothing here while the other waits and runs.
    for _ in 0..20 {
        machine.slot_of("modest", 10);
        machine.slot_of("modest", 10);
    }
    machine.step();
    machine.slot_of("greedy", 100_000);
    let mut before = 0;
    while machine.running_of("greedy") == 0 {
        machine.step();
        machine.start();
        before += 1;
    }
    assert!(before > 5, "it came back after {before}");
}

#[test]
fn a_debt_outlives_a_moment_of_absence() {
    let mut machine = Machine::new(Fairness::default(), slots(2));
    let mut dice = Dice(3);
    // Three tenants on two slots: the first takes one for very long, so the others have had less.
    machine.slot_of("greedy", 1_000_000);
    machine.start();
    while machine.now < 1_000_000 {
        keep_busy(&mut machine, &[("b", 1000), ("c", 1000)], 10, &mut dice);
    }
    let had = machine.used_by("greedy") + machine.used_by("b") + machine.used_by("c");
    while machine.used_by("greedy") < 1_001_000 && machine.now < 1_400_000 {
        keep_busy(&mut machine, &[("greedy", 1000), ("b", 1000), ("c", 1000)], 10, &mut dice);
    }
    // b and c had half of what the first had, and get the rest of their share before it gets more.
    assert!(machine.now >= 1_400_000 && had > 0, "at {} {:?}", machine.now, machine.used);
}

#[test]
fn who_never_waits_saves_nothing_up() {
    let mut machine = Machine::new(Fairness::default(), slots(4));
    let mut dice = Dice(5);
    // One always has one running and never two.
    for _ in 0..5000 {
        if machine.waiting_of("calm") + machine.running_of("calm") == 0 {
            machine.slot_of("calm", 500);
        }
        keep_busy(&mut machine, &[("busy", 1000)], 1, &mut dice);
    }
    let (calm, busy) = (machine.used_by("calm"), machine.used_by("busy"));
    assert!(calm * 2 < busy, "{calm} {busy}");
    keep_busy(&mut machine, &[("busy", 1000), ("calm", 1000)], 1000, &mut dice);
    let (calm, busy) = (machine.used_by("calm") - calm, machine.used_by("busy") - busy);
    assert!(calm.abs_diff(busy) * 10 < busy, "{calm} {busy}");
}

#[test]
fn who_has_one_running_and_none_waiting_saves_nothing_up() {
    let mut machine = Machine::new(Fairness::default(), slots(4));
    let mut dice = Dice(6);
    machine.slot_of("calm", 100_000_000);
    keep_busy(&mut machine, &[("busy", 1000)], 5000, &mut dice);
    let busy = machine.used_by("busy");
    keep_busy(&mut machine, &[("busy", 1000), ("calm", 1000)], 2000, &mut dice);
    // With the one that runs all the time it has two slots of four, and not all.
    let (calm, busy) = (machine.used_by("calm"), machine.used_by("busy") - busy);
    assert!((2 * calm).abs_diff(busy) * 5 < busy, "{calm} {busy}");
}

#[test]
fn who_is_kept_small_by_a_limit_saves_no_more_than_the_credit() {
    let fairness = Fairness { credit: Duration::from_secs(20), ..Fairness::default() };
    let small = Resource::Tenant(tenant("small"));
    let mut machine = Machine::new(fairness, slots(4).with(small.clone(), 1));
    let mut dice = Dice(9);
    let submit = |machine: &mut Machine| {
        while machine.waiting_of("small") < 5 {
            machine
                .submit(Entry { claims: slot().with(small.clone(), 1), ..entry("small", machine.now) }, 500);
        }
    };
    for _ in 0..5000 {
        submit(&mut machine);
        keep_busy(&mut machine, &[("busy", 1000)], 1, &mut dice);
    }
    machine.queue.set_limit(small.clone(), None);
    let (small_had, busy_had) = (machine.used_by("small"), machine.used_by("busy"));
    for _ in 0..1000 {
        submit(&mut machine);
        keep_busy(&mut machine, &[("busy", 1000)], 1, &mut dice);
    }
    let (more, less) = (machine.used_by("small") - small_had, machine.used_by("busy") - busy_had);
    assert!(more.saturating_sub(less) < 30_000, "{more} and {less}");
}

#[test]
fn what_has_just_begun_counts() {
    let mut machine = Machine::new(Fairness::default(), slots(4));
    for _ in 0..8 {
        machine.slot_of("a", 1000);
    }
    for _ in 0..8 {
        machine.slot_of("b", 1000);
    }
    machine.start();
    assert_eq!((machine.running_of("a"), machine.running_of("b")), (2, 2));
}

#[test]
fn weights_count_on_a_busy_backend_while_another_one_goes_on() {
    let backend = |name: &str| Resource::Backend(crate::BackendId::new(name));
    let limits = slots(2).with(backend("one"), 1).with(backend("two"), 1);
    let mut machine = Machine::new(Fairness::default(), limits);
    machine.queue.set_weight(&tenant("a"), 3.try_into().expect("not zero"));
    for _ in 0..20_000 {
        for (name, place, takes) in [("a", "one", 600_000), ("b", "one", 600_000), ("c", "two", 60_000)] {
            if machine.waiting_of(name) < 3 {
                let claims = slot().with(backend(place), 1);
                machine.submit(Entry { claims, ..entry(name, machine.now) }, takes);
            }
        }
        machine.step();
    }
    let (heavy, light) = (machine.used_by("a"), machine.used_by("b"));
    assert!(heavy.abs_diff(3 * light) * 10 < heavy, "{:?}", machine.used);
}

#[test]
fn who_has_gone_for_good_is_forgotten() {
    let mut machine = Machine::new(Fairness::default(), slots(4));
    let mut dice = Dice(13);
    for number in 0..1000 {
        let takes = 1 + dice.below(1000);
        machine.slot_of(&format!("t{number}"), takes);
        if number > 8 {
            machine.step();
        }
    }
    while machine.step().is_some() {}
    assert!(machine.queue.accounts.len() < 100, "{} accounts", machine.queue.accounts.len());
}

#[test]
fn newcomers_without_end_keep_nobody_back() {
    let mut machine = Machine::new(Fairness::default(), slots(2));
    let mut dice = Dice(17);
    keep_busy(&mut machine, &[("old", 1000)], 10, &mut dice);
    let had = machine.used_by("old");
    for number in 0..500 {
        // As many come as can be worked off and some wait, each of them for the first and only time.
        let count = if number == 0 { 20 } else { 1 };
        for same in 0..count {
            machine.slot_of(&format!("t{number}.{same}"), 1000);
        }
        keep_busy(&mut machine, &[("old", 1000)], 1, &mut dice);
    }
    assert!(machine.used_by("old") > had + 5000, "{} {had}", machine.used_by("old"));
}
