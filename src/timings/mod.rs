//! Where the time of a build went: collected from its events, whoever built, and shown as a page.
//!
//! [`Collector`] makes [`Timings`] of events; [`Timings::critical_path`] and [`Timings::emulation`] say what decided
//! their length; [`page`] writes them for people. All of it is pure: the clock is in the events.

mod collect;
mod critical;
#[cfg(test)]
mod critical_tests;
mod emulation;
mod model;
mod page;

pub use collect::Collector;
pub use critical::{CriticalPart, CriticalWork};
pub use emulation::{EmulatedRun, EmulationCost};
pub use model::{
    PhaseKind, PhaseTiming, PlatformEnd, PlatformTiming, PullTiming, Span, StepEnd, StepTiming, Timings,
};
pub use page::{PageBuild, page};
