//! The first process of a cell: process 1 of a pid namespace, with mounts of its own.
//!
//! It runs one command, reaps whatever the command orphans, and says how the command ended; or it does work of its own.
//! When it dies, the kernel kills everything in the namespace and the mounts go with the last process.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    process::Stdio,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use super::{
    command::{Command, Exit},
    group,
    protocol::Task,
};

/// What a cell tells its guard.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CellReport {
    /// The namespaces are made: the command may come.
    Ready,
    /// The command ended.
    Exited(Exit),
    /// A namespace is not permitted.
    Refused(String),
    /// The command cannot be run.
    Failed(String),
}

/// Runs a cell. Its standard input is a socket to the guard.
pub(super) fn main(work: fn(&str) -> i32) -> i32 {
    // The guard may be gone before this call, and then no signal comes; but then no command comes either.
    if prctl::set_pdeathsig(Signal::SIGKILL).is_err() {
        return 1;
    }
    let Ok(lifeline) = io::stdin().as_fd().try_clone_to_owned() else { return 1 };
    let mut lifeline = UnixStream::from(lifeline);
    let mut requests = match lifeline.try_clone() {
        Ok(reader) => BufReader::new(reader),
        Err(_) => return 1,
    };
    let begun = match own_mounts() {
        Ok(()) => CellReport::Ready,
        Err(reason) => CellReport::Refused(reason),
    };
    if report(&mut lifeline, &begun).is_err() || matches!(begun, CellReport::Refused(_)) {
        return 1;
    }
    if let Some(group) = std::env::args().nth(2) {
        // Not everybody may. Whoever limits what happens here sees whether this worked.
        let _ = group::enter(&group);
    }
    let mut line = String::new();
    let task: Task = match requests.read_line(&mut line).map(|_| serde_json::from_str(&line)) {
        Ok(Ok(task)) => task,
        _ => return 1,
    };
    let ended = match task {
        Task::Run(command) => run(&command).map_or_else(CellReport::Failed, CellReport::Exited),
        Task::Work(order) => CellReport::Exited(Exit { code: Some(work(&order)), signal: None }),
    };
    i32::from(report(&mut lifeline, &ended).is_err())
}

fn report(lifeline: &mut UnixStream, report: &CellReport) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    lifeline.write_all(&line)
}

/// Gives this process mounts of its own, and a `/proc` that shows its own pid namespace.
fn own_mounts() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| format!("no mount namespace: {error}"))?;
    let none: Option<&Path> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|error| format!("mounts cannot be made private: {error}"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, none)
        .map_err(|error| format!("/proc cannot be mounted: {error}"))
}

fn run(command: &Command) -> Result<Exit, String> {
    for folder in &command.mask {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("none"), folder, Some("tmpfs"), flags, None::<&Path>)
            .map_err(|error| format!("{} cannot be hidden: {error}", folder.display()))?;
    }
    let child = command
        .to_std()
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("{} cannot be run: {error}", command.program.display()))?;
    let child = Pid::from_raw(i32::try_from(child.id()).map_err(|error| error.to_string())?);
    loop {
        // As process 1 this one is also the parent of whatever the command orphaned.
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => {
                return Ok(Exit { code: Some(code), signal: None });
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ok(Exit { code: None, signal: Some(signal as i32) });
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(format!("the command was lost: {error}")),
        }
    }
}
