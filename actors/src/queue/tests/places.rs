//! What an entry is told about its place.

use proptest::prelude::*;

use super::{
    super::{Place, Reason},
    *,
};
use crate::BackendId;

proptest! {
    #[test]
    fn the_places_are_the_order_in_which_entries_start(
        entries in prop::collection::vec((0..4_usize, -100..=100_i64, 0..100_000_u64, 0..3_u64), 1..60),
        weights in prop::collection::vec(1..5_u32, 4),
    ) {
        let names = ["a", "b", "c", "d"];
        let mut machine = Machine::new(Fairness::default(), Limits::default());
        for (name, weight) in names.iter().zip(weights) {
            machine.queue.set_weight(&tenant(name), weight.try_into().expect("not zero"));
        }
        machine.queue.hold(&Resource::Slots, true);
        for (whose, number, arrived, memory) in entries {
            let claims = slot().with(Resource::Memory, memory);
            machine.submit(Entry { priority: priority(number), claims, ..entry(names[whose], arrived) }, 1);
        }
        machine.queue.hold(&Resource::Slots, false);
        let places: BTreeMap<u64, Place> = machine.queue.places(Timestamp(0)).into_iter().collect();
        let mut started = 0;
        while let Some(ticket) = machine.queue.pop(Timestamp(0)) {
            prop_assert_eq!(&places[&ticket], &Place { ahead: started, reason: Reason::Turn });
            started += 1;
        }
        prop_assert_eq!(started, places.len());
    }
}

#[test]
fn a_place_counts_those_that_wait_for_the_same_and_says_what_for() {
    let backend = |name: &str| Resource::Backend(BackendId::new(name));
    let limits = slots(3).with(backend("one"), 1).with(backend("two"), 1).with(Resource::Memory, 8);
    let mut machine = Machine::new(Fairness::default(), limits);
    let mut submit = |claims: Claims| {
        let ticket = machine.submit(Entry { claims, ..entry("a", machine.next) }, 1000);
        machine.start();
        ticket
    };
    let ones = [0; 4].map(|_| submit(slot().with(backend("one"), 1)));
    let two = [0; 2].map(|_| submit(slot().with(backend("two"), 1)));
    let memory = submit(slot().with(Resource::Memory, 8));
    let more = submit(slot().with(Resource::Memory, 1));
    let place = |machine: &Machine, ticket: u64| {
        let places: BTreeMap<u64, Place> = machine.queue.places(Timestamp(0)).into_iter().collect();
        places.get(&ticket).map(|place| (place.ahead, place.reason.to_string()))
    };
    assert_eq!(place(&machine, ones[0]), None);
    // All slots are taken, and each backend's only one.
    assert_eq!(place(&machine, ones[1]), Some((0, "all slots of backend one are taken".into())));
    assert_eq!(place(&machine, two[1]), Some((3, "all slots are taken".into())));
    assert_eq!(place(&machine, more), Some((4, "all slots are taken".into())));
    machine.queue.set_limit(Resource::Slots, Some(9));
    assert_eq!(place(&machine, ones[3]), Some((2, "all slots of backend one are taken".into())));
    assert_eq!(place(&machine, two[1]), Some((0, "all slots of backend two are taken".into())));
    assert_eq!(place(&machine, more), Some((0, "not enough memory is free".into())));
    machine.queue.hold(&backend("one"), true);
    assert_eq!(place(&machine, ones[2]), Some((1, "backend one is being started again".into())));
    machine.queue.set_limit(Resource::Slots, Some(1));
    // What is closed keeps nobody waiting.
    assert_eq!(place(&machine, two[1]), Some((0, "all slots of backend two are taken".into())));
    assert!(machine.queue.release(&memory, Timestamp(0)));
    assert_eq!(machine.queue.drain(&backend("one")), ones[1..]);
    assert_eq!(machine.queue.waiting(), 2);
}

#[test]
fn a_place_crosses_machines() {
    let place = Place { ahead: 2, reason: Reason::Full(Resource::Tenant(tenant("a"))) };
    let json = serde_json::to_string(&place).expect("json");
    assert_eq!(json, r#"{"ahead":2,"reason":{"full":{"tenant":"a"}}}"#);
    assert_eq!(serde_json::from_str::<Place>(&json).expect("back"), place);
    let turn = serde_json::to_string(&Place::default()).expect("json");
    assert_eq!(turn, r#"{"ahead":0,"reason":"turn"}"#);
}
