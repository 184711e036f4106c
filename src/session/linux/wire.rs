//! What a session and its helper processes say to each other. Both are the same program, so there is no version.

use std::{collections::BTreeSet, path::PathBuf};

use polyarch_actors::StepNeed;
use serde::{Deserialize, Serialize};

use super::{
    error::Failure,
    outcome::{Ended, Spent},
    probe::Snapshots,
    step::Step,
};
use crate::archive::Limits;

/// The first argument that makes this program execute another in a new user namespace.
pub(super) const USERNS_ROLE: &str = "__polyarch-userns";

/// What a helper is asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Work {
    /// The root of the store.
    pub(super) store: PathBuf,
    /// Where it is noted which blobs are used, if a lease keeps them.
    pub(super) uses: Option<PathBuf>,
    /// The folder of the session in the store.
    pub(super) folder: PathBuf,
    /// A folder on the store's device that only this helper uses. Whatever is left there is removed.
    pub(super) scratch: PathBuf,
    /// How snapshots are kept.
    pub(super) snapshots: Snapshots,
    /// How much one layer may hold.
    pub(super) limits: Limits,
    /// The name of the control group that only helpers in this place use. A helper is in it where it may be.
    pub(super) cgroup: String,
    /// Whether this is a user namespace.
    pub(super) userns: bool,
    /// What to do.
    pub(super) task: Task,
}

/// What a helper does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Task {
    /// Finds out what works here.
    Probe,
    /// Runs a step.
    Run(Box<Step>),
    /// Removes folders, some of whose files may belong to other users of the user namespace.
    Remove(Vec<PathBuf>),
}

/// What a helper answers, in the file [`ANSWER`] of its scratch folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) ended: Ended,
    pub(super) layer: Option<WireLayer>,
    /// How snapshots are kept.
    pub(super) snapshots: Snapshots,
    /// What does not work as well as it could.
    pub(super) problems: Vec<String>,
    /// What not every machine can give to steps, and this one can.
    #[serde(default)]
    pub(super) gives: BTreeSet<StepNeed>,
    /// Where the time of a step went.
    #[serde(default)]
    pub(super) spent: Spent,
}

/// The result of a helper.
pub(super) type Answer = Result<Done, Failure>;

/// A layer, as [`crate::oci::layer::Layer`] has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WireLayer {
    pub(super) digest: polyarch_actors::Digest,
    pub(super) size: u64,
    pub(super) diff_id: polyarch_actors::Digest,
    pub(super) uncompressed_size: u64,
}

/// The file of the answer.
pub(super) const ANSWER: &str = "answer.json";
/// How a helper exits that has no room for its answer.
pub(super) const NO_SPACE: i32 = 28;
/// The file of the records of the new layer.
pub(super) const RECORDS: &str = "records";
