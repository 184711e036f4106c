//! What is known of the work behind a step: where it belongs and where its time went.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The stage of the Dockerfile that a step belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepStage {
    /// Its number, from 0 in the order of the file.
    pub number: u32,
    /// Its name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Where the time of a step went, as far as the backend knows. The parts follow each other and take no more than the
/// whole step; what is in none of them was not told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepWork {
    /// What the work is known by: steps that are the same work have one in common.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Digest>,
    /// Whether another platform or build was at the same work, and this step took its result.
    #[serde(skip_serializing_if = "is_false")]
    pub shared: bool,
    /// Whether a command ran for a CPU that this machine has not.
    #[serde(skip_serializing_if = "is_false")]
    pub emulated: bool,
    /// The numbers of the stages that the step could not go on without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<u32>,
    /// Waiting for stages, for others at the same work, and for a turn, in milliseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub waited_ms: u64,
    /// Waiting until images, imported layers or files of ADD were fetched, in milliseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub pulled_ms: u64,
    /// Unpacking the layers below and mounting them, in milliseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub prepared_ms: u64,
    /// Running the command, in milliseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub ran_ms: u64,
    /// Reading files, and compressing and storing the layer, in milliseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub wrote_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
