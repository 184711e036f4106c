//! Where this program becomes its own helper.
//!
//! Work that must end with the program, or needs namespaces of its own, is done by helper processes: this program,
//! executed again with an argument that says what it is to be.

use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicBool, Ordering},
};

/// Set once this program is known to become a helper when it is asked to.
static READY: AtomicBool = AtomicBool::new(false);

/// Lets this program serve as its own helper. Call it first in `main`, before any thread is started.
///
/// Returns at once in a normal run. When polyarch executed this program again as a helper, it does that work
/// and never returns.
pub fn init() {
    READY.store(true, Ordering::Relaxed);
    let role = env::args_os().nth(1);
    let Some(role) = role.as_deref().and_then(|role| role.to_str()) else { return };
    #[cfg(target_os = "linux")]
    let exit = crate::guard::serve(role, crate::session::work).or_else(|| crate::session::serve(role));
    #[cfg(not(target_os = "linux"))]
    let exit = crate::guard::serve(role, |_| 1);
    if let Some(code) = exit {
        process::exit(code);
    }
}

/// The program that can be executed as a helper: this one, if [`init`] was called in it.
pub fn program() -> Option<PathBuf> {
    READY.load(Ordering::Relaxed).then(|| {
        let link = Path::new("/proc/self/exe");
        // The link is right even when an upgrade has replaced the file. But an ordinary user's helper is executed
        // from within a user namespace, where the links of processes outside cannot be followed.
        let here = fs::read_link(link).ok().filter(|path| is_same(path, link));
        match here {
            Some(path) if !nix::unistd::geteuid().is_root() => path,
            // By process id, not `self`: another program may be the one to execute it.
            _ => PathBuf::from(format!("/proc/{}/exe", process::id())),
        }
    })
}

fn is_same(one: &Path, other: &Path) -> bool {
    let file = |path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    file(one).is_some_and(|one| Some(one) == file(other))
}
