//! What is known of the time that a build took. All times are milliseconds from its start.

use polyarch_actors::{BackendId, Platform, StepStage, StepWork, Timestamp};
use serde::{Deserialize, Serialize};

/// Where the time of a build went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// When the build began.
    pub started: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Whether it ended without a result.
    #[serde(default, skip_serializing_if = "is_false")]
    pub failed: bool,
    /// How many events came too fast to be seen; what they said is not in here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u64,
    /// Each platform, in the order in which they were first heard of.
    pub platforms: Vec<PlatformTiming>,
    /// What was done once for all platforms, by its end.
    pub phases: Vec<PhaseTiming>,
}

/// A part of the build's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its beginning, in milliseconds from the start of the build.
    pub start_ms: u64,
    /// Its end, in milliseconds from the start of the build.
    pub end_ms: u64,
}

impl Span {
    /// How long it is, in milliseconds.
    pub fn duration_ms(self) -> u64 {
        self.end_ms.saturating_sub(self.start_ms)
    }
}

/// One platform of the build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformTiming {
    /// Which.
    pub platform: Platform,
    /// Who built it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendId>,
    /// Whether its RUN steps are emulated.
    #[serde(default, skip_serializing_if = "is_false")]
    pub emulated: bool,
    /// From its route to its end.
    #[serde(flatten)]
    pub span: Span,
    /// When a backend first took it; it was queued until then. Absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_ms: Option<u64>,
    /// How it ended.
    pub end: PlatformEnd,
    /// The images that were fetched for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pulls: Vec<PullTiming>,
    /// Its steps by their beginning, those of every attempt.
    pub steps: Vec<StepTiming>,
}

/// How a platform ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlatformEnd {
    /// Its image is in the store.
    Built,
    /// It failed.
    Failed,
    /// It was stopped before its end.
    Stopped,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTiming {
    /// Counts the steps of its platform from 1; another attempt may begin again.
    pub number: u32,
    /// The stage it belongs to, where the backend says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StepStage>,
    /// The instruction as the events have it, cut short where it is very long.
    pub instruction: String,
    /// From its beginning to its end.
    #[serde(flatten)]
    pub span: Span,
    /// How it ended.
    pub end: StepEnd,
    /// Where its time went, where the backend says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Box<StepWork>>,
}

impl StepTiming {
    /// Whether it is a RUN.
    pub fn is_run(&self) -> bool {
        self.instruction.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("RUN "))
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepEnd {
    /// It was done.
    Done,
    /// Its result was there already.
    Cached,
    /// Another platform or build was at the same work, and this step took its result.
    Shared,
    /// It failed.
    Failed,
    /// It was stopped before its end.
    Stopped,
}

/// The fetching of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullTiming {
    /// Its reference.
    pub image: String,
    /// From its beginning to its end.
    #[serde(flatten)]
    pub span: Span,
    /// How many bytes came, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// Something that is done once for all platforms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseTiming {
    /// What.
    pub kind: PhaseKind,
    /// What it is about: an address, a path, a registry or a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// From its beginning to its end.
    #[serde(flatten)]
    pub span: Span,
}

/// What is done once for all platforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseKind {
    /// Fetching a context.
    Fetching,
    /// Planning, and looking whether registries can be reached.
    Preparing,
    /// Reading a cache elsewhere.
    ImportingCache,
    /// Putting the index together.
    Assembling,
    /// Writing an output.
    Exporting,
    /// Filling a registry.
    Pushing,
    /// Moving a tag.
    Tagging,
    /// Writing a cache elsewhere.
    ExportingCache,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
