//! Where things are on this machine.

use std::path::PathBuf;

/// The environment variable that names the store.
pub const STORE_VARIABLE: &str = "POLYARCH_STORE";
/// The environment variable that names the only backend to use.
pub const BACKEND_VARIABLE: &str = "POLYARCH_BACKEND";

/// The environment variable that says how progress is shown, which buildx reads too.
pub const PROGRESS_VARIABLE: &str = "BUILDKIT_PROGRESS";

/// The store of this user: `$POLYARCH_STORE`, else `/var/lib/polyarch` for root, else `polyarch` in the user's
/// data folder (`$XDG_DATA_HOME` or `~/.local/share` on Linux). `None` where the user has no home.
pub fn default_store() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(STORE_VARIABLE).filter(|value| !value.is_empty()) {
        return Some(named.into());
    }
    if is_root() {
        return Some("/var/lib/polyarch".into());
    }
    Some(directories::BaseDirs::new()?.data_local_dir().join("polyarch"))
}

#[cfg(unix)]
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}
