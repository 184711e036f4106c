//! A backend that does what a test tells it, and is stricter than any real one.

mod odds;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use self::odds::Draw;
pub use self::odds::Odds;
use actix::Arbiter;
use futures::{FutureExt, future::BoxFuture};

use crate::{
    Availability, BackendId, BuildBackend, BuildCx, BuildError, BuildId, BuildRequest, BuiltImage,
    Capabilities, ContextSource, Descriptor, Digest, DockerfileSource, EventKind, ImageOs, LogBytes,
    Materials, Platform, StepNeed,
};

/// What the scripted backend does with one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Builds the image after this long.
    Build(Duration),
    /// Prints this many events first, then builds.
    Chatter(usize),
    /// Fails.
    Fail(BuildError),
    /// Panics.
    Panic,
    /// Runs until it is cancelled, and takes this long to clean up then.
    Hang(Duration),
    /// Takes its own actor down after this long.
    LoseActor(Duration),
    /// Returns an image for another platform.
    BuildWrong(Platform),
}

/// A [`BuildBackend`] with a script per platform. An attempt with no act left builds at once, or does
/// what [`Self::at_random`] draws.
///
/// It keeps a list of what the core did wrong: more builds at once than slots, a request for a platform it
/// never offered, two attempts of one platform at once, events for another build, work after `close`. A test
/// ends with a look at [`Self::violations`].
#[derive(Clone, Debug)]
pub struct ScriptedBackend {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    id: BackendId,
    capabilities: Capabilities,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    script: BTreeMap<Platform, VecDeque<Act>>,
    draw: Option<Draw>,
    running: BTreeSet<(BuildId, Platform)>,
    started: Vec<Platform>,
    most_at_once: usize,
    closed: bool,
    violations: Vec<String>,
}

impl ScriptedBackend {
    /// A backend that runs every Linux platform natively, `slots` at once.
    pub fn new(id: &str, slots: usize) -> Self {
        let native = ["amd64", "arm64", "arm/v7", "riscv64", "s390x", "ppc64le", "386"];
        Self::for_platforms(id, slots, native.iter().filter_map(|cpu| format!("linux/{cpu}").parse().ok()))
    }

    /// A backend that runs these Linux platforms natively, `slots` at once.
    pub fn for_platforms(id: &str, slots: usize, native: impl IntoIterator<Item = Platform>) -> Self {
        Self::with_capabilities(
            id,
            Capabilities {
                availability: Availability::Usable("scripted".into()),
                native: native.into_iter().collect(),
                emulated: Vec::new(),
                assembles: vec![ImageOs::Linux],
                gives: [StepNeed::MemoryLimit, StepNeed::CpuLimit].into(),
                knows_steps: true,
                fetches_for_others: true,
                slots,
                advice: Vec::new(),
            },
        )
    }

    /// A backend with these capabilities.
    pub fn with_capabilities(id: &str, capabilities: Capabilities) -> Self {
        let shared = Shared { id: BackendId::new(id), capabilities, state: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Adds acts for the next attempts of a platform.
    #[must_use]
    pub fn on(self, platform: &Platform, acts: impl IntoIterator<Item = Act>) -> Self {
        self.shared.lock().script.entry(platform.clone()).or_default().extend(acts);
        self
    }

    /// Draws an act for every attempt that has none left.
    #[must_use]
    pub fn at_random(self, odds: Odds) -> Self {
        self.shared.lock().draw = Some(Draw::new(odds));
        self
    }

    /// The platforms that were begun, in that order, one entry an attempt.
    pub fn started(&self) -> Vec<Platform> {
        self.shared.lock().started.clone()
    }

    /// How many builds run now.
    pub fn running(&self) -> usize {
        self.shared.lock().running.len()
    }

    /// The most builds that ran at once.
    pub fn most_at_once(&self) -> usize {
        self.shared.lock().most_at_once
    }

    /// What the core did wrong so far.
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock().violations.clone()
    }

    /// Whether the backend was closed.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }
}

/// A request that runs a command on its own platform.
pub fn request(build: &BuildId, platform: &Platform) -> BuildRequest {
    let dockerfile = DockerfileSource::new("Dockerfile", "FROM scratch\n");
    let context = ContextSource::Directory("/context".into());
    let mut request = BuildRequest::new(build.clone(), platform.clone(), dockerfile, context);
    request.runs_on = BTreeSet::from([platform.clone()]);
    request
}

/// The image that a scripted backend returns for a platform.
pub fn image(id: &BackendId, platform: &Platform) -> BuiltImage {
    let mut sum = [0; 32];
    for (place, byte) in platform.to_string().bytes().enumerate() {
        sum[place % 32] ^= byte;
    }
    let digest = Digest::from_sha256(&sum);
    BuiltImage {
        platform: platform.clone(),
        manifest: Descriptor {
            media_type: "application/vnd.oci.image.manifest.v1+json".into(),
            digest: digest.clone(),
            size: 1,
            annotations: BTreeMap::new(),
        },
        config: digest,
        steps: None,
        based: None,
        materials: Materials::default(),
        backend: id.clone(),
        emulated: false,
        retries: 0,
        duration: Duration::ZERO,
    }
}

impl BuildBackend for ScriptedBackend {
    fn id(&self) -> BackendId {
        self.shared.id.clone()
    }

    fn probe(&self) -> BoxFuture<'_, Capabilities> {
        futures::future::ready(self.shared.capabilities.clone()).boxed()
    }

    fn build(&self, request: BuildRequest, cx: BuildCx) -> BoxFuture<'_, Result<BuiltImage, BuildError>> {
        async move {
            let act = self.shared.begin(&request, &cx);
            let _running =
                Running { shared: &self.shared, key: (request.build.clone(), request.platform.clone()) };
            self.perform(act, &request.platform, &cx).await
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let mut state = self.shared.lock();
        if !state.running.is_empty() {
            state.violations.push("closed while builds ran".into());
        }
        state.closed = true;
        futures::future::ready(()).boxed()
    }
}

impl ScriptedBackend {
    async fn perform(&self, act: Act, platform: &Platform, cx: &BuildCx) -> Result<BuiltImage, BuildError> {
        let id = &self.shared.id;
        match act {
            Act::Build(time) if time.is_zero() => Ok(image(id, platform)),
            Act::Build(time) => tokio::select! {
                () = tokio::time::sleep(time) => Ok(image(id, platform)),
                () = cx.cancel.cancelled() => Err(BuildError::Cancelled),
            },
            Act::Chatter(events) => {
                for _ in 0..events {
                    cx.events.emit(EventKind::StepOutput { step: 1, data: LogBytes(b"line\n".to_vec()) });
                }
                Ok(image(id, platform))
            }
            Act::Fail(error) => Err(error),
            Act::Panic => panic!("the script says so"),
            Act::Hang(clean_up) => {
                cx.cancel.cancelled().await;
                tokio::time::sleep(clean_up).await;
                Err(BuildError::Cancelled)
            }
            Act::LoseActor(after) => {
                tokio::time::sleep(after).await;
                Arbiter::current().stop();
                std::future::pending().await
            }
            Act::BuildWrong(other) => Ok(image(id, &other)),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks what the core did, and takes the next act.
    fn begin(&self, request: &BuildRequest, cx: &BuildCx) -> Act {
        let offered = &self.capabilities;
        let runs = |platform: &Platform| {
            offered.native.iter().chain(&offered.emulated).any(|host| host.runs(platform))
        };
        let mut state = self.lock();
        let mut wrong: Vec<String> = Vec::new();
        if state.closed {
            wrong.push("a build after close".into());
        }
        if state.running.len() >= offered.slots {
            wrong.push(format!("{} builds at once on {} slots", state.running.len() + 1, offered.slots));
        }
        if !request.runs_on.iter().all(runs) {
            wrong.push(format!("{} was never offered", request.platform));
        }
        if *cx.events.build() != request.build {
            wrong.push("events of another build".into());
        }
        if !state.running.insert((request.build.clone(), request.platform.clone())) {
            wrong.push(format!("two attempts of {} at once", request.platform));
        }
        state.violations.extend(wrong);
        state.started.push(request.platform.clone());
        state.most_at_once = state.most_at_once.max(state.running.len());
        let scripted = state.script.get_mut(&request.platform).and_then(VecDeque::pop_front);
        scripted.or_else(|| state.draw.as_mut().map(Draw::act)).unwrap_or(Act::Build(Duration::ZERO))
    }
}

/// Counts a build as running until it ends in any way.
struct Running<'a> {
    shared: &'a Shared,
    key: (BuildId, Platform),
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.lock().running.remove(&self.key);
    }
}
