//! Runs the RUN steps of Linux images: a command on top of layers, isolated, and what it changed as a new layer.
//!
//! Everything that needs rights happens in helper processes. A [guard](crate::guard) holds each of them, so nothing
//! outlives this process. An ordinary user's guards live in a user namespace.

mod client;
mod error;
mod outcome;
mod probe;
mod slot;
mod step;
mod trial;
mod userns;
mod wire;
mod worker;

pub use client::{Session, SessionOptions};
pub use error::{Failure, SessionError, Unusable};
pub use outcome::{Ended, LayerRecord, RecordKind, Spent, StepOutcome, Stream};
pub use probe::{Emulation, SessionReport, Snapshots};
pub use step::{
    Cache, Emulator, Limits, Mount, MountKind, Network, Secret, SecretSource, Sharing, Source, Step,
    StepLayer,
};
pub(crate) use worker::{serve, work};
