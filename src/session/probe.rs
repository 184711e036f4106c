//! What a session can do on this machine.

use polyarch_actors::Platform;
use serde::{Deserialize, Serialize};

use super::wire::Done;

/// What a session can do on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    /// Whether this is an ordinary user, so that everything happens in a user namespace.
    pub rootless: bool,
    /// How snapshots are kept.
    pub snapshots: Snapshots,
    /// The foreign CPUs whose programs can be run.
    pub emulated: Vec<Emulation>,
    /// What does not work as well as it could, and what to do about it, as sentences.
    pub advice: Vec<String>,
}

/// How snapshots are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshots {
    /// Each layer once, laid over each other by the kernel.
    Overlay,
    /// A whole root file system for each chain of layers.
    Copy,
}

/// A foreign CPU whose programs can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emulation {
    /// The platforms.
    pub platforms: Vec<Platform>,
}

/// Puts together what a helper found out.
pub(super) fn report(rootless: bool, done: Done) -> SessionReport {
    SessionReport { rootless, snapshots: done.snapshots, emulated: Vec::new(), advice: done.problems }
}
