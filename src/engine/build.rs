//! One build, from a planned Dockerfile to the manifest of an image.
//!
//! Every stage that the target needs is begun at once and goes on as soon as what it needs is there. Steps of one
//! stage follow each other. What computes or waits for the disk runs on threads of its own.

use std::sync::{Arc, atomic::AtomicU32};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use polyarch_actors::{BuildError, BuildRequest, EventSink, ImageOs, Place};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{
    bases::Puller,
    engine::Engine,
    error::EngineError,
    imports::Imports,
    meter::{Meter, Part},
    origins::Found,
    records::Records,
    seal::{self, Assembled},
    spool::Spools,
    stage::Stage,
    step,
};
use crate::dockerfile::{Base, Dockerfile, Instruction, InstructionKind, Plan, PlannedStage, Span};

/// A build on its way.
pub(super) struct Build {
    pub(super) engine: Arc<Engine>,
    pub(super) request: BuildRequest,
    pub(super) dockerfile: Dockerfile,
    pub(super) plan: Plan,
    pub(super) records: Records,
    pub(super) spools: Spools,
    pub(super) puller: Puller,
    pub(super) events: EventSink,
    pub(super) cancel: CancellationToken,
    /// `SOURCE_DATE_EPOCH`: nothing in a new layer is later.
    pub(super) epoch: Option<i64>,
    stages: Vec<OnceCell<Result<Stage, BuildError>>>,
    pub(super) found: Found,
    pub(super) steps: AtomicU32,
}

/// What is to be built.
#[derive(Clone)]
pub(super) struct Task {
    pub(super) request: BuildRequest,
    pub(super) dockerfile: Dockerfile,
    pub(super) plan: Plan,
}

/// How an instruction stands in its Dockerfile.
struct Said<'d> {
    /// The stage it is in.
    of: usize,
    text: &'d str,
    place: &'d Place,
    /// Whether a RUN of the same stage comes later.
    run_follows: bool,
}

impl Build {
    /// Begins a build, whose steps are numbered from `steps` on.
    pub(super) fn new(
        engine: Arc<Engine>,
        Task { request, dockerfile, plan }: Task,
        imports: Arc<Imports>,
        steps: u32,
        puller: Puller,
        cancel: CancellationToken,
    ) -> Result<Self, EngineError> {
        let store = engine.store.clone();
        let epoch = match request.build_args.get("SOURCE_DATE_EPOCH").map(String::as_str) {
            None | Some("") => None,
            Some(text) => Some(text.parse::<i64>().ok().filter(|epoch| *epoch >= 0).ok_or_else(|| {
                EngineError::Invalid(format!("SOURCE_DATE_EPOCH={text} is no number of seconds since 1970"))
            })?),
        };
        Ok(Self {
            records: Records::new(store.clone(), request.cache, request.build.clone(), imports),
            spools: Spools::new(store, engine.options.limits, cancel.clone())?,
            events: puller.events.clone(),
            stages: dockerfile.stages.iter().map(|_| OnceCell::new()).collect(),
            found: Found::default(),
            steps: AtomicU32::new(steps),
            engine,
            request,
            dockerfile,
            plan,
            puller,
            cancel,
            epoch,
        })
    }

    /// Builds the target.
    pub(super) async fn run(self: &Arc<Self>) -> Result<Assembled, BuildError> {
        let mut running: FuturesUnordered<BoxFuture<'_, Result<(), BuildError>>> = FuturesUnordered::new();
        for planned in &self.plan.stages {
            running.push(self.stage(planned.number).map(|built| built.map(drop)).boxed());
        }
        running.push(self.fetch_early().boxed());
        let mut failed: Option<BuildError> = None;
        while let Some(ended) = running.next().await {
            let Err(error) = ended else { continue };
            // What else is running ends too, and is gone when this returns. The first failure is the one to tell. But
            // what runs when an imported layer is not to be had is needed when the build begins again.
            if error != BuildError::Cancelled || !self.records.imports.has_given_way() {
                self.cancel.cancel();
            }
            match &failed {
                None | Some(BuildError::Cancelled) => failed = Some(error),
                Some(_) => {}
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        drop(running);
        let stage = self.stage(self.plan.target).await?;
        // Bases of Windows are large: their layers come when somebody wants them, who finds them by their origin.
        let wanted = match stage.platform.os() {
            ImageOs::Linux => stage.chain.clone(),
            ImageOs::Windows => stage.chain.without_base(),
        };
        self.complete(&wanted).await?;
        seal::seal(self, stage).await
    }

    /// What the image is made of is needed in the end, so its base is fetched while the stages are built.
    async fn fetch_early(&self) -> Result<(), BuildError> {
        let mut number = self.plan.target;
        while let Some(planned) = self.plan.stages.iter().find(|stage| stage.number == number) {
            match &planned.base {
                Base::Stage(parent) => number = *parent,
                Base::Image { .. } if planned.platform.os() == ImageOs::Windows => break,
                Base::Image { reference } => {
                    let base = self.image(reference, &planned.platform).await?;
                    let done = self.puller.complete(&base).await;
                    return done.map_err(|error| self.plan.blame(error, &self.dockerfile.file));
                }
                Base::Scratch | Base::Context { .. } => break,
            }
        }
        Ok(())
    }

    /// A stage, which is built when it is first asked for.
    pub(super) fn stage(self: &Arc<Self>, number: usize) -> BoxFuture<'_, Result<Stage, BuildError>> {
        async move {
            let planned = self.plan.stages.iter().find(|stage| stage.number == number);
            let (Some(planned), Some(cell)) = (planned, self.stages.get(number)) else {
                let message = format!("stage {number} is not among those that the target needs");
                return Err(BuildError::invalid(message));
            };
            cell.get_or_init(|| self.build_stage(planned)).await.clone()
        }
        .boxed()
    }

    async fn build_stage(self: &Arc<Self>, planned: &PlannedStage) -> Result<Stage, BuildError> {
        let written = &self.dockerfile.stages[planned.number];
        let from = self.place(written.span);
        let name = format!("FROM {}", written.base.text);
        let number = self.next_step();
        let meter = Meter::default();
        let begin = async {
            let stage = self.begin(planned, &from, &meter).await.map_err(|error| error.at(&from))?;
            Ok((stage, false))
        };
        let mut stage = self.told(number, planned.number, &name, &meter, begin.boxed()).await?;
        let anew = self.request.anew.contains(&planned.number);
        let records = if anew { self.records.ignored() } else { self.records.clone() };
        let triggers = std::mem::take(&mut stage.config.config.on_build);
        for trigger in &triggers {
            let read = Dockerfile::parse("the base's ONBUILD", &format!("FROM scratch\n{trigger}\n"));
            let read = read.map_err(|error| BuildError::invalid(error.to_string()).at(&from))?;
            for instruction in read.stages.iter().flat_map(|stage| &stage.instructions) {
                let said = Said { of: planned.number, text: trigger, place: &from, run_follows: false };
                let done = self.carry_out(stage, &records, instruction, said).await;
                stage = done.map_err(|error| of_trigger(error, trigger))?;
            }
        }
        if !planned.replaced {
            let is_run = |instruction: &Instruction| matches!(instruction.kind, InstructionKind::Run(_));
            let last_run = written.instructions.iter().rposition(is_run);
            for (at, instruction) in written.instructions.iter().enumerate() {
                let place = self.place(instruction.span);
                let text = self.text_of(instruction);
                let run_follows = last_run.is_some_and(|last| last > at);
                let said = Said { of: planned.number, text: &text, place: &place, run_follows };
                stage = self.carry_out(stage, &records, instruction, said).await?;
            }
        }
        Ok(stage)
    }

    async fn carry_out(
        self: &Arc<Self>,
        mut stage: Stage,
        records: &Records,
        instruction: &Instruction,
        said: Said<'_>,
    ) -> Result<Stage, BuildError> {
        let Said { of, text, place, run_follows } = said;
        let number = self.next_step();
        let meter = Meter::default();
        let work = async {
            let step = step::Step { build: self, records, meter: &meter, number, text, place, run_follows };
            let cached = step.carry_out(&mut stage, instruction).await.map_err(|error| error.at(place))?;
            Ok((stage, cached))
        };
        self.told(number, of, text, &meter, work).await
    }

    /// What a stage begins from.
    async fn begin(
        self: &Arc<Self>,
        planned: &PlannedStage,
        from: &Place,
        meter: &Meter,
    ) -> Result<Stage, EngineError> {
        let platform = &planned.platform;
        match &planned.base {
            Base::Scratch => Ok(Stage::from_scratch(platform.clone())),
            Base::Stage(number) => {
                meter.stage(*number);
                Ok(Stage::after(meter.time(Part::Waiting, self.stage(*number)).await?))
            }
            Base::Image { reference } => {
                let base = meter.time(Part::Pulling, self.image(reference, platform)).await?;
                Ok(Stage::from_base(&base, platform.clone()))
            }
            Base::Context { name } => {
                if let Some(base) = meter.time(Part::Pulling, self.named_image(name, platform)).await? {
                    return Ok(Stage::from_base(&base, platform.clone()));
                }
                let mut stage = Stage::from_scratch(platform.clone());
                step::copy_context(self, &mut stage, name, from, meter).await?;
                Ok(stage)
            }
        }
    }

    fn place(&self, span: Span) -> Place {
        span.place(&self.dockerfile.file)
    }

    /// An instruction on one line, without its documents.
    fn text_of(&self, instruction: &Instruction) -> String {
        let text = self.request.dockerfile.text.get(instruction.span.start..instruction.span.end);
        let mut text = text.unwrap_or_default();
        if step::has_documents(&instruction.kind) {
            text = text.lines().next().unwrap_or_default();
        }
        let words = text.split_whitespace().filter(|word| !matches!(*word, "\\" | "`"));
        words.collect::<Vec<_>>().join(" ")
    }
}

/// What a trigger of the base did wrong, which is not written in the file.
fn of_trigger(mut error: BuildError, trigger: &str) -> BuildError {
    if let BuildError::Invalid { message, .. } = &mut error {
        *message = format!("ONBUILD {trigger} of the base: {message}");
    }
    error
}
