//! What is asked for twice, and what is begun more than once.

use std::time::Duration;

use polyarch::{
    actors::{queue::Tenant, testing::Act},
    queue::{
        BuildState, DataFolder, QueueOptions,
        records::{How, NewBuild, Records},
    },
};

use super::queue::{HOUR, Place, backend, one_at_once, state, until};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_lost_that_ran_too_often_when_its_process_went_away_and_never_for_being_stopped() {
    let place = Place::new();
    let options = QueueOptions { attempts: 2, ..one_at_once() };
    let folder = DataFolder::open(place.path().join("data")).expect("a folder");
    let records = Records::open(folder.records()).await.expect("records");
    let id = records.submit(place.build(0)).await.expect("taken").id;
    let run_and_stop = async || {
        let queue = place.open(&backend([Act::Hang(Duration::ZERO)]), options.clone()).await;
        until(&queue, &id, BuildState::Running).await;
        queue.close(Duration::ZERO).await;
        assert_eq!(state(&queue, &id).await, BuildState::Queued);
        queue.orchestrator().shutdown(Duration::ZERO).await;
    };
    for _ in 0..3 {
        run_and_stop().await;
    }
    // As a process that is killed leaves it.
    assert!(records.begin(&id).await.expect("begun"));
    run_and_stop().await;
    let record = records.get(&Tenant::default(), &id).await.expect("a record");
    assert_eq!((record.attempt, record.losses), (5, 1));
    assert!(records.begin(&id).await.expect("begun"));
    let queue = place.open(&backend([]), options.clone()).await;
    let record = queue.ended(&Tenant::default(), &id).await.expect("an end");
    assert_eq!(record.state, BuildState::Lost);
    assert_eq!(record.reason.as_deref(), Some("the process that built it went away 2 times"));
    queue.close(Duration::ZERO).await;
}
