//! A process in a container: a thread that does what its command line says.

use std::{
    io::{self, PipeWriter, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{codes::refused, documents::Process, program, world::FakeWindows};
use crate::backend::hcs::api::{HcsProcess, HcsResult, StartedProcess};

/// A process, and whether it is to end.
#[derive(Debug, Default)]
pub(super) struct Running {
    is_killed: AtomicBool,
    has_ended: AtomicBool,
    code: std::sync::atomic::AtomicU32,
}

impl Running {
    pub(super) fn kill(&self) {
        self.is_killed.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::SeqCst)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }
}

/// What a program writes to.
pub(super) struct Pipes {
    pub(super) stdout: PipeWriter,
    pub(super) stderr: PipeWriter,
}

impl Pipes {
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.stdout, "{text}\r")
    }
}

/// The handle of a process.
#[derive(Debug)]
struct Handle {
    windows: FakeWindows,
    running: Arc<Running>,
}

impl HcsProcess for Handle {
    fn wait(&self) -> HcsResult<String> {
        self.windows.answer("HcsWaitForProcess", |_| Ok(()))?;
        let mut state = self.windows.state();
        while !self.running.has_ended() {
            let waited = self.windows.world.changed.wait(state);
            state = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        drop(state);
        self.windows.answer("HcsGetProcessInfo", |_| {
            if self.running.is_killed() {
                return refused("HcsGetProcessInfo", 0x8037_0107, "the container was ended");
            }
            let code = self.running.code.load(Ordering::SeqCst);
            // As Windows does, 0 is left out.
            Ok(match code {
                0 => r#"{"ProcessId":4,"Exited":true}"#.to_owned(),
                code => format!(r#"{{"ProcessId":4,"Exited":true,"ExitCode":{code}}}"#),
            })
        })
    }

    fn terminate(&self) -> HcsResult<()> {
        self.windows.answer("HcsTerminateProcess", |_| {
            self.running.kill();
            Ok(())
        })
    }
}

/// Starts a program in a container whose writable layer is at `scratch`.
pub(super) fn start(
    windows: &FakeWindows,
    system: &str,
    scratch: &std::path::Path,
    document: Process,
) -> io::Result<(Arc<Running>, StartedProcess)> {
    let (stdout, to_stdout) = io::pipe()?;
    let (stderr, to_stderr) = io::pipe()?;
    let running = Arc::new(Running::default());
    let pipes = Pipes { stdout: to_stdout, stderr: to_stderr };
    let (of_thread, owned) = (Arc::clone(&running), windows.clone());
    let (scratch, system) = (scratch.to_owned(), system.to_owned());
    thread::spawn(move || {
        let code = program::run(&owned, &of_thread, &scratch, &document, pipes);
        tracing::trace!(system, code, "a program ended");
        of_thread.code.store(code, Ordering::SeqCst);
        let state = owned.state();
        of_thread.has_ended.store(true, Ordering::SeqCst);
        drop(state);
        owned.world.changed.notify_all();
    });
    let process = Box::new(Handle { windows: windows.clone(), running: Arc::clone(&running) });
    Ok((running, StartedProcess { process, stdout: Box::new(stdout), stderr: Box::new(stderr) }))
}
