//! Where a program becomes a guard.

use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{cell, session};

/// The first argument that makes this program a guard.
pub(super) const GUARD_ROLE: &str = "__polyarch-guard";
/// The first argument that makes this program the first process of a cell.
pub(super) const CELL_ROLE: &str = "__polyarch-cell";

/// Set once this program is known to become a guard when it is asked to.
static READY: AtomicBool = AtomicBool::new(false);

/// Lets this program serve as its own helper. Call it first in `main`, before any thread is started.
///
/// Returns at once in a normal run. When polyarch executed this program again as a helper, it does that work
/// and never returns.
pub fn init() {
    READY.store(true, Ordering::Relaxed);
    let role = env::args_os().nth(1);
    match role.as_deref().and_then(|role| role.to_str()) {
        Some(GUARD_ROLE) => process::exit(session::main()),
        Some(CELL_ROLE) => process::exit(cell::main()),
        _ => {}
    }
}

/// The program that can be executed as a helper: this one, if [`init`] was called in it.
pub fn helper() -> Option<PathBuf> {
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
