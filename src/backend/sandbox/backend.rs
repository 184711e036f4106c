//! The backend as the core sees it.

use std::{num::NonZero, sync::Arc, time::Instant};

use futures::{FutureExt as _, future::BoxFuture};
use polyarch_actors::{
    Availability, BackendId, BuildBackend, BuildCx, BuildError, BuildRequest, BuiltImage, Capabilities,
    ImageOs, Platform,
};

use crate::{
    dockerfile::{Dockerfile, DockerfileError, Plan, PlanOptions, plan},
    engine::{Assembled, Engine},
    oci::Store,
};

/// How the sandbox backend works; the defaults suit a machine of one's own.
#[derive(Clone, Debug, Default)]
pub struct SandboxOptions {
    /// How many builds run at once; the number of CPUs if absent.
    pub slots: Option<usize>,
}

/// Puts Linux images together whose steps run nothing.
#[derive(Clone, Debug)]
pub struct SandboxBackend {
    engine: Arc<Engine>,
    options: Arc<SandboxOptions>,
}

impl SandboxBackend {
    const NAME: &str = "sandbox";

    /// A backend that puts its images into `store`.
    pub fn new(store: Store, options: SandboxOptions) -> Self {
        Self { engine: Engine::new(store), options: Arc::new(options) }
    }

    fn capabilities(&self) -> Capabilities {
        let cpus = || std::thread::available_parallelism().map_or(1, NonZero::get);
        Capabilities {
            availability: Availability::Usable(format!(
                "native engine {}, without RUN",
                env!("CARGO_PKG_VERSION")
            )),
            native: Vec::new(),
            emulated: Vec::new(),
            assembles: vec![ImageOs::Linux],
            slots: self.options.slots.unwrap_or_else(cpus).max(1),
            advice: Vec::new(),
        }
    }

    async fn run(&self, request: BuildRequest, cx: BuildCx) -> Result<BuiltImage, BuildError> {
        let started = Instant::now();
        if request.platform.os() != ImageOs::Linux {
            let message = format!("the native engine puts no {} images together", request.platform);
            return Err(BuildError::Invalid { message });
        }
        let (dockerfile, plan) =
            read(&request).map_err(|error| BuildError::Invalid { message: error.to_string() })?;
        let (wanted, emulated) = (request.platform.clone(), cx.emulated);
        let built = self.engine.build(request, dockerfile, plan, cx).await?;
        let Assembled { manifest, config, platform } = built;
        if !wanted.is_satisfied_by(&platform) {
            return Err(BuildError::WrongPlatform { requested: wanted, built: platform.to_string() });
        }
        let (backend, duration) = (self.id(), started.elapsed());
        Ok(BuiltImage { platform, manifest, config, backend, emulated, retries: 0, duration })
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
        async { self.capabilities() }.boxed()
    }

    fn build(&self, request: BuildRequest, cx: BuildCx) -> BoxFuture<'_, Result<BuiltImage, BuildError>> {
        self.run(request, cx).boxed()
    }
}
