//! The way of builds: routed, tried again, stopped, ended once.

use std::{collections::BTreeSet, time::Duration};

use futures::StreamExt;
use polyarch_actors::{
    Availability, BackendId, BuildError, BuildId, Capabilities, DescribeBackends, EventKind, FailurePolicy,
    ImageOs, PlatformState, RetryPolicy, Shutdown, SupervisorConfig,
    testing::{Act, ScriptedBackend, request},
};

use crate::core::{Core, errors, host_fault, platform, platforms, quick, user_fault};

#[actix::test]
async fn the_outcome_has_the_requested_order_whatever_finishes_first() {
    let all = platforms(&["linux/arm64", "linux/amd64", "linux/riscv64"]);
    let slow = |millis| [Act::Build(Duration::from_millis(millis))];
    let backend =
        ScriptedBackend::new("one", 3).on(&all[0], slow(30)).on(&all[1], slow(15)).on(&all[2], slow(0));
    let core = Core::with(backend).await;
    let (outcome, events) = core.run(&all).await;
    let images = outcome.images().expect("all built");
    assert_eq!(images.iter().map(|image| image.platform.clone()).collect::<Vec<_>>(), all);
    assert_eq!(core.backends[0].most_at_once(), 3);
    assert_eq!(events.iter().filter(|event| matches!(event, EventKind::ImageBuilt { .. })).count(), 3);
    core.finish().await;
}

#[actix::test]
async fn each_request_goes_to_the_backend_of_its_os_and_cpu() {
    let offer = |native: &[&str]| Capabilities {
        availability: Availability::Usable("scripted".into()),
        native: platforms(native),
        emulated: vec![],
        assembles: vec![],
        gives: BTreeSet::new(),
        knows_steps: false,
        fetches_for_others: false,
        slots: 2,
        advice: vec![],
    };
    let linux = ScriptedBackend::with_capabilities("linux", offer(&["linux/amd64"]));
    let windows = ScriptedBackend::with_capabilities("windows", offer(&["windows/amd64"]));
    let core = Core::start(vec![linux, windows], quick()).await;
    let all = platforms(&["windows/amd64", "linux/amd64"]);
    let (outcome, _) = core.run(&all).await;
    let backends: Vec<_> = outcome.images().expect("built").into_iter().map(|image| image.backend).collect();
    assert_eq!(backends, [BackendId::new("windows"), BackendId::new("linux")]);
    let reports = core.supervisor.send(DescribeBackends).await.expect("reports");
    assert_eq!(reports.len(), 2);
    core.finish().await;
}

#[actix::test]
async fn what_is_not_held_is_warned_of_once_for_all_platforms_of_a_build() {
    let core = Core::with(ScriptedBackend::new("one", 2)).await;
    let build = BuildId::generate();
    let all = platforms(&["linux/amd64", "linux/arm64"]);
    let requests = all.iter().map(|platform| {
        let mut request = request(&build, platform);
        request.runs_on.insert(platform.clone());
        request.resources.memory = Some(1 << 30);
        request.resources.pids = Some(100);
        request
    });
    let requests: Vec<_> = requests.collect();
    let (outcome, events) =
        core.begin_requests(build.clone(), requests.clone(), FailurePolicy::FailFast).end().await;
    assert!(outcome.images().is_ok(), "{outcome:?}");
    let warned = events.iter().filter_map(|event| match event {
        EventKind::Warned { message } => Some(message.as_str()),
        _ => None,
    });
    let warned: Vec<_> = warned.collect();
    assert_eq!(warned.len(), 2, "{warned:?}");
    assert!(warned[0].contains("one limit of memory: each is held to it alone"), "{warned:?}");
    assert!(warned[1].contains("one limit of processes: nothing holds them to it"), "{warned:?}");
    let required = requests.into_iter().map(|mut request| {
        request.resources.required = true;
        request
    });
    let (outcome, _) = core.begin_requests(build, required.collect(), FailurePolicy::FailFast).end().await;
    let (_, error) = outcome.images().expect_err("refused");
    assert!(error.to_string().contains("cannot give all steps of a build one limit of memory"), "{error}");
    core.finish().await;
}

#[actix::test]
async fn a_platform_that_nobody_can_build_stops_the_others_before_they_start() {
    let core = Core::with(ScriptedBackend::new("one", 2)).await;
    let (outcome, _) = core.run(&platforms(&["linux/amd64", "windows/amd64"])).await;
    let errors = errors(&outcome);
    assert_eq!(errors[0], Some(BuildError::Abandoned { failed: platform("windows/amd64") }));
    assert!(matches!(&errors[1], Some(BuildError::NoBackend { .. })), "{errors:?}");
    assert!(core.backends[0].started().is_empty());
    core.finish().await;
}

#[actix::test]
async fn fail_fast_stops_the_others_and_waits_until_they_are_gone() {
    let all = platforms(&["linux/amd64", "linux/arm64", "linux/riscv64"]);
    let backend = ScriptedBackend::new("one", 2)
        .on(&all[0], [Act::Hang(Duration::from_millis(20))])
        .on(&all[1], [Act::Fail(user_fault())]);
    let core = Core::with(backend).await;
    let (outcome, _) = core.run(&all).await;
    assert_eq!(core.backends[0].running(), 0, "the outcome came before the backend had cleaned up");
    let abandoned = Some(BuildError::Abandoned { failed: all[1].clone() });
    assert_eq!(errors(&outcome), [abandoned.clone(), Some(user_fault()), abandoned]);
    assert_eq!(outcome.images().expect_err("failed").0, &all[1]);
    assert_eq!(core.backends[0].started().len(), 2, "the waiting platform was started");
    core.finish().await;
}

#[actix::test]
async fn keep_going_lets_the_others_finish() {
    let all = platforms(&["linux/amd64", "linux/arm64"]);
    let backend = ScriptedBackend::new("one", 1).on(&all[0], [Act::Fail(user_fault())]);
    let core = Core::with(backend).await;
    let (outcome, _) = core.begin(&all, FailurePolicy::KeepGoing).end().await;
    assert_eq!(errors(&outcome), [Some(user_fault()), None]);
    core.finish().await;
}

#[actix::test]
async fn a_users_fault_is_not_tried_again_and_a_hosts_fault_is() {
    let all = platforms(&["linux/amd64"]);
    let script = [Act::Fail(host_fault()), Act::Panic, Act::Build(Duration::ZERO), Act::Fail(user_fault())];
    let core = Core::with(ScriptedBackend::new("one", 1).on(&all[0], script)).await;
    let (outcome, events) = core.run(&all).await;
    assert_eq!(outcome.images().expect("built")[0].retries, 2);
    let retried: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            EventKind::Retried { attempt, error, .. } => Some((*attempt, error.clone())),
            _ => None,
        })
        .collect();
    let panicked =
        BuildError::Panicked { backend: BackendId::new("one"), message: "the script says so".into() };
    assert_eq!(retried, [(1, host_fault()), (2, panicked)]);
    let (outcome, _) = core.run(&all).await;
    assert_eq!(errors(&outcome), [Some(user_fault())]);
    assert_eq!(core.backends[0].started().len(), 4);
    core.finish().await;
}

#[actix::test]
async fn retries_end() {
    let all = platforms(&["linux/amd64"]);
    let core = Core::with(ScriptedBackend::new("one", 1).on(&all[0], vec![Act::Fail(host_fault()); 9])).await;
    let (outcome, _) = core.run(&all).await;
    assert_eq!(errors(&outcome), [Some(host_fault())]);
    assert_eq!(core.backends[0].started().len(), 3);
    core.finish().await;
}

#[actix::test]
async fn a_panic_costs_one_build_and_not_the_backend() {
    let all = platforms(&["linux/amd64", "linux/arm64"]);
    let backend = ScriptedBackend::new("one", 2)
        .on(&all[0], vec![Act::Panic; 3])
        .on(&all[1], [Act::Build(Duration::from_millis(30))]);
    let core = Core::with(backend).await;
    let (outcome, events) = core.begin(&all, FailurePolicy::KeepGoing).end().await;
    assert!(matches!(&errors(&outcome)[..], [Some(BuildError::Panicked { .. }), None]), "{outcome:?}");
    assert!(!events.iter().any(|event| matches!(event, EventKind::BackendRestarted { .. })));
    core.finish().await;
}

#[actix::test]
async fn a_lost_actor_is_replaced_and_what_it_ran_is_tried_again() {
    let all = platforms(&["linux/amd64", "linux/arm64", "linux/riscv64"]);
    let backend = ScriptedBackend::new("one", 2)
        .on(&all[0], [Act::LoseActor(Duration::from_millis(50))])
        .on(&all[1], [Act::Hang(Duration::ZERO), Act::Build(Duration::ZERO)]);
    let core = Core::with(backend).await;
    let (outcome, events) = core.run(&all).await;
    let images = outcome.images().expect("all built");
    assert_eq!(images.iter().map(|image| image.retries).collect::<Vec<_>>(), [1, 1, 0]);
    assert!(events.iter().any(|event| matches!(event, EventKind::BackendRestarted { .. })));
    core.finish().await;
}

#[actix::test]
async fn a_backend_that_keeps_getting_lost_is_given_up_and_its_work_goes_elsewhere() {
    let all = platforms(&["linux/amd64"]);
    let fragile = ScriptedBackend::new("fragile", 1).on(&all[0], vec![Act::LoseActor(Duration::ZERO); 9]);
    let config = SupervisorConfig { restarts: 1, ..quick() };
    let core = Core::start(vec![fragile, ScriptedBackend::new("solid", 1)], config).await;
    let (outcome, events) = core.run(&all).await;
    assert_eq!(outcome.images().expect("built")[0].backend, BackendId::new("solid"));
    let routes = events.iter().filter(|event| matches!(event, EventKind::Routed { .. })).count();
    assert_eq!(routes, 2, "{events:?}");
    core.finish().await;
}

#[actix::test]
async fn an_image_for_another_platform_is_refused() {
    let all = platforms(&["linux/arm64"]);
    let wrong = Act::BuildWrong(platform("linux/amd64"));
    let core = Core::with(ScriptedBackend::new("one", 1).on(&all[0], [wrong])).await;
    let (outcome, _) = core.run(&all).await;
    assert!(matches!(&errors(&outcome)[..], [Some(BuildError::WrongPlatform { .. })]), "{outcome:?}");
    core.finish().await;
}

#[actix::test]
async fn cancel_ends_a_build_in_every_state() {
    let all = platforms(&["linux/amd64"]);
    let config = SupervisorConfig {
        retry: RetryPolicy { retries: 9, backoff: Duration::from_mins(10), longest: Duration::from_mins(10) },
        ..SupervisorConfig::default()
    };
    let backend = ScriptedBackend::new("one", 1)
        .on(&all[0], [Act::Fail(host_fault()), Act::Hang(Duration::from_millis(10))]);
    let core = Core::start(vec![backend], config).await;
    let cancelled = [Some(BuildError::Cancelled)];

    let backing_off = core.begin(&all, FailurePolicy::FailFast);
    core.until(&backing_off.id, |state| *state == PlatformState::BackingOff).await;
    backing_off.cancel.cancel();
    assert_eq!(errors(&backing_off.end().await.0), cancelled);

    let running = core.begin(&all, FailurePolicy::FailFast);
    core.until(&running.id, |state| matches!(state, PlatformState::Running { .. })).await;
    let waiting = core.begin(&all, FailurePolicy::FailFast);
    core.until(&waiting.id, |state| matches!(state, PlatformState::Queued(_))).await;
    waiting.cancel.cancel();
    assert_eq!(errors(&waiting.end().await.0), cancelled);
    running.cancel.cancel();
    assert_eq!(errors(&running.end().await.0), cancelled);
    assert_eq!(core.backends[0].running(), 0);

    let early = core.begin(&all, FailurePolicy::FailFast);
    early.cancel.cancel();
    assert_eq!(errors(&early.end().await.0), cancelled);
    assert_eq!(core.backends[0].started().len(), 2);
    core.finish().await;
}

#[actix::test]
async fn what_finds_no_slot_waits_its_turn_and_says_so() {
    let all = platforms(&["linux/amd64", "linux/arm64", "linux/riscv64"]);
    let backend = ScriptedBackend::new("one", 1).on(&all[0], [Act::Build(Duration::from_millis(5))]);
    let core = Core::with(backend).await;
    let (outcome, events) = core.run(&all).await;
    assert!(outcome.images().is_ok());
    let ahead: Vec<usize> = events
        .iter()
        .filter_map(|event| match event {
            EventKind::Queued { ahead, .. } => Some(*ahead),
            _ => None,
        })
        .collect();
    assert_eq!(ahead, [0, 1]);
    assert_eq!(core.backends[0].started(), all);
    core.finish().await;
}

#[actix::test]
async fn a_full_queue_refuses_a_whole_build() {
    let all = platforms(&["linux/amd64", "linux/arm64"]);
    let config = SupervisorConfig { max_waiting: 1, ..quick() };
    let core = Core::start(vec![ScriptedBackend::new("one", 1)], config).await;
    let (outcome, _) = core.run(&all).await;
    assert!(matches!(outcome.images(), Err((_, BuildError::QueueFull { limit: 1 }))), "{outcome:?}");
    assert!(core.backends[0].started().is_empty());
    core.finish().await;
}

#[actix::test]
async fn a_reader_that_never_reads_slows_nobody_down() {
    let all = platforms(&["linux/amd64"]);
    let core = Core::with(ScriptedBackend::new("one", 1).on(&all[0], [Act::Chatter(50_000)])).await;
    let started = core.begin(&all, FailurePolicy::FailFast);
    let mut lazy = started.events.subscribe();
    let (outcome, events) = started.end().await;
    assert!(outcome.images().is_ok());
    assert!(matches!(events.first(), Some(EventKind::Missed { events }) if *events > 30_000));
    assert!(matches!(lazy.next().await.expect("an event").kind, EventKind::Missed { .. }));
    core.finish().await;
}

#[actix::test]
async fn the_same_build_id_is_refused_while_it_runs() {
    let all = platforms(&["linux/amd64"]);
    let core = Core::with(ScriptedBackend::new("one", 2).on(&all[0], [Act::Hang(Duration::ZERO)])).await;
    let first = core.begin(&all, FailurePolicy::FailFast);
    core.until(&first.id, |state| matches!(state, PlatformState::Running { .. })).await;
    let again = vec![request(&first.id, &all[0])];
    let second = core.begin_requests(first.id.clone(), again, FailurePolicy::FailFast);
    assert!(matches!(&errors(&second.end().await.0)[..], [Some(BuildError::Invalid { .. })]));
    first.cancel.cancel();
    first.end().await;
    core.finish().await;
}

#[actix::test]
async fn shutdown_under_load_ends_every_build_exactly_once() {
    let all = platforms(&["linux/amd64", "linux/arm64"]);
    let backend = ScriptedBackend::new("one", 3)
        .on(&all[0], vec![Act::Build(Duration::from_millis(2)); 50])
        .on(&all[1], vec![Act::Hang(Duration::from_millis(1)); 50]);
    let core = Core::with(backend).await;
    let builds: Vec<_> = (0..50).map(|_| core.begin(&all, FailurePolicy::KeepGoing)).collect();
    core.until(&builds[0].id, |state| !matches!(state, PlatformState::Queued(_))).await;
    let supervisor = core.supervisor.clone();
    let down =
        actix::spawn(async move { supervisor.send(Shutdown { grace: Duration::from_millis(20) }).await });
    tokio::time::sleep(Duration::from_millis(5)).await;
    let late = core.begin(&all, FailurePolicy::KeepGoing).end().await.0;
    assert!(matches!(errors(&late)[0], Some(BuildError::ShuttingDown)), "{late:?}");
    for build in builds {
        let (outcome, events) = build.end().await;
        assert_eq!(outcome.platforms.len(), 2);
        let ends = events
            .iter()
            .filter(|event| matches!(event, EventKind::ImageBuilt { .. } | EventKind::PlatformFailed { .. }));
        assert_eq!(ends.count(), 2);
    }
    down.await.expect("no panic").expect("an answer");
    assert!(core.backends[0].is_closed());
    assert_eq!(core.backends[0].violations(), Vec::<String>::new());
    assert_eq!(core.backends[0].running(), 0);
}

#[actix::test]
async fn an_unusable_backend_gets_no_work_and_says_why() {
    let broken = Capabilities::unusable("is not installed", "install it");
    let core = Core::start(vec![ScriptedBackend::with_capabilities("broken", broken)], quick()).await;
    let (outcome, _) = core.run(&platforms(&["linux/amd64"])).await;
    let error = outcome.images().expect_err("nobody").1.to_string();
    assert_eq!(error, "no backend here can build linux/amd64: broken is not installed");
    assert_eq!(ImageOs::default(), ImageOs::Linux);
    core.finish().await;
}
