//! Runs programs of macOS in Apple's sandbox, called Seatbelt: a profile says what they may do, and the kernel denies the
//! rest.
//!
//! The profile is text that is made here and judged on any system by a reader of its own. What starts `sandbox-exec` and
//! ends what came of it needs Unix and no Mac; only where it leads does.
//!
//! No step of an image runs in it, because no image is for macOS and macOS executes no programs for Linux. It is for the
//! programs that whoever embeds this has run beside a build.

mod confined;
#[cfg(test)]
mod evaluator;
mod group;
mod profile;

pub use confined::{Confined, Seatbelt, SeatbeltError};
pub use profile::{Profile, ProfileError};
