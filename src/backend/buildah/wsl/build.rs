//! One build, from the request to the image in the store.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use polyarch_actors::{
    BackendId, BuildCx, BuildError, BuildId, BuildRequest, BuiltImage, ContextSource, EventKind, ImageOs,
    NamedContext, SecretSource,
};
use tokio::{
    io::AsyncReadExt as _,
    time::{MissedTickBehavior, interval},
};

use super::{
    super::{
        export::{Exported, Exporter},
        failure::{self, FailedBuild},
        image_config::{ImageConfig, is_image_id},
        layout::Layout,
        output::OutputParser,
        pin::{Pinned, Planned},
        version::supports_heredocs,
    },
    arguments::{Build, CONTEXT, Place, base_place, context_place, secret_place, ssh_place},
    call::{self, Finished, Input},
    distribution::Entered,
    fetch::{self, Fetched},
    pack::{Part, What, pack},
    pipe,
    probe::Found,
    receive::{self, receive},
    script::{Script, line},
    text::decoded,
    transport::LinuxTransport,
    work::{Work, host},
};
use crate::{guard::Exit, oci::Store};

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
struct Followed {
    call: Finished,
    parser: OutputParser,
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

struct Attempt<'a> {
    builder: &'a Builder<'a>,
    request: &'a BuildRequest,
    planned: &'a Planned,
    cx: &'a BuildCx,
    fetched: &'a [Fetched],
    into: Entered<'a>,
    id: &'a str,
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

    /// Asks how the build ended, and takes its image into the store.
    async fn get(&self, place: &Place<'_>, followed: Followed) -> Result<Exported, BuildError> {
        let exporter = Exporter {
            store: self.builder.store.clone(),
            layout: Layout::new(self.builder.store.root().join("backends/buildah")),
            platform: self.request.platform.clone(),
            based: self.fetched.iter().any(|base| base.platform == self.request.platform),
        };
        let mut known = Vec::new();
        for (diff_id, layer) in self.fetched.iter().flat_map(|base| base.base.layers()) {
            exporter.know(diff_id, layer);
            known.push(diff_id.hex().to_owned());
        }
        let (config, layout) =
            (format!("out/{}", receive::CONFIG), format!("{}/out/{}", place.folder, receive::LAYOUT));
        let (inspect, push) = (line(&place.inspect()), line(&place.push()));
        let export = format!(r#"{inspect} "$1" > {config} || exit 1; {push} "$1" oci:{layout}"#);
        let script = Script::get(place.folder, &export, &known.join(" "));
        let failed = |error: io::Error| self.broken(&error.to_string());
        let (mut child, stdin) = call::start(&self.into, &script).await.map_err(failed)?;
        drop(stdin);
        let stdout = child.stdout.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let errors = tokio::spawn(call::first(child.stderr.take(), MOST));
        let mut stdout = tokio::io::BufReader::new(stdout);
        let answer = next_line(&mut stdout).await.map_err(failed)?;
        let mut parser = followed.parser;
        let ended = answer.strip_prefix("ended ").and_then(|code| code.parse::<i32>().ok());
        parser.finish(ended == Some(0)).into_iter().for_each(|event| self.cx.events.emit(event));
        match ended {
            None => {
                let said = errors.await.ok().and_then(Result::ok).unwrap_or_default();
                Err(self.lost(&answer, &followed.call, &decoded(&said)))
            }
            Some(0) => {
                let answer = next_line(&mut stdout).await.map_err(failed)?;
                let Some(image) = answer.strip_prefix("image ").filter(|image| is_image_id(image)) else {
                    let said = errors.await.ok().and_then(Result::ok).unwrap_or_default();
                    return Err(self.broken(&decoded(&said)));
                };
                self.take(exporter, image.to_owned(), stdout).await
            }
            Some(code) => Err(self.failure(code, &followed.call.stderr, &parser)),
        }
    }

    async fn take(
        &self,
        exporter: Exporter,
        image: String,
        mut archive: impl tokio::io::AsyncRead + Unpin,
    ) -> Result<Exported, BuildError> {
        let folder =
            self.builder.store.scratch_dir("wsl-").map_err(|error| host(error.to_string(), false))?;
        let place = folder.path().join("in");
        let (pieces, reader) = pipe::reader();
        let into = place.clone();
        let receiving = tokio::task::spawn_blocking(move || receive(reader, &into));
        let passing = async {
            let mut piece = bytes::BytesMut::with_capacity(64 << 10);
            loop {
                piece.reserve(64 << 10);
                let read = archive.read_buf(&mut piece).await;
                let ends = matches!(read, Ok(0));
                // Once the archive is whole, nobody reads on, and what follows is of no use.
                let sent = match read {
                    Ok(0) => break,
                    Ok(_) => pieces.send(Ok(piece.split().freeze())).await,
                    Err(error) => pieces.send(Err(error)).await,
                };
                if ends || sent.is_err() {
                    break;
                }
            }
            drop(pieces);
        };
        let ((), received) = tokio::join!(passing, receiving);
        let received = received.map_err(|error| host(error.to_string(), false))?;
        received.map_err(|error| self.unreceived(&error))?;
        let taking = tokio::task::spawn_blocking(move || {
            let config =
                std::fs::read(place.join(receive::CONFIG)).and_then(|text| ImageConfig::parse(&text));
            let config = config.map_err(|error| host(format!("the image's config: {error}"), false))?;
            let taken = exporter.take(&image, &place.join(receive::LAYOUT), &config);
            drop(folder);
            taken
        });
        taking.await.map_err(|error| host(error.to_string(), false))?
    }

    fn unreceived(&self, error: &io::Error) -> BuildError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                BuildError::NoSpace { path: self.builder.store.root().display().to_string() }
            }
            _ => self.broken(&format!("its image did not arrive whole: {error}")),
        }
    }

    fn failure(&self, code: i32, stderr: &[u8], parser: &OutputParser) -> BuildError {
        // A shell says with a number above 128 that a signal ended a program.
        let signal = (code > 128 && code < 165).then_some(code - 128);
        let exit = Exit { code: signal.is_none().then_some(code), signal };
        let (instruction, output) = parser.last_step();
        let error = failure::classify_build(&FailedBuild {
            exit,
            stderr: &String::from_utf8_lossy(stderr),
            instruction,
            output: &output,
            platform: &self.request.platform,
            storage: &format!("/root of {}", self.into.name()),
        });
        self.planned.locate(error, self.request, instruction)
    }

    /// The script that builds did not get to its end: whatever carried it was cut off.
    fn lost(&self, answer: &str, call: &Finished, said: &str) -> BuildError {
        let mut words = call.last_words();
        for more in [answer, said].into_iter().filter(|more| !matches!(*more, "" | "lost")) {
            words = format!("{words}; {more}");
        }
        self.broken(&format!("it was lost while it built: {words}"))
    }

    fn broken(&self, words: &str) -> BuildError {
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

async fn next_line(stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    tokio::io::AsyncBufReadExt::read_until(stream, b'\n', &mut line).await?;
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// What is sent: the context, named contexts, base images, secrets and keys.
fn parts(request: &BuildRequest, fetched: &[Fetched]) -> Result<Vec<Part>, BuildError> {
    let ContextSource::Directory(context) = &request.context;
    let ignore = request.dockerfile.ignore.clone();
    let context = What::Context { folder: context.clone(), ignore };
    let mut parts = vec![Part { place: CONTEXT.to_owned(), what: context }];
    for (number, context) in request.build_contexts.values().enumerate() {
        if let NamedContext::Directory(folder) = context {
            let what = What::Context { folder: folder.clone(), ignore: None };
            parts.push(Part { place: context_place(number), what });
        }
    }
    for (number, base) in fetched.iter().enumerate() {
        parts.push(Part { place: base_place(number), what: What::Image(base.base.manifest.clone()) });
    }
    for (number, secret) in request.secrets.iter().enumerate() {
        let value = match &secret.source {
            SecretSource::File(path) => std::fs::read(path),
            SecretSource::Env(name) => std::env::var_os(name)
                .map(std::ffi::OsString::into_encoded_bytes)
                .ok_or_else(|| io::ErrorKind::NotFound.into()),
        };
        let unreadable =
            |error| BuildError::invalid(format!("the secret {:?} cannot be read: {error}", secret.id));
        parts.push(Part { place: secret_place(number), what: What::Private(value.map_err(unreadable)?) });
    }
    for (number, ssh) in request.ssh.iter().enumerate() {
        if ssh.paths.is_empty() {
            let message = format!(
                "the SSH agent {:?} of this machine cannot be reached from there; name a file with a key: --ssh {}=FILE",
                ssh.id, ssh.id
            );
            return Err(BuildError::invalid(message));
        }
        for (key, path) in ssh.paths.iter().enumerate() {
            let value = std::fs::read(path).map_err(|error| {
                BuildError::invalid(format!("the key {} cannot be read: {error}", path.display()))
            })?;
            parts.push(Part { place: ssh_place(number, key), what: What::Private(value) });
        }
    }
    Ok(parts)
}
