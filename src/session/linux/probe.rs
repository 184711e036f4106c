//! What the session of Linux can do on this machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use polyarch_actors::{Platform, StepNeed};
use serde::{Deserialize, Serialize};

use super::wire::Done;
use crate::{
    machine::{binfmt, cpu},
    session::{Emulation, Emulator, SessionReport},
};

/// How snapshots are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshots {
    /// Each layer once, laid over each other by the kernel.
    Overlay,
    /// A whole root file system for each chain of layers.
    Copy,
}

/// Puts together what a helper found out.
pub(super) fn report(rootless: bool, done: Done) -> SessionReport {
    let snapshots = match done.snapshots {
        Snapshots::Overlay => "overlay",
        Snapshots::Copy => "copying",
    };
    let who = if rootless { ", rootless" } else { "" };
    SessionReport {
        manner: format!("{snapshots}{who}"),
        native: cpu::platforms(),
        emulated: emulated(),
        gives: StepNeed::OF_LINUX.into_iter().chain(done.gives).collect(),
        advice: done.problems,
    }
}

/// What the kernel emulates, and what emulators that are installed can be registered for a step.
fn emulated() -> Vec<Emulation> {
    let host = Platform::host_linux();
    let registered = binfmt::registered(Path::new(binfmt::FOLDER)).unwrap_or_default();
    let fixed = registered.into_iter().filter(|format| format.fixed);
    let mut emulated: Vec<Emulation> =
        fixed.map(|format| Emulation { platforms: format.platforms, emulator: None }).collect();
    if !has_own_formats() {
        return emulated;
    }
    for (architectures, qemu) in binfmt::cpus() {
        let parse = |architecture: &&str| format!("linux/{architecture}").parse::<Platform>().ok();
        let platforms: Vec<Platform> = architectures.iter().filter_map(parse).collect();
        let known = emulated.iter().any(|other| other.platforms == platforms);
        let native = platforms.contains(&host) || (host.arch() == "amd64" && architectures.contains(&"386"));
        if let (false, false, Some(program)) = (known, native, find(&format!("qemu-{qemu}-static"))) {
            let architecture = architectures[0].to_owned();
            emulated.push(Emulation { platforms, emulator: Some(Emulator { program, architecture }) });
        }
    }
    emulated
}

/// Whether a user namespace can have formats of its own: since Linux 6.7.
fn has_own_formats() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (6, 7))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}
