//! What waits: whose turn it is, what it is told, and that nothing is taken when all has ended.

use std::{num::NonZeroU32, time::Duration};

use polyarch_actors::{
    BackendId, BuildError, BuildId, DescribeQueue, EventKind, FailurePolicy, Platform, PlatformState,
    QueueReport, SetLimits, SupervisorConfig,
    queue::{Limits, Place, Reason, Resource, Share, Tenant},
    testing::{Act, Odds, ScriptedBackend, request},
};

use crate::core::{Core, Started, host_fault, platform, platforms, quick, user_fault};

fn tenant(name: &str) -> Tenant {
    name.parse().expect("a tenant")
}

impl Core {
    fn begin_for(&self, name: &str, platforms: &[Platform]) -> Started {
        let id = BuildId::generate();
        let requests = platforms.iter().map(|platform| request(&id, platform)).collect();
        let share = Share { tenant: tenant(name), ..Share::default() };
        self.begin_shared(id, requests, FailurePolicy::KeepGoing, share)
    }

    async fn queue(&self) -> QueueReport {
        self.supervisor.send(DescribeQueue).await.expect("a report")
    }

    /// Begins a build that keeps the only slot until it is cancelled.
    async fn block(&self, platform: &Platform) -> Started {
        let blocking = self.begin_for("blocking", std::slice::from_ref(platform));
        self.until(&blocking.id, |state| matches!(state, PlatformState::Running { .. })).await;
        blocking
    }

    fn assert_free(report: &QueueReport) {
        assert!(report.waiting.is_empty() && report.running == 0 && report.tenants.is_empty(), "{report:?}");
        assert!(report.resources.iter().all(|resource| resource.taken == 0), "{report:?}");
    }
}

fn queued(events: &[EventKind]) -> Vec<Place> {
    let place = |event: &EventKind| match event {
        EventKind::Queued { ahead, reason } => Some(Place { ahead: *ahead, reason: reason.clone() }),
        _ => None,
    };
    events.iter().filter_map(place).collect()
}

#[actix::test]
async fn a_tenant_with_few_builds_does_not_wait_for_one_with_many() {
    let [blocking, many, few] = ["linux/s390x", "linux/amd64", "linux/arm64"].map(platform);
    let slow = || vec![Act::Build(Duration::from_millis(40)); 9];
    let backend = ScriptedBackend::new("one", 1)
        .on(&blocking, [Act::Hang(Duration::ZERO)])
        .on(&many, slow())
        .on(&few, slow());
    let weights = [(tenant("few"), NonZeroU32::new(2).expect("not zero"))].into();
    let core = Core::start(vec![backend], SupervisorConfig { weights, ..quick() }).await;
    let first = core.block(&blocking).await;
    let mut builds = vec![core.begin_for("few", std::slice::from_ref(&few))];
    builds.extend((0..9).map(|_| core.begin_for("many", std::slice::from_ref(&many))));
    builds.extend((0..3).map(|_| core.begin_for("few", std::slice::from_ref(&few))));
    core.until(&builds[12].id, |state| matches!(state, PlatformState::Queued(_))).await;
    let report = core.queue().await;
    assert_eq!((report.waiting.len(), report.running), (13, 1));
    let counts = report.tenants[&tenant("few")];
    assert_eq!((counts.weight.get(), counts.waiting, counts.running), (2, 4, 0));
    let order: Vec<Platform> = report.waiting.iter().map(|one| one.platform.clone()).collect();
    assert_eq!(order[..6].iter().filter(|platform| **platform == few).count(), 4, "{order:?}");
    first.cancel.cancel();
    first.end().await;
    for build in builds {
        assert!(build.end().await.0.images().is_ok());
    }
    let started = core.backends[0].started();
    let late = started.iter().rposition(|platform| *platform == few).expect("it started");
    assert!(late < 9, "{started:?}");
    Core::assert_free(&core.queue().await);
    core.finish().await;
}

#[actix::test]
async fn what_is_tried_again_keeps_its_place() {
    let all = platforms(&["linux/s390x", "linux/amd64", "linux/arm64", "linux/riscv64"]);
    let backend = ScriptedBackend::new("one", 1)
        .on(&all[0], [Act::Hang(Duration::ZERO)])
        .on(&all[1], [Act::Fail(host_fault())])
        .on(&all[2], [Act::Build(Duration::from_millis(60))]);
    let core = Core::with(backend).await;
    let first = core.block(&all[0]).await;
    let builds: Vec<_> = all[1..].iter().map(|one| core.begin_for("a", std::slice::from_ref(one))).collect();
    core.until(&builds[2].id, |state| matches!(state, PlatformState::Queued(_))).await;
    first.cancel.cancel();
    first.end().await;
    for build in builds {
        build.end().await;
    }
    let order = [&all[0], &all[1], &all[2], &all[1], &all[3]].map(Clone::clone);
    assert_eq!(core.backends[0].started(), order);
    core.finish().await;
}

#[actix::test]
async fn limits_hold_and_may_change_while_builds_wait() {
    let all = platforms(&["linux/amd64"]);
    let act = Act::Build(Duration::from_millis(5));
    let backend = ScriptedBackend::new("one", 8).on(&all[0], vec![act; 20]);
    let limits = Limits::default().with(Resource::Slots, 3).each_tenant(2).with(Resource::Memory, 10);
    let config = SupervisorConfig { limits: limits.clone(), memory: 4, ..quick() };
    let core = Core::start(vec![backend], config).await;
    let large = |memory: u64| {
        let id = BuildId::generate();
        let mut request = request(&id, &all[0]);
        request.steps.memory = Some(memory);
        core.begin_shared(id, vec![request], FailurePolicy::FailFast, Share::default())
    };
    let (outcome, _) = large(11).end().await;
    let error = outcome.images().expect_err("too large").1.clone();
    assert_eq!(error, BuildError::TooLarge { resource: Resource::Memory, asked: 11, limit: 10 });
    let builds: Vec<_> = (0..6).map(|_| core.begin_for("a", &all)).collect();
    for build in builds {
        assert!(build.end().await.0.images().is_ok());
    }
    assert_eq!(core.backends[0].most_at_once(), 2);
    let less = SetLimits { limits: limits.clone().with(Resource::Memory, 3), weights: [].into() };
    core.supervisor.send(less).await.expect("set");
    let waiting = large(9);
    core.until(&waiting.id, |state| {
        matches!(state, PlatformState::Queued(place) if place.reason == Reason::Full(Resource::Memory))
    })
    .await;
    assert_eq!(core.queue().await.waiting[0].place.reason.to_string(), "not enough memory is free");
    core.supervisor.send(SetLimits { limits, weights: [].into() }).await.expect("set");
    assert!(waiting.end().await.0.images().is_ok());
    core.finish().await;
}

#[actix::test]
async fn a_limit_of_a_backend_never_exceeds_its_slots() {
    let all = platforms(&["linux/amd64", "linux/arm64", "linux/riscv64"]);
    let slots = Resource::Backend(BackendId::new("one"));
    for (limit, most) in [(9, 2), (1, 1)] {
        let limits = Limits::default().with(slots.clone(), limit);
        let config = SupervisorConfig { limits, ..quick() };
        let backend = all.iter().fold(ScriptedBackend::new("one", 2), |backend, platform| {
            backend.on(platform, [Act::Build(Duration::from_millis(5))])
        });
        let core = Core::start(vec![backend], config).await;
        assert!(core.run(&all).await.0.images().is_ok());
        assert_eq!(core.backends[0].most_at_once(), most);
        core.finish().await;
    }
}

#[actix::test]
async fn a_place_is_told_at_once_and_then_once_a_second_at_most() {
    let all = platforms(&["linux/amd64"]);
    let act = Act::Build(Duration::from_millis(50));
    let core = Core::with(ScriptedBackend::new("one", 1).on(&all[0], vec![act; 60])).await;
    let begun = std::time::Instant::now();
    let mut builds: Vec<_> = (0..40).map(|_| core.begin_for("a", &all)).collect();
    let last = builds[39].id.clone();
    core.until(&last, |state| matches!(state, PlatformState::Queued(place) if place.ahead > 0)).await;
    // Others come all the time, and each of them is told soon.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        builds.push(core.begin_for("a", &all));
    }
    let mut told = Vec::new();
    for build in builds {
        told.push(queued(&build.end().await.1));
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).expect("short");
    assert!(told.iter().all(|places| places.len() <= 2 + seconds), "{told:?}");
    let slots = Reason::Full(Resource::Backend(BackendId::new("one")));
    assert!(told[39].len() > 1 && told[39].iter().all(|place| place.reason == slots), "{:?}", told[39]);
    assert!(told[39].windows(2).all(|pair| pair[0].ahead > pair[1].ahead), "{:?}", told[39]);
    core.finish().await;
}

#[actix::test]
async fn what_waits_and_does_not_move_is_told_so_once() {
    let all = platforms(&["linux/amd64", "linux/arm64"]);
    let core = Core::with(ScriptedBackend::new("one", 1).on(&all[0], [Act::Hang(Duration::ZERO)])).await;
    let first = core.block(&all[0]).await;
    let waiting = core.begin_for("a", &all[1..]);
    for _ in 0..6 {
        // Something happens in the queue all the time.
        tokio::time::sleep(Duration::from_millis(400)).await;
        let passing = core.begin_for("a", &all[1..]);
        core.until(&passing.id, |state| matches!(state, PlatformState::Queued(_))).await;
        passing.cancel.cancel();
        passing.end().await;
    }
    assert_eq!(core.queue().await.tenants[&tenant("a")].waiting, 1);
    first.cancel.cancel();
    first.end().await;
    assert_eq!(queued(&waiting.end().await.1).len(), 1);
    core.finish().await;
}

/// Whatever happens to builds, each ends once, and nothing stays taken.
#[actix::test]
async fn random_builds_end_once_and_leave_no_slot_taken() {
    for seed in [1, 2, 3] {
        let odds = Odds {
            seed,
            longest: Duration::from_millis(4),
            host_faults: 10,
            user_faults: 5,
            panics: 5,
            losses: 1,
            hangs: 2,
        };
        let one = ScriptedBackend::new("one", 3).at_random(odds);
        let two = ScriptedBackend::new("two", 2).at_random(Odds { seed: seed + 100, ..odds });
        let limits = Limits::default().with(Resource::Slots, 4).each_tenant(3).with(Resource::Memory, 10);
        let config = SupervisorConfig { limits, memory: 2, restarts: 4, ..quick() };
        let core = Core::start(vec![one, two], config).await;
        let all = platforms(&["linux/amd64", "linux/arm64", "linux/riscv64", "linux/386"]);
        let mut builds = Vec::new();
        for number in 0..150_u64 {
            // Any numbers that differ from build to build do.
            let dice = number.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 4;
            let platforms = &all[..=usize::try_from(dice % 4).expect("small")];
            let id = BuildId::generate();
            let mut requests: Vec<_> = platforms.iter().map(|platform| request(&id, platform)).collect();
            for request in &mut requests {
                request.backend = (dice % 3 == 0).then(|| BackendId::new("two"));
                request.steps.memory = (dice % 5 == 0).then_some(dice % 9);
            }
            let policy = if dice % 2 == 0 { FailurePolicy::FailFast } else { FailurePolicy::KeepGoing };
            let share = Share {
                tenant: tenant(["a", "b", "c"][usize::try_from(dice % 3).expect("small")]),
                ..Share::default()
            };
            let build = core.begin_shared(id, requests, policy, share);
            let (cancel, after) = (build.cancel.clone(), Duration::from_millis(dice % 1500));
            actix::spawn(async move {
                tokio::time::sleep(after).await;
                cancel.cancel();
            });
            builds.push((build, platforms.len()));
        }
        let mut built = 0;
        for (build, platforms) in builds {
            let (outcome, events) = build.end().await;
            assert_eq!(outcome.platforms.len(), platforms);
            let is_end = |event: &&EventKind| {
                matches!(event, EventKind::ImageBuilt { .. } | EventKind::PlatformFailed { .. })
            };
            assert_eq!(events.iter().filter(is_end).count(), platforms);
            built += outcome.platforms.iter().filter(|one| one.result.is_ok()).count();
        }
        assert!(built > 50, "only {built} were built");
        Core::assert_free(&core.queue().await);
        core.finish().await;
    }
}

#[actix::test]
async fn a_build_that_ends_early_takes_its_others_out_of_the_queue() {
    let all = platforms(&["linux/amd64", "linux/arm64", "linux/riscv64"]);
    let backend = ScriptedBackend::new("one", 1).on(&all[0], [Act::Fail(user_fault())]);
    let core = Core::with(backend).await;
    let (outcome, _) = core.begin(&all, FailurePolicy::FailFast).end().await;
    assert!(outcome.images().is_err());
    Core::assert_free(&core.queue().await);
    assert_eq!(core.backends[0].started(), all[..1]);
    core.finish().await;
}
