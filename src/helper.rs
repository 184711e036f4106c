//! Where this program becomes its own helper.
//!
//! Work that must end with the program, or needs namespaces of its own, is done by helper processes: this program,
//! executed again with an argument that says what it is to be.

use std::{
    env,
    path::PathBuf,
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
    #[cfg(target_os = "linux")]
    {
        let role = env::args_os().nth(1);
        let Some(role) = role.as_deref().and_then(|role| role.to_str()) else { return };
        let exit = crate::guard::serve(role, crate::session::work).or_else(|| crate::session::serve(role));
        if let Some(code) = exit {
            std::process::exit(code);
        }
    }
}

/// The program that can be executed as a helper: this one, if [`init`] was called in it.
pub fn program() -> Option<PathBuf> {
    READY.load(Ordering::Relaxed).then(own_path).flatten()
}

#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it may be unknown")]
fn own_path() -> Option<PathBuf> {
    use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

    let is_same = |one: &Path, other: &Path| {
        let file = |path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        file(one).is_some_and(|one| Some(one) == file(other))
    };
    let link = Path::new("/proc/self/exe");
    // The link is right even when an upgrade has replaced the file. But an ordinary user's helper is executed
    // from within a user namespace, where the links of processes outside cannot be followed.
    let here = fs::read_link(link).ok().filter(|path| is_same(path, link));
    Some(match here {
        Some(path) if !nix::unistd::geteuid().is_root() => path,
        // By process id, not `self`: another program may be the one to execute it.
        _ => PathBuf::from(format!("/proc/{}/exe", std::process::id())),
    })
}

#[cfg(not(target_os = "linux"))]
fn own_path() -> Option<PathBuf> {
    env::current_exe().ok()
}
