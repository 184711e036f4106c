//! One build, from the request to the image in the store.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use polyarch_actors::{
    BackendId, BuildCx, BuildError, BuildRequest, BuiltImage, EventKind, ImageOs, Materials, Platform,
    StepNetwork,
};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    bases::{self, Bases, host, lost},
    command::{self, BuildPlan, Storage},
    export::{Exported, Exporter},
    failure::{self, FailedBuild},
    flags::step_limits,
    image_config::{ImageConfig, is_image_id},
    layout::{Layout, folder_name},
    machine::Machine,
    output::OutputParser,
    pin::{Pins, Planned},
    sharing, storage,
    trial::{Trial, start_guard},
    version::supports_heredocs,
    worker::Worker,
};
use crate::{
    guard::{Abandoned, Exit, Guard, Message},
    oci::{Store, digest_of},
};

/// How often output is passed on.
const FLUSH: Duration = Duration::from_millis(50);
/// How much of the standard error is kept to say what went wrong.
const LAST_WORDS: usize = 32 << 10;
/// How much of an image config is read.
const LARGEST_CONFIG: usize = 8 << 20;

/// What every build needs.
#[derive(Debug)]
pub(super) struct Builder<'a> {
    pub(super) id: BackendId,
    pub(super) store: &'a Store,
    pub(super) layout: &'a Layout,
    pub(super) machine: &'a Machine,
    pub(super) trial: &'a Trial,
}

impl Builder<'_> {
    /// Builds one request. When this returns, nothing of the build is running or left but its image and cache.
    pub(super) async fn build(&self, request: &BuildRequest, cx: &BuildCx) -> Result<BuiltImage, BuildError> {
        let started = Instant::now();
        if request.platform.os() != ImageOs::Linux {
            return Err(BuildError::invalid(format!("buildah builds no {} images", request.platform)));
        }
        let build_platform = Platform::host_linux();
        let planned = Planned::new(request, &build_platform)?;
        if !supports_heredocs(self.machine.version) && planned.uses_heredocs() {
            let version = self.machine.version;
            let message =
                format!("the Dockerfile has heredocs (<<), which buildah {version} does not know; 1.33 does");
            return Err(BuildError::invalid(message));
        }
        let isolation = self.isolation(request)?;
        let workers = self.layout.workers(&workers_of(request));
        let project = project(request, self.store);
        let worker = blocking(move || Worker::take(&workers, &project).map_err(host)).await?;
        let before = worker.remember_shared([]).map_err(host)?;
        let unfounded = before.iter().any(|base| !self.layout.images(base).is_dir());
        let names = bases::needed(request).iter().map(bases::name).collect::<Vec<_>>();
        let shared = worker.remember_shared(names).map_err(host)?;
        let shared: Vec<PathBuf> = shared.iter().map(|base| self.layout.images(base)).collect();
        // buildah refuses a shared storage that is no folder, also when it cleans up before anything was fetched.
        shared.iter().try_for_each(fs::create_dir_all).map_err(host)?;
        let storage = worker.storage(&self.machine.program, self.trial, shared);
        let mut guard = start_guard(self.machine, &worker, &storage).await.map_err(lost)?;
        let mut attempt =
            Attempt { builder: self, request, planned, cx, worker: &worker, storage, isolation, unfounded };
        let result = tokio::select! {
            biased;
            () = cx.cancel.cancelled() => Err(BuildError::Cancelled),
            result = attempt.run(&mut guard) => result,
        };
        if guard.end().await == Abandoned::Killed {
            let message = "the helper process of a build did not end and was killed; what it left is removed by \
                           the next build";
            cx.events.emit(EventKind::Warned { message: message.into() });
        }
        let (exported, materials) = result.map_err(|error| attempt.planned.blame(error, request))?;
        Ok(BuiltImage {
            platform: request.platform.clone(),
            manifest: exported.manifest,
            config: exported.config,
            steps: None,
            based: None,
            materials,
            backend: self.id.clone(),
            emulated: cx.emulated,
            retries: 0,
            duration: started.elapsed(),
        })
    }

    fn isolation(&self, request: &BuildRequest) -> Result<&str, BuildError> {
        match self.trial.isolation.as_deref() {
            Some(isolation) => Ok(isolation),
            // Nothing will be isolated.
            None if request.runs_on.is_empty() => Ok("chroot"),
            None => Err(BuildError::Host {
                reason: format!("buildah cannot run a step here: {}", self.trial.problems.join("; ")),
                retryable: false,
            }),
        }
    }
}

struct Attempt<'a> {
    builder: &'a Builder<'a>,
    request: &'a BuildRequest,
    planned: Planned,
    cx: &'a BuildCx,
    worker: &'a Worker,
    storage: Storage,
    isolation: &'a str,
    /// Whether images are gone that the worker's cache rests on.
    unfounded: bool,
}

impl Attempt<'_> {
    async fn run(&mut self, guard: &mut Guard) -> Result<(Exported, Materials), BuildError> {
        self.ready_worker(guard).await?;
        let Builder { machine, layout, store, .. } = *self.builder;
        let bases = Bases { machine, layout, store, events: &self.cx.events, worker: &self.storage };
        let mut pinned = Vec::new();
        for base in bases::needed(self.request) {
            pinned.push(bases.fetch(guard, self.request, &base).await?);
        }
        let build_platform = Platform::host_linux();
        let pins = self.planned.pin(&self.request.dockerfile.text, &pinned, &self.request.platform);
        let mut pins = pins.map_err(BuildError::invalid)?;
        pins.by_name.extend(bases::named(self.request, &pinned));
        let names = pinned.iter().map(|base| (base.image.clone(), base.reference.clone())).collect();
        let image = self.build(guard, &pins, names, &build_platform).await?;
        let exported = self.export(guard, &image).await?;
        Ok((exported, bases.materials(self.request, &pinned)))
    }

    /// Cleans up after a build that was cut off, and forgets a cache that rests on images that are gone.
    async fn ready_worker(&self, guard: &mut Guard) -> Result<(), BuildError> {
        if self.unfounded {
            bases::wipe(guard, &self.storage.root).await?;
        }
        if self.worker.dirty {
            let problems = guard.clean().await.map_err(lost)?;
            if !problems.is_empty() {
                let message = format!("a worker could not be cleaned: {}", problems.join("; "));
                self.cx.events.emit(EventKind::Warned { message });
            }
        }
        fs::create_dir_all(&self.storage.root).map_err(host)
    }

    async fn build(
        &self,
        guard: &mut Guard,
        pins: &Pins,
        names: BTreeMap<String, String>,
        build_platform: &Platform,
    ) -> Result<String, BuildError> {
        let tmp = self.worker.tmp();
        let (dockerfile, id_file) = (tmp.join("Dockerfile"), tmp.join("image-id"));
        fs::write(&dockerfile, &pins.dockerfile).map_err(host)?;
        let ignore_file = self.request.dockerfile.ignore.as_ref().map(|text| (tmp.join("ignore"), text));
        if let Some((path, text)) = &ignore_file {
            fs::write(path, text).map_err(host)?;
        }
        let (cgroup, trial) = (self.worker.cgroup(), self.builder.trial);
        let below = sharing::groups(self.request, self.worker, trial)?;
        let plan = BuildPlan {
            request: self.request,
            version: self.builder.machine.version,
            isolation: self.isolation,
            build_platform,
            dockerfile: &dockerfile,
            ignore_file: ignore_file.as_ref().map(|(path, _)| path.as_path()),
            id_file: &id_file,
            runtime_root: &tmp.join("runtime"),
            cgroup: below.as_ref().map_or(&cgroup, |below| below.path()),
            limits: step_limits(self.request, below.is_some(), trial.limits),
            pinned: &pins.by_name,
            mask: &self.builder.machine.mask,
        };
        let command = command::build(&self.storage, &plan)?;
        let mut parser = OutputParser::new(names);
        let (exit, stderr) = self.follow(guard, &command, &mut parser).await?;
        if exit.code == Some(0) {
            let image = fs::read_to_string(&id_file).map_err(host)?;
            let image = image.trim().trim_start_matches("sha256:").to_owned();
            if is_image_id(&image) {
                return Ok(image);
            }
            let reason = format!("buildah wrote no image id but {image:?}");
            return Err(BuildError::Host { reason, retryable: false });
        }
        let stderr = String::from_utf8_lossy(&stderr);
        let (instruction, output) = parser.last_step();
        let error = failure::classify_build(&FailedBuild {
            exit,
            stderr: &stderr,
            instruction,
            output: &output,
            platform: &self.request.platform,
            memory: self.request.steps.memory,
            of_build: self.request.resources.memory,
            storage: &self.builder.layout.root().display().to_string(),
        });
        Err(self.planned.locate(error, self.request, instruction))
    }

    /// Passes on what a build prints until it ends. Returns the end of its standard error.
    async fn follow(
        &self,
        guard: &mut Guard,
        command: &crate::guard::Command,
        parser: &mut OutputParser,
    ) -> Result<(Exit, Vec<u8>), BuildError> {
        let emit = |events: Vec<EventKind>| events.into_iter().for_each(|event| self.cx.events.emit(event));
        let mut ticks = interval(FLUSH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stderr = Vec::new();
        guard.run(command).await.map_err(lost)?;
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => emit(parser.events()),
                message = guard.next() => match message.map_err(lost)? {
                    Message::Stdout(bytes) => parser.stdout(&bytes),
                    Message::Stderr(bytes) => {
                        parser.stderr(&bytes);
                        stderr.extend_from_slice(&bytes);
                        let excess = stderr.len().saturating_sub(LAST_WORDS);
                        stderr.drain(..excess);
                    }
                    Message::Exited(ended) => {
                        emit(parser.finish(ended.code == Some(0)));
                        return Ok((ended, stderr));
                    }
                },
            }
        }
    }

    async fn export(&self, guard: &mut Guard, image: &str) -> Result<Exported, BuildError> {
        let exporter = Exporter {
            store: self.builder.store.clone(),
            layout: self.builder.layout.clone(),
            platform: self.request.platform.clone(),
            based: bases::needed(self.request).iter().any(|base| base.platform == self.request.platform),
        };
        let folder = self.worker.tmp().join("pushed");
        let known = {
            let (exporter, image) = (exporter.clone(), image.to_owned());
            blocking(move || Ok(exporter.known(&image))).await?
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let config = self.config(guard, image).await?;
        {
            let (exporter, folder) = (exporter.clone(), folder.clone());
            let diff_ids = config.rootfs.diff_ids.clone();
            blocking(move || exporter.prepare(&folder, &diff_ids).map_err(host)).await?;
        }
        let push = command::push(&self.storage, image, &folder);
        let (exit, _, stderr) = guard.output(&push, LAST_WORDS).await.map_err(lost)?;
        if exit.code != Some(0) {
            let storage = self.builder.layout.root().display().to_string();
            let stderr = String::from_utf8_lossy(&stderr);
            let platform = &self.request.platform;
            return Err(failure::classify_pull(exit, &stderr, image, platform, &storage));
        }
        let image = image.to_owned();
        blocking(move || exporter.take(&image, &folder, &config)).await
    }

    /// The config of an image as buildah keeps it.
    async fn config(&self, guard: &mut Guard, image: &str) -> Result<ImageConfig, BuildError> {
        let (root, driver) = (self.storage.root.clone(), self.storage.driver.clone());
        let id = image.to_owned();
        let read = blocking(move || Ok(storage::read_config(&root, &driver, &id).ok())).await?;
        if let Some(config) = read {
            return Ok(config);
        }
        let inspect = command::inspect_config(&self.storage, image);
        let (_, stdout, stderr) = guard.output(&inspect, LARGEST_CONFIG).await.map_err(lost)?;
        ImageConfig::parse(&stdout).map_err(|error| BuildError::Host {
            reason: format!(
                "cannot read the config of {image}: {error}; {}",
                String::from_utf8_lossy(&stderr).trim()
            ),
            retryable: false,
        })
    }
}

/// The workers whose cache may serve a request: buildah's knows nothing of what the steps were given.
fn workers_of(request: &BuildRequest) -> String {
    let platform = folder_name(&request.platform);
    let mut given = request.steps.key();
    given.extend((request.steps.network == StepNetwork::None).then(|| "network none".to_owned()));
    if given.is_empty() {
        return platform;
    }
    let digest = digest_of(given.join("\n").as_bytes());
    format!("{platform}-{}", &digest.hex()[..16])
}

/// What builds have in common whose steps may be the same.
fn project(request: &BuildRequest, store: &Store) -> String {
    let context = request.context.folder();
    // A fetched context is in another folder each time; its Dockerfile is named by where it is from.
    let folder = if store.is_scratch(context) { "".as_ref() } else { context };
    let name = format!("{}\n{}", folder.display(), request.dockerfile.name);
    digest_of(name.as_bytes()).hex().to_owned()
}

/// Runs what blocks on a thread where that is no harm.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(BuildError::Host { reason: format!("buildah backend: {error}"), retryable: false })
    })
}
