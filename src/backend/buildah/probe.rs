//! What can be built here with buildah, and why not the rest.

use std::path::Path;

use polyarch_actors::{Availability, Capabilities, ImageOs, StepNeed};

use super::{
    flags::gives,
    machine::{Machine, Unusable},
    trial::Trial,
};
use crate::{
    guard::Mode,
    machine::{binfmt, cpu},
};

/// Turns what was found into capabilities.
pub(super) fn capabilities(found: Result<(&Machine, &Trial), &Unusable>, slots: usize) -> Capabilities {
    let (machine, trial) = match found {
        Ok(found) => found,
        Err(unusable) => return Capabilities::unusable(&unusable.reason, &unusable.advice),
    };
    let mut advice = Vec::new();
    let (mut native, mut emulated) = (Vec::new(), Vec::new());
    if trial.isolation.is_some() {
        native = cpu::platforms();
        emulated = emulated_platforms(&mut advice);
        emulated.retain(|platform| !native.contains(platform));
    }
    if machine.version < super::version::HEREDOCS {
        advice.push(format!("buildah {} does not know heredocs (RUN <<EOF); 1.33 does.", machine.version));
    }
    if trial.mode == Mode::Descendants {
        advice.push(
            "Namespaces are not permitted here, so a cancelled build is ended process by process; allow \
             CLONE_NEWPID and mounting /proc (for a container: --privileged) to have the kernel do it."
                .into(),
        );
    }
    match trial.isolation.as_deref() {
        None => advice.push(format!("No RUN works here: {}.", trial.problems.join("; "))),
        Some("chroot") => {
            advice.push(format!("RUN is isolated by chroot only, because of {}.", trial.problems.join("; ")));
        }
        Some(_) => {}
    }
    if trial.driver == "vfs" {
        advice.push("The storage driver is vfs, which copies every layer; install fuse-overlayfs.".into());
    }
    let mut gives = gives(trial.isolation.as_deref(), trial.limits);
    if trial.shares {
        gives.extend([StepNeed::SharedMemory, StepNeed::SharedCpu, StepNeed::SharedProcesses]);
    }
    let isolation = trial.isolation.as_deref().unwrap_or("no");
    let who = if machine.rootless { ", rootless" } else { "" };
    let what = format!("buildah {} ({}, {isolation} isolation{who})", machine.version, trial.driver);
    Capabilities {
        availability: Availability::Usable(what),
        native,
        emulated,
        assembles: vec![ImageOs::Linux],
        gives,
        knows_steps: false,
        fetches_for_others: false,
        slots,
        advice,
    }
}

fn emulated_platforms(advice: &mut Vec<String>) -> Vec<polyarch_actors::Platform> {
    const INSTALL: &str = "apt-get install qemu-user-static binfmt-support";
    let Some(registered) = binfmt::registered(Path::new(binfmt::FOLDER)) else {
        advice.push(format!(
            "binfmt_misc is not mounted, so no CPU is emulated: mount -t binfmt_misc none {}, and {INSTALL}.",
            binfmt::FOLDER
        ));
        return Vec::new();
    };
    let (fixed, loose): (Vec<_>, Vec<_>) = registered.into_iter().partition(|format| format.fixed);
    let mut platforms: Vec<_> = fixed.into_iter().flat_map(|format| format.platforms).collect();
    platforms.sort();
    platforms.dedup();
    if !loose.is_empty() {
        let names: Vec<String> =
            loose.iter().flat_map(|format| &format.platforms).map(ToString::to_string).collect();
        advice.push(format!(
            "The emulators for {} are registered without flag F, so containers cannot use them: {INSTALL}.",
            names.join(", ")
        ));
    } else if platforms.is_empty() {
        advice.push(format!("No emulator is registered: {INSTALL}."));
    }
    platforms
}
