//! Builds that wait for their turn and survive the process, with scripted backends.

use std::{fs, path::Path, sync::Arc, time::Duration};

use polyarch::{
    BuildSpec, Orchestrator, TimeLimits,
    actors::{
        BuildError, BuildEvent, BuildId, EventKind, Platform, TimedPart, Timestamp,
        queue::{Reason, Resource, Tenant},
        testing::{Act, ScriptedBackend},
    },
    queue::{
        BuildQueue, BuildState, DataFolder, QueueError, QueueOptions, Supersede, SupersedePolicy,
        records::{BuildRecord, End, How, NewBuild, Records},
    },
};

pub(super) const HOUR: Duration = Duration::from_hours(1);

/// A folder for everything, with a context whose steps run something.
pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("Dockerfile"), "FROM busybox\nRUN make\n").expect("a Dockerfile");
        Self(folder)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) async fn open(&self, backend: &ScriptedBackend, options: QueueOptions) -> BuildQueue {
        let builder =
            Orchestrator::builder().store(self.path().join("store")).backend(Arc::new(backend.clone()));
        let orchestrator = builder.start().await.expect("it starts");
        orchestrator.queue(self.path().join("data"), options).await.expect("the queue opens")
    }

    /// A build that no other one is the same as.
    pub(super) fn build(&self, number: usize) -> NewBuild {
        let mut spec = BuildSpec::new(self.path()).platforms([platform()]);
        spec.labels.insert("number".into(), number.to_string());
        NewBuild::new(spec)
    }
}

pub(super) fn platform() -> Platform {
    "linux/amd64".parse().expect("a platform")
}

pub(super) fn backend(acts: impl IntoIterator<Item = Act>) -> ScriptedBackend {
    ScriptedBackend::new("one", 4).on(&platform(), acts)
}

pub(super) fn one_at_once() -> QueueOptions {
    QueueOptions { max_running: 1, ..QueueOptions::default() }
}

pub(super) async fn state(queue: &BuildQueue, id: &BuildId) -> BuildState {
    queue.get(&Tenant::default(), id).await.expect("a record").state
}

pub(super) async fn until(queue: &BuildQueue, id: &BuildId, wanted: BuildState) {
    for _ in 0..2000 {
        if state(queue, id).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{:?} is never {wanted:?}", state(queue, id).await);
}

/// The events of a build that has ended or ends.
pub(super) async fn events(queue: &BuildQueue, id: &BuildId) -> Vec<BuildEvent> {
    let mut reader = queue.follow(&Tenant::default(), id, None).await.expect("a log");
    let mut events = Vec::new();
    while let Some(line) = reader.next().await {
        let line = line.expect("a line");
        let event: BuildEvent = serde_json::from_slice(&line.json).expect("an event");
        assert_eq!((event.sequence, line.sequence), (events.len() as u64, events.len() as u64));
        events.push(event);
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_runs_when_it_is_its_turn_and_its_log_tells_all_of_it() {
    let place = Place::new();
    let queue = place.open(&backend([]), one_at_once()).await;
    let submitted = queue.submit(place.build(1)).await.expect("taken");
    assert_eq!(submitted.how, How::New);
    let record = queue.ended(&Tenant::default(), &submitted.id).await.expect("an end");
    assert_eq!((record.state, record.attempt), (BuildState::Succeeded, 1));
    let receipt =
        queue.receipt(&Tenant::default(), &submitted.id).await.expect("a record").expect("a receipt");
    assert_eq!((receipt.build, record.index), (submitted.id.clone(), Some(receipt.index.digest)));
    let events = events(&queue, &submitted.id).await;
    assert!(events.iter().any(|event| event.kind == EventKind::Started));
    assert_eq!(events.last().expect("an end").kind, EventKind::Finished { error: None });
    let report = queue.report(None).await.expect("a report");
    assert_eq!((report.waiting.len(), report.running.len(), report.tenants.len()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_waits_is_cancelled_at_once_and_one_that_runs_when_nothing_of_it_is_left() {
    let place = Place::new();
    let backend = backend([Act::Hang(Duration::from_millis(30))]);
    let queue = place.open(&backend, one_at_once()).await;
    let tenant = Tenant::default();
    let running = queue.submit(place.build(1)).await.expect("taken").id;
    until(&queue, &running, BuildState::Running).await;
    let waiting = queue.submit(place.build(2)).await.expect("taken").id;
    queue.cancel(&tenant, &waiting).await.expect("cancelled");
    assert_eq!(state(&queue, &waiting).await, BuildState::Cancelled);
    let cancelled = EventKind::Finished { error: Some(BuildError::Cancelled) };
    while backend.running() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    queue.cancel(&tenant, &running).await.expect("noted");
    let record = queue.ended(&tenant, &running).await.expect("an end");
    assert_eq!((record.state, backend.running()), (BuildState::Cancelled, 0));
    for id in [&waiting, &running] {
        assert_eq!(events(&queue, id).await.last().map(|event| &event.kind), Some(&cancelled));
        let again = queue.cancel(&tenant, id).await.expect_err("too late");
        assert!(matches!(again, QueueError::Ended(BuildState::Cancelled)), "{again}");
    }
    let other: Tenant = "other".parse().expect("a tenant");
    assert!(queue.cancel(&other, &running).await.is_err(), "it is not theirs");
    let next = queue.submit(place.build(3)).await.expect("taken").id;
    assert_eq!(queue.ended(&tenant, &next).await.expect("an end").state, BuildState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_with_a_serial_key_never_run_together_and_the_latest_takes_the_place_of_those_that_wait() {
    let place = Place::new();
    let slow = || Act::Build(Duration::from_millis(40));
    let backend = backend([slow(), slow(), slow(), Act::Hang(Duration::ZERO)]);
    let queue = place.open(&backend, QueueOptions::default()).await;
    let keyed = |number, policy| NewBuild {
        supersede: Some(Supersede { key: "app/main".parse().expect("a key"), policy }),
        ..place.build(number)
    };
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(queue.submit(keyed(number, SupersedePolicy::Serial)).await.expect("taken").id);
    }
    for id in &ids {
        assert_eq!(queue.ended(&Tenant::default(), id).await.expect("an end").state, BuildState::Succeeded);
    }
    assert_eq!(backend.most_at_once(), 1);
    let first = queue.submit(keyed(3, SupersedePolicy::LatestOnly)).await.expect("taken").id;
    until(&queue, &first, BuildState::Running).await;
    let second = queue.submit(keyed(4, SupersedePolicy::LatestOnly)).await.expect("taken").id;
    let third = queue.submit(keyed(5, SupersedePolicy::LatestOnly)).await.expect("taken");
    assert_eq!(third.superseded, std::slice::from_ref(&second));
    assert_eq!(queue.ended(&Tenant::default(), &second).await.expect("an end").state, BuildState::Superseded);
    let fourth = queue.submit(keyed(6, SupersedePolicy::CancelRunning)).await.expect("taken");
    assert_eq!((fourth.superseded, fourth.to_cancel), (vec![third.id], vec![first.clone()]));
    assert_eq!(queue.ended(&Tenant::default(), &first).await.expect("an end").state, BuildState::Cancelled);
    let last = queue.ended(&Tenant::default(), &fourth.id).await.expect("an end");
    assert_eq!((last.state, backend.most_at_once()), (BuildState::Succeeded, 1));
    assert!(
        events(&queue, &second)
            .await
            .last()
            .is_some_and(|event| matches!(event.kind, EventKind::Finished { .. }))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_too_long_or_is_late_says_so() {
    let place = Place::new();
    let backend = backend([Act::Hang(Duration::ZERO), Act::Hang(Duration::ZERO)]);
    let queue = place.open(&backend, one_at_once()).await;
    let deadline = Some(Timestamp(Timestamp::now().0 + 1500));
    let running = queue.submit(NewBuild { deadline, ..place.build(1) }).await.expect("taken").id;
    let limits = TimeLimits { queue: Some(Duration::from_millis(200)), ..TimeLimits::default() };
    let waiting = queue.submit(NewBuild { limits, ..place.build(2) }).await.expect("taken").id;
    for (id, part, limit_ms) in [(&waiting, TimedPart::Queue, 200), (&running, TimedPart::Deadline, 0)] {
        let record = queue.ended(&Tenant::default(), id).await.expect("an end");
        let late = BuildError::TimedOut { part, limit_ms };
        assert_eq!((record.state, record.error.as_ref()), (BuildState::TimedOut, Some(&late)));
        let last = events(&queue, id).await.pop().expect("an end");
        assert_eq!(last.kind, EventKind::Finished { error: Some(late) });
    }
    assert_eq!(backend.running(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_closes_leaves_everything_to_the_next() {
    let place = Place::new();
    let tenant = Tenant::default();
    let ids = {
        let backend = backend([Act::Hang(Duration::from_millis(20))]);
        let queue = place.open(&backend, one_at_once()).await;
        let running = queue.submit(place.build(1)).await.expect("taken").id;
        let waiting = queue.submit(place.build(2)).await.expect("taken").id;
        until(&queue, &running, BuildState::Running).await;
        let second = queue.orchestrator().queue(place.path().join("data"), one_at_once()).await;
        let refused = second.map(drop).expect_err("in use").to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        queue.close(Duration::ZERO).await;
        assert_eq!(backend.running(), 0);
        assert!(matches!(queue.submit(place.build(3)).await, Err(QueueError::Closing)));
        for id in [&running, &waiting] {
            assert_eq!(state(&queue, id).await, BuildState::Queued);
        }
        queue.orchestrator().shutdown(Duration::ZERO).await;
        [running, waiting]
    };
    let queue = place.open(&backend([]), one_at_once()).await;
    for (id, attempt) in ids.iter().zip([2, 1]) {
        let record = queue.ended(&tenant, id).await.expect("an end");
        assert_eq!((record.state, record.attempt), (BuildState::Succeeded, attempt));
        assert_eq!(
            events(&queue, id).await.last().expect("an end").kind,
            EventKind::Finished { error: None }
        );
    }
}

/// A build whose steps may take so much memory together.
fn taking(mut build: NewBuild, memory: u64) -> NewBuild {
    build.spec.resources.memory = Some(memory);
    build
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_that_take_more_memory_together_than_there_is_wait_for_each_other_and_say_so() {
    let place = Place::new();
    let backend = backend([Act::Build(Duration::from_millis(2500)), Act::Build(HOUR), Act::Build(HOUR)]);
    let options = QueueOptions { memory: Some(100), memory_each: 30, ..QueueOptions::default() };
    let queue = place.open(&backend, options).await;
    let first = queue.submit(taking(place.build(0), 80)).await.expect("taken").id;
    until(&queue, &first, BuildState::Running).await;
    // It says nothing, and is taken to need more than is left.
    let second = queue.submit(place.build(1)).await.expect("taken").id;
    let third = queue.submit(taking(place.build(2), 10)).await.expect("taken").id;
    until(&queue, &third, BuildState::Running).await;
    assert_eq!(state(&queue, &second).await, BuildState::Queued);
    until(&queue, &second, BuildState::Running).await;
    assert_eq!(queue.ended(&Tenant::default(), &first).await.expect("an end").state, BuildState::Succeeded);
    queue.cancel(&Tenant::default(), &second).await.expect("asked");
    queue.ended(&Tenant::default(), &second).await.expect("an end");
    let told = events(&queue, &second).await;
    let full = EventKind::Queued { ahead: 0, reason: Reason::Full(Resource::Memory) };
    assert!(told.iter().any(|event| event.kind == full), "{told:?}");
    queue.close(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_takes_more_memory_than_there_is_at_all_is_refused_and_does_not_wait_for_ever() {
    let place = Place::new();
    let options = QueueOptions { memory: Some(100), ..one_at_once() };
    let queue = place.open(&backend([Act::Build(HOUR)]), options.clone()).await;
    let refused = queue.submit(taking(place.build(0), 101)).await.expect_err("too large").to_string();
    assert_eq!(refused, "asked for 101 bytes of memory, where there are never more than 100");
    let first = queue.submit(place.build(1)).await.expect("taken").id;
    until(&queue, &first, BuildState::Running).await;
    let waits = queue.submit(taking(place.build(2), 100)).await.expect("taken").id;
    // What there is becomes less while it waits.
    let less = QueueOptions { memory: Some(99), ..options.clone() };
    queue.set_options(less).await.expect("set");
    let record = queue.ended(&Tenant::default(), &waits).await.expect("an end");
    let too_large = BuildError::TooLarge { resource: Resource::Memory, asked: 100, limit: 99 };
    assert_eq!((record.state, record.error), (BuildState::Failed, Some(too_large)));
    queue.set_options(QueueOptions { memory: None, ..options }).await.expect("set");
    queue.submit(taking(place.build(3), u64::MAX)).await.expect("there is no limit");
    queue.close(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_not_held_to_its_limits_says_so_once_and_fails_where_they_are_required() {
    let place = Place::new();
    let options = QueueOptions { require_resources: true, ..one_at_once() };
    let queue = place.open(&backend([]), one_at_once()).await;
    let loose = queue.submit(taking(place.build(0), 10 << 20)).await.expect("taken").id;
    let record = queue.ended(&Tenant::default(), &loose).await.expect("an end");
    assert_eq!(record.state, BuildState::Succeeded);
    let events = events(&queue, &loose).await;
    let warned = events.iter().filter(|event| {
        matches!(&event.kind,
        EventKind::Warned { message } if message.contains("all steps of a build one limit of memory"))
    });
    assert_eq!(warned.count(), 1, "{events:?}");
    queue.set_options(options).await.expect("set");
    let strict = queue.submit(taking(place.build(1), 10 << 20)).await.expect("taken").id;
    let record = queue.ended(&Tenant::default(), &strict).await.expect("an end");
    assert!(matches!(record.error, Some(BuildError::NoBackend { .. })), "{record:?}");
    queue.close(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_a_log_does_not_say_is_said_when_the_queue_is_opened_again() {
    let place = Place::new();
    let tenant = Tenant::default();
    let folder = DataFolder::open(place.path().join("data")).expect("a folder");
    let records = Records::open(folder.records()).await.expect("records");
    let mut ids = Vec::new();
    for number in 0..2 {
        let id = records.submit(place.build(number)).await.expect("taken").id;
        assert!(records.begin(&id).await.expect("begun"));
        ids.push(id);
    }
    let late = BuildError::TimedOut { part: TimedPart::Total, limit_ms: 7 };
    let end = End::TimedOut { error: late.clone(), reason: late.to_string() };
    assert!(records.end(&ids[0], end, Vec::new()).await.expect("ended"));
    records.request_cancel(&tenant, &ids[1]).await.expect("noted");
    let untold = |records: Vec<BuildRecord>| records.into_iter().map(|record| record.id).collect::<Vec<_>>();
    assert_eq!(untold(records.untold().await.expect("records")), [ids[0].clone()]);
    let queue = place.open(&backend([]), one_at_once()).await;
    for (id, error) in ids.iter().zip([late, BuildError::Cancelled]) {
        let events = events(&queue, id).await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].kind, EventKind::Finished { error: Some(error) });
    }
    let next = queue.submit(place.build(2)).await.expect("taken").id;
    queue.ended(&tenant, &next).await.expect("an end");
    queue.close(HOUR).await;
    assert_eq!(untold(records.untold().await.expect("records")), []);
}
