//! What the orchestrator and a guard say to each other.
//!
//! Requests are lines of JSON. Replies are frames: one byte for the kind, four bytes (little endian) for the
//! length, and the content. Both sides are the same program, so there is no version.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::command::{Command, Exit};

/// What a guard does before it exits, and whenever it is asked to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleanup {
    /// Folders whose content is removed.
    pub empty: Vec<Emptied>,
    /// The names of control groups that are removed with all below them, wherever they are at the top of a hierarchy or
    /// below the group of a build there, which goes with the last of them. A killed container runtime leaves its groups, and crun 1.8 does even if all goes well.
    pub cgroups: Vec<String>,
    /// Commands to run then.
    pub commands: Vec<CleanupCommand>,
    /// Storages that lose the layers that are of no use, after the commands, unless every command of the build ended well.
    pub layers: Vec<Layers>,
    /// Files that say that a clean-up is due: removed when all of it worked.
    pub markers: Vec<PathBuf>,
}

/// A folder whose content is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emptied {
    /// The folder.
    pub folder: PathBuf,
    /// How the names begin that are kept.
    pub keep_prefix: Option<String>,
    /// Whether what is in it is of use again unless a command was killed.
    pub only_after_kill: bool,
}

/// A command of a clean-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanupCommand {
    /// The command is needed only if this file holds a JSON list that is not empty.
    pub if_listed: PathBuf,
    /// The command.
    pub command: Command,
    /// What is emptied instead where the list is still not empty after the command.
    pub otherwise: PathBuf,
}

/// The layers of a storage of containers/storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// The file with the list of them.
    pub list: PathBuf,
    /// The files with the lists of images and containers, which are of layers.
    pub users: Vec<PathBuf>,
    /// What holds the folder of each.
    pub folder: PathBuf,
}

/// How completely a guard holds what it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Each command has a pid and mount namespace of its own, which the kernel empties.
    Namespaces,
    /// Namespaces are not permitted here: the guard looks for descendants and kills them one by one.
    Descendants,
}

/// What a guard is told before anything else.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) cleanup: Cleanup,
    /// The control group that its cells enter, where they may.
    pub(super) group: Option<String>,
}

/// Work that this program itself does in a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// What to do, as whatever does it understands it: see `polyarch::init`.
    pub order: String,
    /// Whether more work is about to follow: its cell is made meanwhile.
    pub more: bool,
}

/// What a cell is told to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Task {
    /// Run a program.
    Run(Command),
    /// Do this work itself.
    Work(String),
}

/// What the orchestrator asks of a guard.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    /// The first request. Answered by [`Report::Ready`].
    Setup(Setup),
    /// Run this. Answered by output and [`Report::Exited`] or [`Report::Failed`].
    Run(Command),
    /// Do this work. Answered in the same way.
    Work(Work),
    /// Clean up now. Answered by [`Report::Cleaned`].
    Clean,
}

/// What a guard reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Report {
    Ready(Mode),
    Exited(Exit),
    Failed(String),
    Cleaned(Vec<String>),
}

/// The kinds of frames.
pub(super) const STDOUT: u8 = 1;
pub(super) const STDERR: u8 = 2;
pub(super) const REPORT: u8 = 3;
/// The length of what stands before the content of a frame.
pub(super) const FRAME_HEAD: usize = 5;

/// The head of a frame with `length` bytes of content.
pub(super) fn frame_head(kind: u8, length: usize) -> [u8; FRAME_HEAD] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [kind, a, b, c, d]
}
