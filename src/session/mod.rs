//! Runs RUN steps: a command on top of layers, isolated, and what it changed as a new layer.
//!
//! What a step is and what it gives is the same everywhere; what runs it depends on the host. On Linux, everything that
//! needs rights happens in helper processes. A [guard](crate::guard) holds each of them, so nothing outlives this
//! process. An ordinary user's guards live in a user namespace.

mod absent;
mod contract;
mod error;
mod host;
#[cfg(target_os = "linux")]
mod linux;
mod outcome;
#[cfg(unix)]
pub mod seatbelt;
mod step;

pub use absent::NoSession;
pub use contract::{Emulation, Output, Session, SessionReport, SharedSession};
pub use error::{Failure, SessionError, Unusable};
pub(crate) use host::of_host;
#[cfg(target_os = "linux")]
pub(crate) use linux::{Below, Hierarchies, serve, work};
#[cfg(target_os = "linux")]
pub use linux::{LinuxSession, SessionOptions, Snapshots};
pub use outcome::{Ended, LayerRecord, RecordKind, Spent, StepOutcome, Stream};
pub use step::{
    Cache, CpuQuota, Emulator, Limits, Mount, MountKind, Network, Secret, SecretSource, SharedLimits,
    Sharing, Source, Step, StepLayer,
};
