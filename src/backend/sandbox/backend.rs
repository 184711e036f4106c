//! The backend as the core sees it.

use std::{collections::BTreeSet, num::NonZero, path::PathBuf, sync::Arc, time::Instant};

use futures::{FutureExt as _, future::BoxFuture};
use polyarch_actors::{
    Availability, BackendId, BuildBackend, BuildCx, BuildError, BuildRequest, BuiltImage, Capabilities,
    ImageOs, Platform,
};

use crate::{
    archive::Limits,
    dockerfile::{Dockerfile, DockerfileError, Plan, PlanOptions, plan},
    engine::{Assembled, Engine, EngineOptions},
    oci::Store,
    session::{SharedSession, of_host},
};

/// How the sandbox backend works; the defaults suit a machine of one's own.
#[derive(Clone, Debug, Default)]
pub struct SandboxOptions {
    /// How many builds go on at once; at least 16 if absent.
    pub slots: Option<usize>,
    /// A program that calls [`init`](crate::init) first; this one if absent.
    pub helper: Option<PathBuf>,
    /// How much one layer, or one archive of ADD, may hold. A service that knows what its users build may take less
    /// than the usual.
    pub limits: Limits,
}

/// Builds Linux images, and puts Windows images together whose steps run nothing.
#[derive(Clone, Debug)]
pub struct SandboxBackend {
    engine: Arc<Engine>,
    session: SharedSession,
    options: Arc<SandboxOptions>,
}

/// How many builds go on at once: they mostly wait for each other's steps, and only the commands in them and what
/// computes are limited by CPUs.
const SLOTS: usize = 16;

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

impl SandboxBackend {
    const NAME: &str = "sandbox";

    /// A backend that puts its images into `store`.
    pub fn new(store: Store, options: SandboxOptions) -> Self {
        let (helper, limits) = (options.helper.clone(), options.limits);
        let session = of_host(&store, helper.clone(), limits);
        let engine = EngineOptions { helper, commands: cpus(), limits };
        let engine = Engine::new(store, Arc::clone(&session), engine);
        Self { engine, session, options: Arc::new(options) }
    }

    async fn capabilities(&self) -> Capabilities {
        let version = env!("CARGO_PKG_VERSION");
        let mut can = Capabilities {
            availability: Availability::Usable(format!("native engine {version}")),
            native: Vec::new(),
            emulated: Vec::new(),
            assembles: ImageOs::ALL.to_vec(),
            gives: BTreeSet::new(),
            knows_steps: true,
            slots: self.options.slots.unwrap_or_else(|| SLOTS.max(2 * cpus())),
            advice: Vec::new(),
        };
        match self.session.probe().await {
            Ok(report) => {
                can.native = report.native;
                can.gives = report.gives;
                can.emulated = report.emulated.into_iter().flat_map(|cpu| cpu.platforms).collect();
                can.emulated.retain(|platform| !can.native.contains(platform));
                can.advice = report.advice;
                can.availability =
                    Availability::Usable(format!("native engine {version} ({})", report.manner));
            }
            Err(unusable) => {
                can.advice
                    .push(format!("No RUN works here, because {}: {}", unusable.reason, unusable.advice));
            }
        }
        can
    }

    async fn run(&self, request: BuildRequest, cx: BuildCx) -> Result<BuiltImage, BuildError> {
        let started = Instant::now();
        let (dockerfile, plan) = read(&request)?;
        let (wanted, emulated) = (request.platform.clone(), cx.emulated);
        let built = self.engine.build(request, dockerfile, plan, cx).await?;
        let Assembled { manifest, config, platform, based, steps, materials } = built;
        if !wanted.is_satisfied_by(&platform) {
            return Err(BuildError::WrongPlatform { requested: wanted, built: platform.to_string() });
        }
        let (backend, duration) = (self.id(), started.elapsed());
        Ok(BuiltImage {
            platform,
            manifest,
            config,
            steps,
            based: Some(based),
            materials,
            backend,
            emulated,
            retries: 0,
            duration,
        })
    }
}

/// Plans a request anew: a request that came from another machine brings no plan.
fn read(request: &BuildRequest) -> Result<(Dockerfile, Plan), DockerfileError> {
    let source = &request.dockerfile;
    let dockerfile = Dockerfile::parse(&source.name, &source.text)?;
    let contexts = request.build_contexts.keys().cloned().collect();
    let options = PlanOptions {
        target: request.target.as_deref(),
        platform: &request.platform,
        build_platform: &Platform::host_linux(),
        build_args: &request.build_args,
        contexts: &contexts,
    };
    let plan = plan(&dockerfile, &options)?;
    Ok((dockerfile, plan))
}

impl BuildBackend for SandboxBackend {
    fn id(&self) -> BackendId {
        BackendId::new(Self::NAME)
    }

    fn probe(&self) -> BoxFuture<'_, Capabilities> {
        self.capabilities().boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.session.close().boxed()
    }

    fn build(&self, request: BuildRequest, cx: BuildCx) -> BoxFuture<'_, Result<BuiltImage, BuildError>> {
        self.run(request, cx).boxed()
    }
}
