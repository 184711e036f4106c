//! What is kept for a large request that was passed over for too long.

use std::time::Duration;

use polyarch_actors::{
    BuildId, FailurePolicy, PlatformState, SupervisorConfig,
    queue::{Fairness, Limits, Resource, Share},
    testing::{Act, ScriptedBackend, request},
};

use crate::core::{Core, Started, platforms, quick};

/// A supervisor with ten bytes of memory, whose requests hang and bear no waiting.
async fn impatient(texts: &[&str]) -> Core {
    let hang = |backend: ScriptedBackend, platform| backend.on(platform, [Act::Hang(Duration::ZERO)]);
    let backend = platforms(texts).iter().fold(ScriptedBackend::new("one", 8), hang);
    let limits = Limits::default().with(Resource::Memory, 10);
    let fairness = Fairness { patience: Duration::ZERO, ..Fairness::default() };
    Core::start(vec![backend], SupervisorConfig { limits, fairness, ..quick() }).await
}

impl Core {
    /// Begins a build of platforms that take so much memory each.
    fn begin_taking(&self, texts: &[&str], memory: u64) -> Started {
        let id = BuildId::generate();
        let mut requests: Vec<_> = platforms(texts).iter().map(|platform| request(&id, platform)).collect();
        for request in &mut requests {
            request.steps.memory = Some(memory);
        }
        self.begin_shared(id, requests, FailurePolicy::FailFast, Share::default())
    }

    async fn until_it_runs(&self, build: &Started) {
        self.until(&build.id, |state| matches!(state, PlatformState::Running { .. })).await;
    }

    async fn until_it_waits(&self, build: &Started) {
        self.until(&build.id, |state| matches!(state, PlatformState::Queued(_))).await;
    }
}

#[actix::test]
async fn what_was_kept_for_a_build_is_free_when_it_is_cancelled() {
    let core = impatient(&["linux/s390x", "linux/amd64", "linux/arm64", "linux/riscv64"]).await;
    let running = core.begin_taking(&["linux/s390x"], 6);
    core.until_it_runs(&running).await;
    let large = core.begin_taking(&["linux/amd64"], 8);
    core.until_it_waits(&large).await;
    let passes = core.begin_taking(&["linux/arm64"], 2);
    core.until_it_runs(&passes).await;
    // There is enough for it, but that is kept for the large one by now.
    let small = core.begin_taking(&["linux/riscv64"], 2);
    core.until_it_waits(&small).await;
    large.cancel.cancel();
    large.end().await;
    core.until_it_runs(&small).await;
    for build in [running, passes, small] {
        build.cancel.cancel();
        build.end().await;
    }
    core.finish().await;
}
