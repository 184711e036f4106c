//! What is asked for twice, and what is begun more than once.

use std::time::Duration;

use polyarch::{
    actors::testing::Act,
    queue::{
        BuildState, QueueOptions,
        records::{How, NewBuild},
    },
};

use super::queue::{HOUR, Place, backend, one_at_once, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_may_have_only_so_many_builds_waiting() {
    let place = Place::new();
    let options = QueueOptions { max_waiting_each: 2, ..one_at_once() };
    let queue = place.open(&backend([Act::Build(HOUR)]), options).await;
    let first = queue.submit(place.build(0)).await.expect("taken").id;
    until(&queue, &first, BuildState::Running).await;
    for number in 1..=2 {
        queue.submit(place.build(number)).await.expect("taken");
    }
    let full = queue.submit(place.build(3)).await.expect_err("full").to_string();
    assert_eq!(full, "tenant default has 2 builds waiting, and may not have more");
    // What is there already takes no room.
    let keyed =
        |number| NewBuild { idempotency_key: Some("key".parse().expect("a key")), ..place.build(number) };
    for (new, how) in [(place.build(1), How::Identical), (keyed(2), How::Identical), (keyed(2), How::SameKey)]
    {
        assert_eq!(queue.submit(new).await.expect("taken").how, how);
    }
    let other = NewBuild { tenant: "other".parse().expect("a tenant"), ..place.build(3) };
    let other = queue.submit(other).await.expect("taken").id;
    let report = queue.report(None).await.expect("a report");
    assert_eq!((report.waiting.len(), report.running), (3, vec![first]));
    assert!(report.waiting.iter().any(|build| build.id == other));
    queue.close(Duration::ZERO).await;
}
