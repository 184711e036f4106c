//! One build from spec to receipt: prepare, run the platforms, assemble the index, write the outputs, and
//! move names last.

use std::{
    path::PathBuf,
    pin::pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use actix::Addr;
use polyarch_actors::{
    BuildError, BuildId, BuildSupervisor, BuiltImage, Descriptor, DockerfileSource, EventKind, EventSink,
    Fault, Outcome, Platform, ProtocolVersion, RunBuild, Timestamp,
    queue::{Share, Tenant},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::{
    assemble::{Assembly, Cast},
    attest::Facts,
    caches::Caches,
    dockerfile::{Dockerfile, snippet},
    error::{Error, FailedBuild, first_error, with_sources},
    gather::gather,
    images::{Images, blocking, quick},
    oci::{Reference, Store},
    orchestrator::gone,
    output::{Output, Push, Writer},
    prepare::{Prepared, check_files, prepare},
    receipt::{MissingPlatform, PushedReference, Receipt},
    registry::{ClientOptions, RegistryError, RetryLimits, TagState, TransferCx, TransferEvent},
    spec::BuildSpec,
    time_limits::{TimeLimits, watch},
    timings::Timings,
    trace::exporting,
};

/// How often the progress of a push is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// One build on its way.
pub(crate) struct Flow {
    pub(crate) spec: BuildSpec,
    pub(crate) id: BuildId,
    pub(crate) events: EventSink,
    pub(crate) cancel: CancellationToken,
    pub(crate) limits: TimeLimits,
    /// How long it has waited to be begun.
    pub(crate) waited: Duration,
    /// Whose turn its platforms take.
    pub(crate) share: Share,
    pub(crate) supervisor: Addr<BuildSupervisor>,
    pub(crate) store: Store,
    /// The program that guards what fetches repositories.
    pub(crate) helper: Option<PathBuf>,
}

impl Flow {
    /// Runs the build to its end; the last event says the same as the result.
    pub(crate) async fn run(mut self) -> Result<Receipt, Error> {
        let (store, scope) = (self.store.clone(), self.spec.scope.clone());
        self.store = match store_of(store, scope).await {
            Ok(store) => store,
            Err(error) => {
                self.events.emit(EventKind::Finished { error: Some(as_build_error(&error)) });
                return Err(error);
            }
        };
        let events = self.events.subscribe();
        let (result, timings) = futures::join!(self.told(), Timings::collect(events));
        result.map(|receipt| Receipt { timings: Some(timings), ..receipt })
    }

    async fn told(&self) -> Result<Receipt, Error> {
        self.events.emit(EventKind::Started);
        let result = self.in_time().await;
        self.events.emit(EventKind::Finished { error: result.as_ref().err().map(as_build_error) });
        result
    }

    /// Builds, and stops what takes longer than it may.
    async fn in_time(&self) -> Result<Receipt, Error> {
        let mut work = pin!(self.leased());
        let (result, late) = tokio::select! {
            result = &mut work => (result, None),
            part = watch(self.limits, self.waited, self.events.subscribe()) => {
                self.cancel.cancel();
                (work.await, Some(part))
            }
        };
        result.map_err(|error| match late {
            _ if !self.was_cancelled(&error) => error,
            None => Error::Cancelled,
            Some(part) => {
                let limit = self.limits.of(part).unwrap_or_default();
                let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                Error::TimedOut(BuildError::TimedOut { part, limit_ms })
            }
        })
    }

    /// Builds while nobody removes what the build uses, until names point at the result.
    async fn leased(&self) -> Result<Receipt, Error> {
        let _lease = self.store.lease()?;
        self.build().await
    }

    async fn build(&self) -> Result<Receipt, Error> {
        let started = Timestamp::now();
        let spec = self.spec.clone();
        blocking(move || Ok(check_files(&spec)?)).await?;
        // What was fetched goes when this ends, however it ends.
        let fetching = self.transfer(RetryLimits::default());
        let told = |address| self.events.emit(EventKind::Fetched { address });
        let gathered = gather(&self.spec, &self.store, self.helper.as_deref(), &fetching, &told).await?;
        let mut prepared = prepare(&gathered, &self.id)?;
        for message in &prepared.warnings {
            self.events.emit(EventKind::Warned { message: message.clone() });
        }
        if let Some(refusal) = prepared.refusal.take() {
            return Err(refusal);
        }
        let pushes = self.spec.outputs.iter().any(Output::pushes);
        let options = ClientOptions::of_process(self.spec.registry.clone(), self.spec.fetching);
        let images = Images::new(self.store.clone(), options);
        let caches = self.caches(&images);
        if pushes {
            // A registry that cannot be reached should be known before hours of work, not after.
            let names = [Push::Tags, Push::ByDigest].map(|push| self.spec.pushed_names(push)).concat();
            images.check_registries(&names, &self.transfer(quick())).await?;
        }
        caches.check().await?;
        let imports = caches.import(&prepared).await?;
        for request in &mut prepared.requests {
            request.imports.clone_from(&imports);
        }
        let outcome = self.run_platforms(&prepared).await?;
        let built = match outcome.images() {
            Ok(built) => built,
            Err((platform, error)) => {
                return Err(Error::Build(Box::new(FailedBuild {
                    platform: platform.clone(),
                    snippet: place_of(platform, error, &prepared),
                    error: error.clone(),
                    outcome,
                })));
            }
        };
        let missing = outcome.missing().map(|(platform, error)| {
            let message = format!("{platform} is missing in the index: {error}");
            self.events.emit(EventKind::Warned { message });
            MissingPlatform { platform: platform.clone(), error: error.clone() }
        });
        let missing = missing.collect();
        if self.spec.looks_into_bases() {
            for image in &built {
                images.complete(&image.manifest, false, &self.transfer(RetryLimits::default())).await?;
            }
        }
        let facts = Facts::now(&gathered, &prepared, &self.id, started);
        let casts = self.assemble(&built, facts).await?;
        // The image that names mean and receipts tell of is that of the first output.
        let Cast { index, images: told, warnings, .. } = casts[0].clone();
        for message in warnings {
            self.events.emit(EventKind::Warned { message });
        }
        self.events.emit(EventKind::IndexAssembled { index: index.clone() });
        let exported = self.export(&casts, &images).await?;
        let pushed = if pushes { self.push(&images, &casts, &prepared).await? } else { Vec::new() };
        caches.export(&built, &imports, &prepared).await?;
        self.name(&index).await?;
        Ok(Receipt {
            version: ProtocolVersion,
            build: self.id.clone(),
            index,
            images: told,
            missing,
            tags: self.spec.names(),
            pushed,
            exported,
            started,
            finished: Timestamp::now(),
            timings: None,
        })
    }

    async fn run_platforms(&self, prepared: &Prepared) -> Result<Outcome, Error> {
        let message = RunBuild {
            build: self.id.clone(),
            requests: prepared.requests.clone(),
            policy: self.spec.policy,
            share: self.share.clone(),
            events: self.events.clone(),
            cancel: self.cancel.clone(),
        };
        self.supervisor.send(message).await.map_err(gone)
    }

    /// Puts the images into an index for every form that an output wants.
    async fn assemble(&self, built: &[BuiltImage], facts: Vec<Facts>) -> Result<Vec<Cast>, Error> {
        self.check_cancelled()?;
        let (store, spec, cancel) = (self.store.clone(), self.spec.clone(), self.cancel.clone());
        let (assembly, built) = (Assembly { store, spec, facts, cancel }, built.to_vec());
        blocking(move || assembly.casts(&built)).await
    }

    async fn export(&self, casts: &[Cast], registries: &Images) -> Result<Vec<PathBuf>, Error> {
        let mut exported = Vec::new();
        for output in &self.spec.outputs {
            self.check_cancelled()?;
            let of_form = casts.iter().find(|cast| Some(&cast.form) == output.form());
            let Cast { images, index, statements, .. } = of_form.unwrap_or(&casts[0]).clone();
            if let Some(foreign) = output.needs_layers() {
                let cx = self.transfer(RetryLimits::default());
                registries.complete(&index, foreign, &cx).await?;
            }
            let writer = Writer {
                store: self.store.clone(),
                images,
                index,
                names: self.spec.names_of(output),
                epoch: self.spec.epoch()?,
                statements,
                cancel: self.cancel.clone(),
            };
            let to_write = output.clone();
            let span = output.written().map_or_else(Span::none, exporting);
            let written = blocking(move || Ok(writer.write(&to_write)?)).instrument(span).await?;
            let Some(written) = written else { continue };
            self.events.emit(EventKind::Exported { destination: written.place });
            let lacks = matches!(output, Output::Docker { .. } | Output::Load { .. });
            if lacks && !self.spec.attestations.is_empty() {
                let message = "an output of type docker holds no attestations: type=oci and type=registry do";
                self.events.emit(EventKind::Warned { message: message.into() });
            }
            if let Some(message) = written.warning {
                self.events.emit(EventKind::Warned { message });
            }
            // A receipt is read elsewhere too, where a path relative to this folder says nothing.
            exported.extend(written.path.map(|path| std::path::absolute(&path).unwrap_or(path)));
        }
        Ok(exported)
    }

    async fn push(
        &self,
        images: &Images,
        casts: &[Cast],
        prepared: &Prepared,
    ) -> Result<Vec<PushedReference>, Error> {
        let bases = prepared.requests.iter().flat_map(|request| &request.bases);
        let sources: Vec<Reference> = bases.filter_map(|base| base.reference.parse().ok()).collect();
        let mut pushed = Vec::new();
        for Cast { form, index, .. } in casts {
            let targets = self.spec.push_targets(form, &index.digest);
            if targets.is_empty() {
                continue;
            }
            let transfer = self.transfer(RetryLimits::default());
            let published = images.publish(index, &targets, &sources, &transfer).await;
            if let Ok(report) | Err(Error::Publish(report)) = &published {
                for target in report.targets.iter().filter(|target| target.state() == TagState::Moved) {
                    let reference = target.reference.to_string();
                    self.events.emit(EventKind::Pushed { reference, digest: index.digest.clone() });
                }
            }
            let references = published?.targets.into_iter().map(|target| target.reference);
            pushed.extend(
                references.map(|reference| PushedReference { reference, digest: index.digest.clone() }),
            );
        }
        Ok(pushed)
    }

    /// Moves the names in the store, after everything else has gone well.
    async fn name(&self, index: &Descriptor) -> Result<(), Error> {
        let (store, index, tags) = (self.store.clone(), index.clone(), self.spec.names());
        blocking(move || {
            let names = store.lock_names()?;
            tags.iter().try_for_each(|tag| Ok(names.set(tag, &index)?))
        })
        .await
    }

    /// Follows one transfer: its progress and its retries become events of the build.
    fn transfer(&self, limits: RetryLimits) -> TransferCx {
        let events = self.events.clone();
        let attempts = AtomicU32::new(0);
        let shown = Mutex::new(None::<Instant>);
        TransferCx::new(self.cancel.clone(), limits, move |event| match event {
            TransferEvent::Advanced { done, total } => {
                // One chunk is no news: a long push must not crowd the build's other events out of the log.
                let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                if done >= total || shown.is_none_or(|shown| shown.elapsed() >= PROGRESS_INTERVAL) {
                    *shown = Some(Instant::now());
                    events.emit(EventKind::PushProgressed { sent: done, total });
                }
            }
            TransferEvent::Retried { reason, wait, .. } => events.emit(EventKind::Retried {
                attempt: attempts.fetch_add(1, Ordering::Relaxed) + 1,
                delay_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                error: BuildError::registry(reason, true),
            }),
            TransferEvent::RegistryStarted { registry } => events.emit(EventKind::PushStarted { registry }),
            TransferEvent::RegistryFilled { registry } => events.emit(EventKind::PushFinished { registry }),
            _ => {}
        })
    }

    fn caches<'f>(&'f self, images: &'f Images) -> Caches<'f> {
        let cx = self.transfer(RetryLimits::default());
        Caches { spec: &self.spec, store: &self.store, images, events: &self.events, cx }
    }

    fn check_cancelled(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Whether an error is only what cancelling looks like from inside.
    fn was_cancelled(&self, error: &Error) -> bool {
        self.cancel.is_cancelled()
            && match error {
                Error::Build(failed) => failed.error == BuildError::Cancelled,
                Error::Registry(RegistryError::Cancelled) => true,
                Error::Gather(error) => error.is_cancelled(),
                Error::Cache { source, .. } => source.is_cancelled(),
                Error::Output(error) => error.is_cancelled(),
                // Where a tag has moved, or may have, that has to be told.
                Error::Publish(report) => {
                    matches!(first_error(report), Some(RegistryError::Cancelled))
                        && report.targets.iter().all(|target| target.state() == TagState::AsBefore)
                }
                _ => false,
            }
    }
}

/// Where a build of this scope finds and leaves everything.
pub(crate) async fn store_of(store: Store, scope: Option<Tenant>) -> Result<Store, Error> {
    match scope {
        None => Ok(store),
        Some(scope) => blocking(move || Ok(store.scope(&scope)?)).await,
    }
}

/// The lines that an error is about, of the Dockerfile that its platform has.
fn place_of(platform: &Platform, error: &BuildError, prepared: &Prepared) -> Option<String> {
    let request = prepared.requests.iter().find(|request| request.platform == *platform)?;
    let DockerfileSource { name, text, .. } = &request.dockerfile;
    let span = match error {
        BuildError::StepFailed { instruction, .. } => {
            Dockerfile::parse(name, text).ok()?.locate(text, instruction)?
        }
        BuildError::NoBackend { platform, .. } => *prepared.windows_runs.get(platform)?,
        error => error.place().filter(|place| place.file == *name)?.into(),
    };
    Some(snippet(name, text, span))
}

/// The form in which an error travels in events.
pub(crate) fn as_build_error(error: &Error) -> BuildError {
    match error {
        Error::Build(failed) => failed.error.clone(),
        Error::TimedOut(error) => error.clone(),
        Error::Cancelled => BuildError::Cancelled,
        Error::Dockerfile { error, .. } => error.clone().into(),
        Error::Spec(_) | Error::Checks { .. } | Error::Duplicate(_) => BuildError::invalid(error.to_string()),
        Error::Registry(error) => error.into(),
        Error::Publish(report) => first_error(report)
            .map_or_else(|| BuildError::registry(error.to_string(), false), BuildError::from),
        Error::Gather(gather) => match gather.fault() {
            Fault::User => BuildError::invalid(error.to_string()),
            Fault::Registry => BuildError::registry(error.to_string(), false),
            _ => BuildError::Host { reason: error.to_string(), retryable: false },
        },
        Error::Cache { source, .. } => match source.fault() {
            Fault::Registry => BuildError::registry(with_sources(error), false),
            _ => BuildError::Host { reason: with_sources(error), retryable: false },
        },
        Error::Store(_) | Error::Output(_) | Error::Gone { .. } => {
            BuildError::Host { reason: error.to_string(), retryable: false }
        }
    }
}
