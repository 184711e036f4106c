//! The processes in compute systems: processes of this machine in the job of their system.
//!
//! JUSTIFICATION: processes that do not run before they are in a job are only made by Win32.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    fmt,
    os::windows::io::{AsRawHandle as _, OwnedHandle},
    ptr::null,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::json;
use windows_sys::Win32::System::{
    JobObjects::AssignProcessToJobObject,
    Threading::{
        CREATE_SUSPENDED, CREATE_UNICODE_ENVIRONMENT, CreateProcessW, GetExitCodeProcess, INFINITE,
        PROCESS_INFORMATION, ResumeThread, STARTF_USESTDHANDLES, STARTUPINFOW, TerminateProcess,
        WaitForSingleObject,
    },
};

use crate::{
    failure::{Failure, INVALID_ARGUMENT, Outcome, PROCESS_ALREADY_STOPPED},
    inside, job,
    objects::lock,
    owner,
    pipes::stream,
    process_document::ProcessDocument,
    text::wide,
    win32::{owned, succeeded},
    world::World,
};

/// What is done with the status of a process when it ends.
pub(crate) type Callback = Box<dyn FnOnce(&str) + Send>;

/// A process.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) number: u32,
    handle: OwnedHandle,
    status: Mutex<Status>,
}

#[derive(Default)]
struct Status {
    exit_code: Option<u32>,
    callback: Option<Callback>,
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.exit_code)
    }
}

/// The ends of a process's pipes that its caller gets.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    pub(crate) number: u32,
    pub(crate) stdin: Option<OwnedHandle>,
    pub(crate) stdout: Option<OwnedHandle>,
    pub(crate) stderr: Option<OwnedHandle>,
}

/// Starts a process in a system.
pub(crate) fn start(world: &mut World, id: &str, document: &ProcessDocument) -> Outcome<(Arc<Child>, Pipes)> {
    let own = owner::own(&world.root)?;
    let volume = world.running(id)?.volume.clone();
    let volume = world.volume(&volume);
    if document.command_line.trim().is_empty() {
        return Err(Failure::new(INVALID_ARGUMENT, "there is no command"));
    }
    if document.emulate_console && document.create_std_err_pipe {
        return Err(Failure::new(INVALID_ARGUMENT, "a console has no standard error"));
    }
    let number = world.state.number();
    let job = job::open(&world.root, id)?;

    let (stdin, of_child_in) = stream(document.create_std_in_pipe, number, "in")?;
    let (stdout, of_child_out) = stream(document.create_std_out_pipe, number, "out")?;
    let (stderr, of_child_err) = stream(document.create_std_err_pipe, number, "err")?;
    let startup = STARTUPINFOW {
        cb: u32::try_from(size_of::<STARTUPINFOW>()).unwrap_or_default(),
        dwFlags: STARTF_USESTDHANDLES,
        hStdInput: of_child_in.as_raw_handle(),
        hStdOutput: of_child_out.as_raw_handle(),
        hStdError: of_child_err.as_raw_handle(),
        ..STARTUPINFOW::default()
    };
    let program = inside::program(&volume, &document.command_line).map(|path| wide(&path.to_string_lossy()));
    let mut command_line = wide(&document.command_line);
    let environment = inside::environment(&document.environment);
    let folder = inside::folder(&volume, &document.working_directory)?;
    let folder = wide(&folder.to_string_lossy());
    let mut made = PROCESS_INFORMATION::default();
    // SAFETY: All texts end with a zero, the environment with two, and all of them live until the call returns. Handles
    // are inherited by this child only, because the state is locked, and nobody else's are.
    succeeded(unsafe {
        CreateProcessW(
            program.as_ref().map_or(null(), Vec::as_ptr),
            command_line.as_mut_ptr(),
            null(),
            null(),
            1,
            CREATE_SUSPENDED | CREATE_UNICODE_ENVIRONMENT,
            environment.as_ptr().cast(),
            folder.as_ptr(),
            &raw const startup,
            &raw mut made,
        )
    })?;
    // SAFETY: Both handles were just made for us. It has not run yet, so nothing that it starts is outside the job.
    let handle = unsafe {
        let (handle, thread) = (owned(made.hProcess)?, owned(made.hThread)?);
        if let Err(failure) = succeeded(AssignProcessToJobObject(job.as_raw_handle(), handle.as_raw_handle()))
        {
            TerminateProcess(handle.as_raw_handle(), 1);
            return Err(failure);
        }
        ResumeThread(thread.as_raw_handle());
        handle
    };
    let number = made.dwProcessId;
    world.running(id)?.processes.insert(number, own);
    let child = Arc::new(Child { number, handle, status: Mutex::default() });
    let (watched, id) = (Arc::clone(&child), id.to_owned());
    thread::spawn(move || watched.watch(&id));
    Ok((child, Pipes { number, stdin, stdout, stderr }))
}

impl Child {
    /// Its `ProcessStatus` document. An exit code of 0 is left out, as Windows does with everything that is 0.
    pub(crate) fn status(&self) -> String {
        let mut status = json!({ "ProcessId": self.number });
        match lock(&self.status).exit_code {
            None => status["Exited"] = false.into(),
            Some(0) => status["Exited"] = true.into(),
            Some(code) => {
                status["Exited"] = true.into();
                status["ExitCode"] = code.into();
            }
        }
        status.to_string()
    }

    /// Lets an exit be told from now on; one that was before is not.
    pub(crate) fn listen(&self, callback: Option<Callback>) {
        lock(&self.status).callback = callback;
    }

    /// Kills it.
    pub(crate) fn terminate(&self) -> Outcome<()> {
        if lock(&self.status).exit_code.is_some() {
            return Err(Failure::new(PROCESS_ALREADY_STOPPED, "the process has ended"));
        }
        // SAFETY: The handle is open.
        succeeded(unsafe { TerminateProcess(self.handle.as_raw_handle(), 1) })
    }

    /// Waits for its end, and tells it: first to the state, so that whoever hears of it finds nothing left.
    fn watch(&self, id: &str) {
        let mut code = 1;
        // SAFETY: The handle is open, and there is place for the code.
        unsafe {
            WaitForSingleObject(self.handle.as_raw_handle(), INFINITE);
            GetExitCodeProcess(self.handle.as_raw_handle(), &raw mut code);
        }
        if let Ok(mut world) = World::open() {
            if let Some(system) = world.state.systems.get_mut(id) {
                system.processes.remove(&self.number);
            }
            let _ = world.save();
        }
        let callback = {
            let mut status = lock(&self.status);
            status.exit_code = Some(code);
            status.callback.take()
        };
        if let Some(callback) = callback {
            callback(&self.status());
        }
    }
}
