//! What the backends have in common that build with the native engine: all but where commands run.

use std::{collections::BTreeSet, num::NonZero, sync::Arc, time::Instant};

use polyarch_actors::{
    Availability, BackendId, BuildCx, BuildError, BuildRequest, BuiltImage, Capabilities, ImageOs, Platform,
};

use crate::{
    dockerfile::{Dockerfile, DockerfileError, Plan, PlanOptions, plan},
    engine::{Assembled, Engine, EngineOptions},
    oci::Store,
    session::SharedSession,
};

/// How many builds go on at once: they mostly wait for each other's steps, and only the commands in them and what
/// computes are limited by CPUs.
const SLOTS: usize = 16;

/// An engine and the session in which its commands run.
#[derive(Clone, Debug)]
pub(super) struct Native {
    name: &'static str,
    engine: Arc<Engine>,
    pub(super) session: SharedSession,
    slots: Option<usize>,
}

impl Native {
    /// The builder of the backend `name`.
    pub(super) fn new(
        name: &'static str,
        store: Store,
        session: SharedSession,
        options: EngineOptions,
        slots: Option<usize>,
    ) -> Self {
        let engine = Engine::new(store, Arc::clone(&session), options);
        Self { name, engine, session, slots }
    }

    pub(super) fn id(&self) -> BackendId {
        BackendId::new(self.name)
    }

    pub(super) async fn capabilities(&self) -> Capabilities {
        let version = env!("CARGO_PKG_VERSION");
        let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut can = Capabilities {
            availability: Availability::Usable(format!("native engine {version}")),
            native: Vec::new(),
            emulated: Vec::new(),
            assembles: ImageOs::ALL.to_vec(),
            gives: BTreeSet::new(),
            knows_steps: true,
            fetches_for_others: true,
            slots: self.slots.unwrap_or_else(|| SLOTS.max(2 * cpus)),
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

    pub(super) async fn build(&self, request: BuildRequest, cx: BuildCx) -> Result<BuiltImage, BuildError> {
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
