//! Queues of builds whose disk, supervisor or process fails them.

use std::{fs, time::Duration};

use polyarch::{
    TimeLimits,
    actors::{BuildError, BuildId, EventKind, Timestamp, queue::Tenant, testing::Act},
    queue::{BuildQueue, BuildState, QueueOptions, records::NewBuild},
};

use super::queue::{HOUR, Place, backend, events, one_at_once, state, until};

/// Longer than the queue waits before it tries again.
const LATER: Duration = Duration::from_millis(1500);

async fn ended(queue: &BuildQueue, id: &BuildId) -> BuildState {
    queue.ended(&Tenant::default(), id).await.expect("an end").state
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_again_is_not_late_for_its_turn() {
    let place = Place::new();
    let limits = TimeLimits { queue: Some(LATER), ..TimeLimits::default() };
    let id = {
        let queue = place.open(&backend([Act::Build(HOUR)]), one_at_once()).await;
        let id = queue.submit(NewBuild { limits, ..place.build(0) }).await.expect("taken").id;
        until(&queue, &id, BuildState::Running).await;
        queue.close(Duration::ZERO).await;
        queue.orchestrator().shutdown(Duration::ZERO).await;
        id
    };
    tokio::time::sleep(LATER).await;
    let queue = place.open(&backend([]), one_at_once()).await;
    assert_eq!(ended(&queue, &id).await, BuildState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_runs_is_of_use_for_as_long_as_anybody_wants_it() {
    let place = Place::new();
    let queue = place.open(&backend([Act::Build(Duration::from_secs(3))]), one_at_once()).await;
    let in_time = |time: Duration| {
        let deadline = Timestamp::now().0 + u64::try_from(time.as_millis()).expect("soon");
        NewBuild { deadline: Some(Timestamp(deadline)), pinned: true, ..place.build(0) }
    };
    let first = queue.submit(in_time(LATER)).await.expect("taken").id;
    until(&queue, &first, BuildState::Running).await;
    let same = queue.submit(in_time(HOUR)).await.expect("taken").id;
    assert_eq!(same, first);
    assert_eq!(ended(&queue, &first).await, BuildState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_cannot_be_written_for_a_while_fail_no_build_and_get_their_ends() {
    let place = Place::new();
    let queue = place.open(&backend([]), QueueOptions { max_running: 2, ..one_at_once() }).await;
    let (logs, away) = (place.path().join("data/logs"), place.path().join("away"));
    fs::rename(&logs, &away).expect("moved");
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(queue.submit(place.build(number)).await.expect("taken").id);
    }
    // It is not begun, or is waiting for its log.
    queue.cancel(&Tenant::default(), &ids[2]).await.expect("asked");
    assert_eq!(ended(&queue, &ids[2]).await, BuildState::Cancelled);
    tokio::time::sleep(LATER).await;
    assert_eq!(state(&queue, &ids[0]).await, BuildState::Running);
    fs::rename(&away, &logs).expect("moved");
    for id in &ids[..2] {
        assert_eq!(ended(&queue, id).await, BuildState::Succeeded);
    }
    for (id, error) in ids.iter().zip([None, None, Some(BuildError::Cancelled)]) {
        let events = events(&queue, id).await;
        assert_eq!(events.last().map(|event| &event.kind), Some(&EventKind::Finished { error }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_that_ends_first_fails_no_build() {
    let place = Place::new();
    let ids = {
        let queue = place.open(&backend([Act::Build(HOUR)]), one_at_once()).await;
        let running = queue.submit(place.build(0)).await.expect("taken").id;
        until(&queue, &running, BuildState::Running).await;
        let waiting = queue.submit(place.build(1)).await.expect("taken").id;
        queue.orchestrator().shutdown(Duration::ZERO).await;
        queue.close(HOUR).await;
        for id in [&running, &waiting] {
            assert_eq!(state(&queue, id).await, BuildState::Queued);
        }
        [running, waiting]
    };
    let queue = place.open(&backend([]), one_at_once()).await;
    for id in &ids {
        assert_eq!(ended(&queue, id).await, BuildState::Succeeded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_build_begins_on_a_full_disk_not_even_when_the_queue_is_opened() {
    let place = Place::new();
    let full = QueueOptions { min_free: u64::MAX, ..one_at_once() };
    let id = {
        let queue = place.open(&backend([]), full.clone()).await;
        let id = queue.submit(place.build(0)).await.expect("taken").id;
        queue.close(Duration::MAX).await;
        queue.orchestrator().shutdown(Duration::ZERO).await;
        id
    };
    let queue = place.open(&backend([]), full).await;
    tokio::time::sleep(LATER).await;
    let record = queue.get(&Tenant::default(), &id).await.expect("a record");
    assert_eq!((record.state, record.attempt), (BuildState::Queued, 0));
    let waiting = queue.report(None).await.expect("a report").waiting;
    assert_eq!(waiting[0].place.as_ref().map(|place| place.ahead), Some(0), "{waiting:?}");
    queue.close(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_builds_are_taken_to_need_may_become_less_while_they_wait() {
    let place = Place::new();
    let options = QueueOptions { memory: Some(100), memory_each: 60, ..QueueOptions::default() };
    let queue = place.open(&backend([Act::Build(HOUR)]), options.clone()).await;
    let first = queue.submit(place.build(0)).await.expect("taken").id;
    until(&queue, &first, BuildState::Running).await;
    let second = queue.submit(place.build(1)).await.expect("taken").id;
    let less = QueueOptions { memory_each: 10, ..options };
    queue.set_options(less).await.expect("set");
    assert_eq!(ended(&queue, &second).await, BuildState::Succeeded);
    queue.close(Duration::ZERO).await;
}
