//! How a build in the distribution ended, and its image on the way into the store.

use std::io;

use polyarch_actors::BuildError;
use tokio::io::AsyncReadExt as _;

use super::{
    super::{
        export::{Exported, Exporter},
        failure::{self, FailedBuild},
        image_config::{ImageConfig, is_image_id},
        layout::Layout,
        output::OutputParser,
    },
    arguments::Place,
    build::{Attempt, Followed},
    call::{self, Finished},
    pipe,
    receive::{self, receive},
    script::{Script, line},
    text::decoded,
    work::host,
};
use crate::guard::Exit;

/// How much of what a script says is read.
const MOST: usize = 64 << 10;

impl Attempt<'_> {
    /// Asks how the build ended, and takes its image into the store.
    pub(super) async fn get(&self, place: &Place<'_>, followed: Followed) -> Result<Exported, BuildError> {
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
            memory: self.request.steps.memory,
            of_build: self.request.resources.memory,
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
}

async fn next_line(stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    tokio::io::AsyncBufReadExt::read_until(stream, b'\n', &mut line).await?;
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}
