//! One step, from the layers below it to the layer of what it changed.

use std::{
    io::Read as _,
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};

use tokio::sync::mpsc::Sender;

use super::{
    api::{ComputeSystem, HcsResult, ReadPipe, StartedProcess},
    compatibility::Isolation,
    document::{Container, Disk},
    error::HcsError,
    failure::HcsFailure,
    fault::code,
    form,
    journal::{Made, OWNER},
    layers,
    machine::{Machine, Noted},
    network::Attachment,
    process_document::ProcessStatus,
    scratch::Scratch,
    stop::Stop,
    task::{Reach, Task},
};
use crate::session::{Ended, Spent, StepOutcome, Stream};

/// How much is read at once of what a command writes, in bytes.
const PIECE: usize = 16 << 10;

/// What the thread of a step tells while it works.
#[derive(Debug)]
pub(super) enum News {
    /// The command begins.
    Started,
    /// The command wrote something.
    Wrote(Stream, Vec<u8>),
}

/// Runs a step, to its end whatever happens. When this returns, nothing is left of it but its layer. It blocks.
pub(super) fn run(
    machine: &Machine,
    task: &Task,
    news: &Sender<News>,
    stop: &Stop,
) -> Result<StepOutcome, HcsFailure> {
    let began = Instant::now();
    stop.check()?;
    let chain = layers::ensure(machine, &task.layers, stop)?;
    let scratch = Scratch::make(machine, &chain.layers)?;
    // The disk of a virtual machine is nobody else's while it runs.
    let volume = match task.isolation {
        Isolation::Process => Some(scratch.mount(stop)?),
        Isolation::HyperV => None,
    };
    let id = machine.journal.system_id();
    let attachment = match task.reach {
        Reach::Nat => Some(Attachment::make(machine, task.isolation, &id, stop)?),
        Reach::Nothing | Reach::Namespace(_) => None,
    };
    let given = match &task.reach {
        Reach::Namespace(namespace) => Some(namespace.as_str()),
        Reach::Nothing | Reach::Nat => None,
    };
    let container = Container {
        owner: OWNER,
        id: &id,
        disk: volume.as_deref().map_or(Disk::Folder(scratch.path()), Disk::Volume),
        below: &chain.layers,
        network: attachment.as_ref().map(Attachment::id).or(given),
        memory: task.memory,
        processor: task.processor,
    };
    let system = System::create(machine, &id, &container.document(), stop)?;
    let mut spent = Spent::default();
    let ran = system.start_and_run(task, news, began, &mut spent);
    // A container that cannot be ended is the greater failure: what it writes on would be in the layer.
    system.end()?;
    // No layer depends on whether it could be removed at once.
    drop(attachment);
    let code = ran?;
    // What it was killed with is no exit code of its own.
    stop.check()?;
    let begun = Instant::now();
    let mut outcome = StepOutcome { ended: Ended::Code(code), layer: None, records: Vec::new(), spent };
    if code == 0 {
        let exported = machine.folder()?;
        scratch.export(exported.path(), volume.is_some())?;
        stop.check()?;
        if let Some((layer, records)) = form::pack(machine, exported.path(), task.latest_mtime, stop)? {
            (outcome.layer, outcome.records) = (Some(layer), records);
        }
        exported.end()?;
    }
    scratch.end()?;
    outcome.spent.writing = begun.elapsed();
    Ok(outcome)
}

/// The container of a step, which ends when this is dropped.
struct System<'m> {
    watched: Watched<'m>,
    system: Arc<dyn ComputeSystem>,
    noted: Noted<'m>,
}

/// Whoever ends the step knows the container, until this is dropped.
struct Watched<'s>(&'s Stop);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.forget();
    }
}

impl<'m> System<'m> {
    fn create(machine: &'m Machine, id: &str, document: &str, stop: &'m Stop) -> Result<Self, HcsFailure> {
        stop.check()?;
        let noted = machine.note(Made::System { id: id.to_owned() })?;
        let system: Arc<dyn ComputeSystem> = Arc::from(machine.api.create_system(id, document)?);
        Ok(Self { watched: Watched(stop), system, noted })
    }

    /// Runs the command in it. Returns its exit code.
    fn start_and_run(
        &self,
        task: &Task,
        news: &Sender<News>,
        began: Instant,
        spent: &mut Spent,
    ) -> Result<i32, HcsFailure> {
        self.watched.0.watch(&self.system)?;
        self.system.start()?;
        self.watched.0.check()?;
        let StartedProcess { process, stdout, stderr } =
            self.system.create_process(&task.process.document())?;
        spent.preparing = began.elapsed();
        let begun = Instant::now();
        let _ = news.blocking_send(News::Started);
        let pipes = [(Stream::Stdout, stdout), (Stream::Stderr, stderr)];
        let (ended, read) = mpsc::channel();
        for (stream, pipe) in pipes {
            let (news, ended) = (news.clone(), ended.clone());
            let work = move || {
                pass_on(pipe, stream, &news);
                let _ = ended.send(());
            };
            thread::Builder::new()
                .name("output".into())
                .spawn(work)
                .map_err(HcsFailure::io("start a thread"))?;
        }
        drop(ended);
        let status = process.wait();
        // A program that goes on in the background would hold the pipes open for ever.
        let finished = self.finish();
        read.iter().for_each(drop);
        spent.running = begun.elapsed();
        finished?;
        let status = status?;
        let read: Option<ProcessStatus> = serde_json::from_str(&status).ok();
        read.and_then(ProcessStatus::code).ok_or(HcsFailure::Status(status))
    }

    /// Has what is in it write what it has not written, and ends it.
    fn finish(&self) -> HcsResult<()> {
        if self.watched.0.check().is_ok()
            && let Err(error) = self.system.shut_down()
        {
            tracing::debug!(%error, "a container does not end by itself");
        }
        ended(self.system.terminate())
    }

    fn end(self) -> Result<(), HcsFailure> {
        let Self { watched, system, noted } = self;
        drop(watched);
        drop(system);
        noted.end()
    }
}

/// That it has ended already is what was wanted.
fn ended(result: HcsResult<()>) -> HcsResult<()> {
    match result {
        Err(HcsError { code: code::ALREADY_STOPPED | code::SYSTEM_NOT_FOUND, .. }) => Ok(()),
        result => result,
    }
}

/// Reads a pipe to its end, whether anybody listens or not: a full pipe would stop the command.
fn pass_on(mut pipe: Box<dyn ReadPipe>, stream: Stream, news: &Sender<News>) {
    let mut piece = vec![0; PIECE];
    loop {
        match pipe.read(&mut piece) {
            Ok(0) => return,
            Ok(read) => {
                let _ = news.blocking_send(News::Wrote(stream, piece[..read].to_owned()));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // The other end of a pipe is gone, which Windows calls an error.
            Err(error) => {
                tracing::debug!(%error, "a pipe ended");
                return;
            }
        }
    }
}
