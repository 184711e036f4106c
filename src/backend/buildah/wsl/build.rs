//! One build, from the request to the image in the store.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use polyarch_actors::{
    BackendId, BuildCx, BuildError, BuildId, BuildRequest, BuiltImage, EventKind, ImageOs,
};
use tokio::{
    io::AsyncReadExt as _,
    time::{MissedTickBehavior, interval},
};

use super::{
    super::{
        export::Exported,
        image_config::is_image_id,
        output::OutputParser,
        pin::{Pinned, Planned},
        version::supports_heredocs,
    },
    arguments::{Build, Place, base_place},
    call::{self, Finished, Input},
    distribution::Entered,
    fetch::{self, Fetched},
    found::Found,
    pack::{Part, pack},
    parts::parts,
    pipe,
    script::{Script, line},
    transport::LinuxTransport,
    work::{Work, host},
};
use crate::oci::Store;

/// How often output is passed on.
const FLUSH: Duration = Duration::from_millis(50);
/// How much of the standard error is kept to say what went wrong.
const LAST_WORDS: usize = 32 << 10;
/// How much of what a script says is read.
const MOST: usize = 64 << 10;

/// What every build needs.
#[derive(Debug)]
pub(super) struct Builder<'a> {
    pub(super) id: BackendId,
    pub(super) store: &'a Store,
    pub(super) transport: &'a dyn LinuxTransport,
    pub(super) found: &'a Found,
}

/// How `buildah build` ended, as far as its streams tell.
pub(super) struct Followed {
    pub(super) call: Finished,
    pub(super) parser: OutputParser,
}

impl Builder<'_> {
    /// Builds one request. When this returns, nothing of the build is running or left but its image.
    pub(super) async fn build(&self, request: &BuildRequest, cx: &BuildCx) -> Result<BuiltImage, BuildError> {
        let started = Instant::now();
        let planned = self.check(request)?;
        let fetched = tokio::select! {
            biased;
            () = cx.cancel.cancelled() => return Err(BuildError::Cancelled),
            fetched = fetch::fetch(self.store, request, cx) => {
                fetched.map_err(|error| planned.blame(error, request))?
            }
        };
        let parts = parts(request, &fetched)?;
        let into = Entered { transport: self.transport, distribution: self.found.distribution.as_deref() };
        let id = BuildId::generate().to_string();
        // Not cut off: what is just beginning could not be told to end.
        let work = Work::begin(into, &id).await?;
        let attempt =
            Attempt { builder: self, request, planned: &planned, cx, fetched: &fetched, into, id: &id };
        let result = tokio::select! {
            biased;
            () = cx.cancel.cancelled() => Err(BuildError::Cancelled),
            result = attempt.run(&work.folder, parts) => result,
        };
        let ended = work.end().await;
        if let Err(left) = ended {
            cx.events.emit(EventKind::Warned { message: format!("{left}; the next build there ends it") });
        }
        let exported = result.map_err(|error| planned.blame(error, request))?;
        Ok(BuiltImage {
            platform: request.platform.clone(),
            manifest: exported.manifest,
            config: exported.config,
            steps: None,
            based: None,
            materials: fetch::materials(&fetched),
            backend: self.id.clone(),
            emulated: cx.emulated,
            retries: 0,
            duration: started.elapsed(),
        })
    }

    /// Refuses what cannot work before anything is fetched.
    fn check(&self, request: &BuildRequest) -> Result<Planned, BuildError> {
        if request.platform.os() != ImageOs::Linux {
            return Err(BuildError::invalid(format!("buildah builds no {} images", request.platform)));
        }
        let planned = Planned::new(request, &self.found.platform)?;
        let version = self.found.version;
        if !supports_heredocs(version) && planned.uses_heredocs() {
            let message =
                format!("the Dockerfile has heredocs (<<), which buildah {version} does not know; 1.33 does");
            return Err(BuildError::invalid(message));
        }
        if self.found.isolation.is_none() && !request.runs_on.is_empty() {
            return Err(host("buildah cannot run a step in the distribution", false));
        }
        let words = request.build_args.iter().chain(&request.labels).flat_map(|(name, value)| [name, value]);
        if words.chain(&request.target).any(|word| word.contains('\0')) {
            return Err(BuildError::invalid("a build argument, label or target has a NUL in it"));
        }
        Ok(planned)
    }
}

/// One request on its way.
pub(super) struct Attempt<'a> {
    pub(super) builder: &'a Builder<'a>,
    pub(super) request: &'a BuildRequest,
    pub(super) planned: &'a Planned,
    pub(super) cx: &'a BuildCx,
    pub(super) fetched: &'a [Fetched],
    pub(super) into: Entered<'a>,
    pub(super) id: &'a str,
}

impl Attempt<'_> {
    async fn run(&self, folder: &str, parts: Vec<Part>) -> Result<Exported, BuildError> {
        let place = Place { folder, id: self.id, found: self.builder.found };
        let images = self.put(&place, parts).await?;
        let followed = self.build(&place, &images).await?;
        self.get(&place, followed).await
    }

    /// Sends everything in. Returns the ids of the base images.
    async fn put(&self, place: &Place<'_>, parts: Vec<Part>) -> Result<Vec<String>, BuildError> {
        let pulls: Vec<String> = self
            .fetched
            .iter()
            .enumerate()
            .map(|(number, base)| {
                let pull = line(&place.pull(&base_place(number), &base.platform));
                format!("id=$({pull}) || exit 1; echo \"$id\" | tail -n 1")
            })
            .collect();
        let script = Script::put(place.folder, &pulls.join("\n"));
        let (mut writer, pieces) = pipe::writer();
        let store = self.builder.store.clone();
        let packing = tokio::task::spawn_blocking(move || {
            // What is not flushed is not sent, and then nobody takes the rest for the whole.
            pack(&store, &parts, &mut writer)
        });
        let sending = call::run(&self.into, &script, Input::Pieces(pieces), MOST);
        let (packed, sent) = tokio::join!(packing, sending);
        let sent = sent.map_err(|error| self.broken(&error.to_string()))?;
        let said = String::from_utf8_lossy(&sent.stdout).into_owned();
        let lines: Vec<&str> = said.lines().map(str::trim).collect();
        // A file of the context that cannot be read is told in its own words; all else by whoever took the archive.
        match packed.map_err(|error| host(error.to_string(), false))? {
            Err(error @ BuildError::Invalid { .. }) => return Err(error),
            Err(_) | Ok(()) if lines.last() != Some(&"done") => return Err(self.broken(&sent.words())),
            packed => packed?,
        }
        let images: Vec<String> = lines[..lines.len() - 1].iter().map(ToString::to_string).collect();
        if images.len() != self.fetched.len() || !images.iter().all(|image| is_image_id(image)) {
            return Err(self.broken(&format!("buildah pull printed {said:?}")));
        }
        Ok(images)
    }

    async fn build(&self, place: &Place<'_>, images: &[String]) -> Result<Followed, BuildError> {
        let pinned: Vec<Pinned> = self
            .fetched
            .iter()
            .zip(images)
            .map(|(base, image)| Pinned {
                reference: base.name().to_owned(),
                platform: base.platform.clone(),
                image: image.clone(),
            })
            .collect();
        let pins = self.planned.pin(&self.request.dockerfile.text, &pinned, &self.request.platform);
        let mut pins = pins.map_err(BuildError::invalid)?;
        pins.by_name.extend(fetch::named(self.request, self.fetched, images));
        // Without a step nothing is isolated.
        let isolation = self.builder.found.isolation.as_deref().unwrap_or("chroot");
        let words = place.build(&Build { request: self.request, isolation, pinned: &pins.by_name })?;
        let script = Script::build(place.folder, &line(&words));
        let names: BTreeMap<String, String> =
            pinned.into_iter().map(|base| (base.image, base.reference)).collect();
        let followed = self.follow(&script, pins.dockerfile.into_bytes(), OutputParser::new(names)).await;
        followed.map_err(|error| self.broken(&error.to_string()))
    }

    /// Passes on what a build prints until it ends.
    async fn follow(
        &self,
        script: &Script,
        dockerfile: Vec<u8>,
        mut parser: OutputParser,
    ) -> io::Result<Followed> {
        let (mut child, stdin) = call::start(&self.into, script).await?;
        call::feed(stdin, Input::Bytes(dockerfile)).await;
        let mut stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (mut out, mut err) = (vec![0; 16 << 10], vec![0; 16 << 10]);
        let (mut out_open, mut err_open) = (true, true);
        let (mut last, mut printed) = (Vec::new(), Vec::new());
        let mut ticks = interval(FLUSH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let emit = |events: Vec<EventKind>| events.into_iter().for_each(|event| self.cx.events.emit(event));
        while out_open || err_open {
            tokio::select! {
                biased;
                _ = ticks.tick() => emit(parser.events()),
                read = stdout.read(&mut out), if out_open => match read? {
                    0 => out_open = false,
                    read => {
                        parser.stdout(&out[..read]);
                        keep(&mut printed, &out[..read]);
                    }
                },
                read = stderr.read(&mut err), if err_open => match read? {
                    0 => err_open = false,
                    read => {
                        parser.stderr(&err[..read]);
                        keep(&mut last, &err[..read]);
                    }
                },
            }
        }
        let code = child.wait().await?.code();
        Ok(Followed { call: Finished { code, stdout: printed, stderr: last }, parser })
    }

    pub(super) fn broken(&self, words: &str) -> BuildError {
        if words.contains("o space left on device") {
            return BuildError::NoSpace { path: format!("/root of {}", self.into.name()) };
        }
        host(format!("buildah in {}: {words}", self.into.name()), true)
    }
}

/// Keeps the end of what a stream has given.
fn keep(kept: &mut Vec<u8>, piece: &[u8]) {
    kept.extend_from_slice(piece);
    let excess = kept.len().saturating_sub(LAST_WORDS);
    kept.drain(..excess);
}
