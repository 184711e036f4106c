//! Everything that is tested through the public API or the command, in one binary that links once.

#[cfg(target_os = "linux")]
mod cli;
#[cfg(target_os = "linux")]
mod conformance;
mod crowd;
mod dependencies;
mod flows;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "linux")]
mod page;
mod receipts;
mod service;
mod support;
mod timings;
#[cfg(windows)]
mod windows;
