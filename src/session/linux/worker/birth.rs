//! The first process of a step, between fork and exec.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fmt::Display,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::{fs::OpenOptionsExt as _, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::{
        signal::{Signal, kill},
        stat::{Mode, umask},
    },
    unistd::{Gid, Pid, Uid, chdir, fchown, sethostname, setsid},
};
use polyarch_actors::{Platform, Resource, Ulimit};

use super::{
    plan::{Base, Planned},
    rights, root, system,
    user::User,
    within::within,
};
use crate::machine::binfmt;
use crate::session::{
    error::Failure,
    outcome::Ended,
    step::{Network, Step},
};

/// Everything that the first process needs to become the step.
#[derive(Debug)]
pub(super) struct Birth {
    /// Where the root file system is mounted.
    pub(super) root: PathBuf,
    pub(super) base: Base,
    pub(super) mounts: Vec<Planned>,
    pub(super) user: User,
    pub(super) workdir: PathBuf,
    pub(super) hostname: String,
    pub(super) network: Network,
    pub(super) insecure: bool,
    /// Its limits as a process.
    pub(super) ulimits: BTreeMap<Resource, Ulimit>,
    /// The size of `/dev/shm`, in bytes.
    pub(super) shm_size: u64,
    /// Where it enters the control groups that hold it to its limits.
    pub(super) groups: Vec<File>,
    /// Notes the places for mounts that were made.
    pub(super) made: File,
    /// Takes the reason for a failure.
    pub(super) failure: File,
    /// What filters its system calls.
    pub(super) filter: Vec<libc::sock_filter>,
}

/// A failure that has been told.
pub(super) struct Told(io::Error, String);

/// Names what was tried when the system refused.
pub(super) fn tell<E: Into<io::Error>>(action: impl Display) -> impl FnOnce(E) -> Told {
    move |error| Told(error.into(), action.to_string())
}

/// Runs the command of a step and waits for its end. Everything that it started is gone then.
pub(super) fn run(
    birth: Birth,
    step: &Step,
    environment: BTreeMap<OsString, OsString>,
) -> Result<Ended, Failure> {
    let [program, arguments @ ..] = step.command.as_slice() else {
        return Err(Failure::Execute { program: String::new(), reason: "there is no command".into() });
    };
    let root = birth.root.clone();
    let failure = birth.failure.try_clone().map_err(Failure::system("share a file"))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).stdin(Stdio::null());
    let mut birth = birth;
    system::begin_with(&mut command, move || begin(&mut birth));
    let (tell_start, started) = mpsc::channel();
    let (tell_end, ended) = mpsc::channel();
    // A thread of its own: the namespace of its children can be chosen only once.
    let thread = thread::Builder::new().spawn(move || {
        let child = unshare(CloneFlags::CLONE_NEWPID).map_err(io::Error::from).and_then(|()| command.spawn());
        match child {
            Ok(mut child) => {
                let _ = tell_start.send(Ok(child.id()));
                let _ = tell_end.send(child.wait());
            }
            Err(error) => {
                let _ = tell_start.send(Err(error));
            }
        }
    });
    thread.map_err(Failure::system("start a thread"))?;
    let lost = || Failure::system::<io::Error>("wait for the command")(io::ErrorKind::BrokenPipe.into());
    match started.recv().map_err(|_| lost())? {
        Ok(pid) => wait(pid, &ended, step.timeout),
        Err(error) => {
            let path = step.environment().remove(OsStr::new("PATH")).unwrap_or_default();
            let foreign = within(&root, || foreign(program, &path)).unwrap_or_default();
            Err(explain(&failure, &program.to_string_lossy(), foreign, error))
        }
    }
}

fn wait(
    pid: u32,
    ended: &mpsc::Receiver<io::Result<ExitStatus>>,
    timeout: Option<Duration>,
) -> Result<Ended, Failure> {
    let failed = |error: io::Error| Failure::system("wait for the command")(error);
    let lost = || failed(io::ErrorKind::BrokenPipe.into());
    let status = match timeout {
        None => ended.recv().map_err(|_| lost())?,
        Some(timeout) => match ended.recv_timeout(timeout) {
            Ok(status) => status,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(lost()),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let pid = Pid::from_raw(i32::try_from(pid).map_err(|_| lost())?);
                // All others of its namespace end with the first process.
                let _ = kill(pid, Signal::SIGKILL);
                let _ = ended.recv();
                return Ok(Ended::TimedOut);
            }
        },
    };
    let status = status.map_err(failed)?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, signal) => Ended::Signal(signal.unwrap_or_default()),
    })
}

/// Why a process could not begin: what it told, or that the program cannot be executed.
fn explain(mut failure: &File, program: &str, foreign: Option<&str>, error: io::Error) -> Failure {
    use std::io::Seek as _;
    let mut told = String::new();
    let read = failure.rewind().and_then(|()| failure.read_to_string(&mut told));
    if read.is_ok() && !told.is_empty() {
        return Failure::system(told)(error);
    }
    let reason = match error.raw_os_error() {
        // The C library tries a shell then, which may not be there either.
        Some(libc::ENOEXEC | libc::ENOENT) if foreign.is_some() => {
            format!("it is a program for {}, which is not emulated here", foreign.unwrap_or_default())
        }
        Some(libc::ENOENT) => {
            "the image has no such program, or lacks the interpreter that it names".to_owned()
        }
        _ => error.to_string(),
    };
    Failure::Execute { program: program.to_owned(), reason }
}

/// The CPU that a program is for, if that is another one.
fn foreign(program: &OsStr, path: &OsStr) -> Option<&'static str> {
    let folders = env::split_paths(path).map(|folder| folder.join(program));
    let direct = Path::new(program).to_owned();
    let named = program.as_encoded_bytes().contains(&b'/');
    let found = if named { Some(direct) } else { folders.into_iter().find(|path| path.is_file()) };
    let mut head = Vec::new();
    // A pipe under that name would never open.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(found?);
    file.and_then(|file| file.take(20).read_to_end(&mut head)).ok()?;
    let cpus = binfmt::architectures(&head);
    let host = Platform::host_linux();
    cpus.first().copied().filter(|_| !cpus.iter().any(|cpu| cpu.split('/').next() == Some(host.arch())))
}

/// What the first process does before it executes the command.
fn begin(birth: &mut Birth) -> io::Result<()> {
    become_step(birth).map_err(|Told(error, action)| {
        // If this cannot be written, the number of the error is all there is to say.
        let _ = birth.failure.write_all(action.as_bytes());
        error
    })
}

fn become_step(birth: &mut Birth) -> Result<(), Told> {
    setsid().map_err(tell("start a session"))?;
    for group in &mut birth.groups {
        group.write_all(b"0").map_err(tell("enter a control group"))?;
    }
    let mut namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if birth.network == Network::None {
        namespaces |= CloneFlags::CLONE_NEWNET;
    }
    unshare(namespaces).map_err(tell("make namespaces"))?;
    if birth.network == Network::None {
        system::raise_loopback().map_err(tell("switch the loopback interface on"))?;
    }
    sethostname(&birth.hostname).map_err(tell("set the host name"))?;
    root::enter(birth)?;
    umask(Mode::from_bits_truncate(0o022));
    work_in(&birth.workdir)?;
    for stream in [1, 2] {
        // A user who is not root opens /dev/stdout as well.
        give_stream(stream, &birth.user);
    }
    system::close_on_exec().map_err(tell("close files"))?;
    rights::take(birth)
}

fn work_in(folder: &Path) -> Result<(), Told> {
    let folder = Path::new("/").join(folder);
    let made = if folder.is_dir() { Ok(()) } else { fs::create_dir_all(&folder) };
    made.map_err(tell(format!("make the working directory {}", folder.display())))?;
    chdir(&folder).map_err(tell(format!("work in {}", folder.display())))
}

fn give_stream(stream: i32, user: &User) {
    let owner = (Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)));
    // What is no pipe of ours stays as it is.
    let _ = match stream {
        1 => fchown(io::stdout(), owner.0, owner.1),
        _ => fchown(io::stderr(), owner.0, owner.1),
    };
}
