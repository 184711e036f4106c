//! How many files this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for every connection that a server takes and the builds behind them; as many as macOS lets anybody have; and few
/// enough for programs of RUN steps that close every file that there could be.
const WANTED: u64 = 10_240;

/// Lets this process, and those that it starts, have more files open than is usual, as far as they may.
pub(crate) fn open_many() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(WANTED, |most| most.min(WANTED));
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let more = Rlimit { current: Some(wanted), maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, more) {
        tracing::warn!(%error, "no more than {:?} files can be open at once", limit.current);
    }
}
