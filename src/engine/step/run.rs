//! RUN: a command on top of the stage's layers.

use std::{collections::BTreeMap, ffi::OsString, sync::Arc};

use futures::FutureExt as _;
use polyarch_actors::{BuildError, Descriptor, ImageOs, Platform, StepNetwork, StepOptions};

use super::{
    command::{Command, SCRIPTS},
    mounts::Prepared,
    output::Output,
};
use crate::{
    dockerfile::{ErrorKind, Network, Run, Security, Variables, unfit_run},
    engine::{
        build::Build,
        chain::{Chain, LayerOrigin},
        error::{EngineError, blocking},
        flight::{Failures, How},
        index,
        key::Key,
        layer::{Content, Entries, NewEntry, NewKind},
        meter::Part,
        records::{Record, RecordedLayer},
        reuse::Reuse,
        stage::Stage,
        step::Step,
    },
    session::{self, Ended, Limits, Mount, MountKind, SessionError, SharedLimits, StepLayer},
};

/// Where commands are looked for when nothing says otherwise.
///
/// Source: BuildKit, `util/system/path.go` (`DefaultPathEnvUnix`).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Build arguments that commands see without a declaration, and that change no result.
///
/// Source: Dockerfile reference, "Predefined ARGs".
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

impl Step<'_> {
    pub(super) async fn run(&self, stage: &mut Stage, run: &Run) -> Result<bool, EngineError> {
        let build = self.build;
        let os = stage.platform.os();
        if os == ImageOs::Windows {
            self.check_windows(stage, run).await?;
        }
        let options = &build.request.steps;
        let insecure = run.security == Security::Insecure;
        // The triggers of a base image are known only now.
        if insecure && !options.allow_insecure {
            return Err(EngineError::Invalid(ErrorKind::InsecureNotAllowed.to_string()));
        }
        if run.network == Network::Host && options.refuse_host_network {
            return Err(EngineError::Invalid(ErrorKind::HostNetworkNotAllowed.to_string()));
        }
        let command = Command::new(run, stage);
        let environment = environment(stage);
        let mut mounts = self.mounts(stage, run).await?;
        if let Some((name, text)) = command.script.clone() {
            let (owned, last) = (Arc::clone(build), self.last("script"));
            let chain = blocking(move || script(&owned, &name, text, &last)).await?;
            let source = session::Source::Layers { layers: layers(&chain), path: "/".into() };
            let kind = MountKind::Bind { source, writable: false };
            mounts.mounts.push(Mount { target: SCRIPTS.into(), kind });
        }
        let network = network(run, options);
        let mut given = options.key();
        given.extend(insecure.then(|| "insecure".to_owned()));
        let visible = environment.iter().map(|(name, value)| format!("{name}={value}"));
        let key = Key::new("run")
            .field(&*stage.chain.id())
            .list(&command.arguments)
            .list(command.script.iter().flat_map(|(name, text)| [name, text]))
            .list(visible)
            .field(stage.workdir())
            .field(&stage.config.config.user)
            .field(stage.platform.to_string())
            .field(if network == session::Network::None { "none" } else { "host" })
            .field(mounts.key.clone().end().as_str())
            .option(build.epoch.map(i64::to_le_bytes));
        // Where nothing is given, the key is that of a build that knows no such options.
        let key = if given.is_empty() { key.end() } else { key.list(given).end() };
        let created_by = format!("RUN {}", command.arguments.join(" "));
        let chain = stage.chain.clone();
        let mut step = self.step(stage, &command, environment, &mounts);
        (step.network, step.insecure) = (network, insecure);
        if os == ImageOs::Windows {
            // What this machine cannot run is known before gigabytes are fetched.
            build.engine.session.check(&step).await.map_err(|error| self.failed(error))?;
        }
        // Another build may give the same step more.
        let is_limited = step.limits != Limits::default() || step.shared.is_some();
        let failures = if is_limited { Failures::Own } else { Failures::Shared };
        let work = async {
            let reads = mounts.reads.iter().chain([&chain]);
            for chain in reads {
                self.meter.time(Part::Pulling, build.complete(chain)).await?;
            }
            if let Some(emulation) = build.engine.emulation(&stage.platform).await? {
                step.emulator = emulation.emulator;
                self.meter.emulate();
            }
            self.execute(step, os).await
        };
        let flights = &build.engine.flights;
        let done =
            flights.once(&key, self.records, &build.cancel, self.meter, failures, work.boxed()).await?;
        stage.add(&created_by, done.0);
        Ok(done.1 == How::Cached)
    }

    /// Refuses a RUN that cannot be run on Windows, or for which there is none. Only the triggers of a base image come
    /// so far, all others are refused before anything is fetched.
    async fn check_windows(&self, stage: &Stage, run: &Run) -> Result<(), EngineError> {
        if let Some(unfit) = unfit_run(run) {
            return Err(EngineError::Invalid(unfit.to_string()));
        }
        let report = self.build.engine.session.probe().await;
        let is_windows = |platform: &Platform| platform.os() == ImageOs::Windows;
        if report.is_ok_and(|report| report.native.iter().any(is_windows)) {
            return Ok(());
        }
        let reason = format!("RUN for {} needs a machine with that system", stage.platform);
        Err(EngineError::Invalid(reason))
    }

    fn step(
        &self,
        stage: &Stage,
        command: &Command,
        environment: Variables,
        mounts: &Prepared,
    ) -> session::Step {
        let options = &self.build.request.steps;
        let mut environment = environment;
        for (name, value) in &self.build.request.build_args {
            if PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name)) {
                for name in [name.to_ascii_uppercase(), name.to_ascii_lowercase()] {
                    environment.set_default(&name, value);
                }
            }
        }
        session::Step {
            layers: layers(&stage.chain),
            command: command.arguments.iter().map(OsString::from).collect(),
            env: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            workdir: stage.workdir().into(),
            user: stage.config.config.user.clone(),
            extra_hosts: options.add_hosts.iter().map(|host| (host.name.clone(), host.address)).collect(),
            ulimits: options.ulimits.clone(),
            shm_size: options.shm_size,
            mounts: mounts.mounts.clone(),
            latest_mtime: self.build.epoch,
            os_version: stage.config.platform.os_version.clone(),
            isolation: options.isolation,
            verbatim: command.verbatim,
            limits: Limits::of(options),
            shared: SharedLimits::of(&self.build.request.build, &self.build.request.resources),
            another_follows: self.run_follows,
            ..session::Step::default()
        }
    }

    /// Runs the command and takes what it changed as a layer.
    async fn execute(&self, step: session::Step, os: ImageOs) -> Result<Record, BuildError> {
        let build = self.build;
        let mut output = Output::new(build.events.clone(), self.number);
        let _turn = self.meter.time(Part::Waiting, build.engine.turn(&build.cancel)).await?;
        let ran = build
            .engine
            .session
            .run(step, &mut |stream, bytes| output.write(stream, bytes), &build.cancel)
            .await;
        let mut last = output.finish();
        let outcome = ran.map_err(|error| self.failed(error))?;
        self.meter.add(Part::Preparing, outcome.spent.preparing);
        self.meter.add(Part::Running, outcome.spent.running);
        self.meter.add(Part::Writing, outcome.spent.writing);
        let exit_code = match outcome.ended {
            Ended::Code(0) => 0,
            Ended::Code(code) => code,
            Ended::Signal(signal) => 128 + signal,
            Ended::TimedOut => 124,
            Ended::OutOfMemory(code) => {
                let most = build.request.steps.memory.unwrap_or_default();
                last.push(format!(
                    "a process was killed: the step took more than its {most} bytes of memory (--memory)"
                ));
                code
            }
            Ended::BuildOutOfMemory(code) => {
                let most = build.request.resources.memory.unwrap_or_default();
                last.push(format!(
                    "a process was killed: the steps of the build together took more than its {most} bytes of memory"
                ));
                code
            }
        };
        if exit_code != 0 {
            let instruction = self.text.to_owned();
            return Err(BuildError::StepFailed { instruction, exit_code, output: last });
        }
        let created = super::dispatch::created(build);
        let layer = match outcome.layer {
            None => None,
            Some(layer) => {
                let (store, diff_id) = (build.engine.store.clone(), layer.diff_id.clone());
                let entries = outcome.records.into_iter().map(index::of_record).collect::<Vec<_>>();
                let save = blocking(move || index::save(&store, &diff_id, os, &entries));
                self.meter.time(Part::Writing, save).await.map_err(|error| error.at(self.place))?;
                let blob = Descriptor {
                    media_type: layer.media_type.to_owned(),
                    digest: layer.digest,
                    size: layer.size,
                    annotations: BTreeMap::new(),
                };
                Some(RecordedLayer { blob, diff_id: layer.diff_id })
            }
        };
        Ok(Record { layer, created, build: build.request.build.clone(), imported: false })
    }

    fn failed(&self, error: SessionError) -> BuildError {
        use session::Failure;
        match error {
            SessionError::Cancelled => BuildError::Cancelled,
            SessionError::Step(Failure::System { full: true, .. }) => {
                BuildError::NoSpace { path: self.build.engine.store.root().display().to_string() }
            }
            // What shells say of a command that is not there.
            SessionError::Step(error @ Failure::Execute { .. }) => BuildError::StepFailed {
                instruction: self.text.to_owned(),
                exit_code: 127,
                output: vec![error.to_string()],
            },
            SessionError::Step(
                error @ (Failure::User(_)
                | Failure::Limit { .. }
                | Failure::Layer { .. }
                | Failure::Mount { .. }),
            ) => BuildError::invalid(error.to_string()).at(self.place),
            SessionError::Unusable(unusable) => BuildError::Host {
                reason: format!(
                    "{}: steps cannot be run here: {}; {}",
                    self.place, unusable.reason, unusable.advice
                ),
                retryable: false,
            },
            SessionError::Store(error) => EngineError::from(error).at(self.place),
            SessionError::Told(error) => error.at(self.place),
            error => BuildError::Host { reason: format!("{}: {error}", self.place), retryable: false },
        }
    }
}

/// What a command reaches: what it says itself, else what the build says.
fn network(run: &Run, options: &StepOptions) -> session::Network {
    match (run.network, options.network) {
        (Network::None, _) | (Network::Default, StepNetwork::None) => session::Network::None,
        (Network::Host, _) | (Network::Default, StepNetwork::Host) => session::Network::Host,
        (Network::Default, StepNetwork::Default) => session::Network::Default,
    }
}

/// What a command sees as its environment, but for what changes no result.
fn environment(stage: &Stage) -> Variables {
    let mut environment = stage.variables.clone();
    // Windows has a path of its own, whatever it is called there.
    if stage.platform.os() == ImageOs::Linux {
        environment.set_default("PATH", PATH);
    }
    environment
}

/// A layer that holds a script.
fn script(build: &Build, name: &str, text: String, last: &Reuse) -> Result<Chain, EngineError> {
    let kind = NewKind::File { size: text.len() as u64, content: Content::Inline(text.into_bytes()) };
    let entry = NewEntry { kind, mode: 0o755, uid: 0, gid: 0, modified: 0, xattrs: Vec::new() };
    let entries = Entries::from([(name.as_bytes().to_vec(), entry)]);
    let mut chain = Chain::default();
    if let Some(layer) =
        super::dispatch::to_layer(build, &build.records, &entries, ImageOs::Linux, last)?.layer
    {
        chain.push(layer.blob, layer.diff_id, LayerOrigin::Here);
    }
    Ok(chain)
}

/// A chain as the session knows it.
pub(super) fn layers(chain: &Chain) -> Vec<StepLayer> {
    let layer = |layer: &crate::engine::chain::ChainLayer| StepLayer {
        digest: layer.blob.digest.clone(),
        diff_id: layer.diff_id.clone(),
    };
    chain.layers().iter().map(layer).collect()
}
