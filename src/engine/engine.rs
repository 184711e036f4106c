//! The engine of one process: what its builds share.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use dashmap::DashMap;
use polyarch_actors::{BuildCx, BuildError, BuildRequest, Platform};
use tokio::sync::SemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{
    bases::Puller,
    build::{Build, Task},
    commands::Commands,
    digests::Digests,
    error::blocking,
    flight::Flights,
    imports::Imports,
    origins,
    seal::Assembled,
};
use crate::{
    archive::Limits,
    dockerfile::{Dockerfile, Plan},
    oci::Store,
    registry::{ClientOptions, RegistryClient, RetryLimits, TransferCx},
    session::{Emulation, SharedSession},
};

/// How an engine works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// A program that calls [`init`](crate::init) first; this one if absent.
    pub helper: Option<PathBuf>,
    /// How many commands run at once.
    pub commands: Commands,
    /// How much one layer, or one archive of ADD, may hold.
    pub limits: Limits,
}

/// Builds images from planned Dockerfiles.
#[derive(Debug)]
pub struct Engine {
    pub(super) store: Store,
    pub(super) flights: Flights,
    /// Where commands run.
    pub(super) session: SharedSession,
    pub(super) options: EngineOptions,
    /// Those of contexts that a build uses right now.
    digests: DashMap<PathBuf, Weak<Digests>>,
}

impl Engine {
    /// An engine that puts its images into `store` and runs commands in `session`.
    pub fn new(store: Store, session: SharedSession, options: EngineOptions) -> Arc<Self> {
        Arc::new(Self { store, flights: Flights::default(), session, options, digests: DashMap::new() })
    }

    /// How programs of `platform` run here; nothing where this CPU does by itself.
    pub(super) async fn emulation(&self, platform: &Platform) -> Result<Option<Emulation>, BuildError> {
        // A session that cannot run steps says so when it gets one.
        let Ok(report) = self.session.probe().await else { return Ok(None) };
        if report.native.iter().any(|host| host.runs(platform)) {
            return Ok(None);
        }
        let mut emulated = report.emulated.into_iter();
        let found = emulated.find(|cpu| cpu.platforms.iter().any(|known| known.runs(platform)));
        found.map(Some).ok_or_else(|| BuildError::NoEmulator { platform: platform.clone() })
    }

    /// Waits until a command may run.
    pub(super) async fn turn(&self, cancel: &CancellationToken) -> Result<SemaphorePermit<'_>, BuildError> {
        self.options.commands.turn(cancel).await.ok_or(BuildError::Cancelled)
    }

    /// Builds an image. When the future is dropped, the build ends.
    ///
    /// # Errors
    /// [`BuildError::Invalid`] with the file and line of what is wrong, [`BuildError::StepFailed`] for a command,
    /// [`BuildError::BaseImage`] for an image that is not to be had, [`BuildError::Cancelled`] soon after
    /// `cx.cancel` has fired.
    pub async fn build(
        self: &Arc<Self>,
        request: BuildRequest,
        dockerfile: Dockerfile,
        plan: Plan,
        cx: BuildCx,
    ) -> Result<Assembled, BuildError> {
        let (store, events) = (self.store.clone(), cx.events.clone());
        let (imports, task) = blocking(move || {
            let imports = Imports::read(&store, &request, &events);
            Ok((Arc::new(imports), Task { request, dockerfile, plan }))
        })
        .await
        .map_err(|error| error.of("imported steps"))?;
        let access = task.request.registry.clone();
        let client = RegistryClient::new(ClientOptions::of_process(access, task.request.fetching));
        let mut steps = 0;
        loop {
            let done;
            (done, steps) = self.attempt(&task, &imports, steps, &client, &cx).await;
            match done {
                // A failure that its own clean-up has caused is no news.
                Err(_) if cx.cancel.is_cancelled() => return Err(BuildError::Cancelled),
                // There is one imported layer less than before, so this comes to an end.
                Err(BuildError::Cancelled) if imports.give_way() => {}
                done => return done,
            }
        }
    }

    /// Builds, as long as the imports hold what they promise. Returns how many steps were begun so far too.
    async fn attempt(
        self: &Arc<Self>,
        task: &Task,
        imports: &Arc<Imports>,
        steps: u32,
        client: &RegistryClient,
        cx: &BuildCx,
    ) -> (Result<Assembled, BuildError>, u32) {
        // Dropping this future must end the work too, which goes on in threads of its own.
        let cancel = cx.cancel.child_token();
        let _ends_with_this = cancel.clone().drop_guard();
        let puller = Puller {
            store: self.store.clone(),
            client: client.clone(),
            cx: TransferCx::new(cancel.clone(), RetryLimits::default(), |_| {}),
            pull: task.request.pull,
            events: cx.events.clone(),
        };
        let (engine, task, imports) = (Arc::clone(self), task.clone(), Arc::clone(imports));
        let file = task.dockerfile.file.clone();
        let begin = move || Build::new(engine, task, imports, steps, puller, cancel);
        let build = match blocking(begin).await {
            Ok(build) => Arc::new(build),
            Err(error) => return (Err(error.of(&file)), steps),
        };
        let done = build.run().await;
        origins::save_digests(&build).await;
        (done, build.steps())
    }

    /// What is known of the files in a context, shared with the builds of other platforms.
    pub(super) fn digests(&self, folder: &Path) -> Arc<Digests> {
        self.digests.retain(|_, digests| digests.strong_count() > 0);
        let mut entry = self.digests.entry(folder.to_owned()).or_default();
        entry.upgrade().unwrap_or_else(|| {
            let digests = Arc::new(Digests::open(&self.store, folder));
            *entry = Arc::downgrade(&digests);
            digests
        })
    }
}
