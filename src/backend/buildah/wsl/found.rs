//! What a distribution has, from what the probe says.

use std::collections::BTreeSet;

use polyarch_actors::{Availability, Capabilities, ImageOs, Platform};

use super::{
    super::{
        flags::gives,
        version::{BuildahVersion, HEREDOCS, OLDEST},
    },
    probe::{Unusable, unusable},
};
use crate::machine::binfmt;

/// How a person gets what is missing.
const INSTALL: &str = "apt-get update && apt-get install -y buildah crun qemu-user-static";

/// What was found in a distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its name; absent where there is but one Linux.
    pub(super) distribution: Option<String>,
    /// The platform that its CPU runs.
    pub(super) platform: Platform,
    pub(super) version: BuildahVersion,
    /// The storage driver.
    pub(super) driver: String,
    /// The strongest isolation that works; `None` when no RUN works.
    pub(super) isolation: Option<String>,
    /// Whether steps can be given limits of memory and CPU time.
    pub(super) limits: bool,
    emulated: Vec<Platform>,
    /// What could be better, one sentence each.
    advice: Vec<String>,
}

#[cfg(test)]
impl Found {
    /// A distribution with everything, for one platform.
    pub(super) fn for_tests(platform: Platform) -> Self {
        Self {
            distribution: None,
            platform,
            version: OLDEST,
            driver: "overlay".into(),
            isolation: Some("oci".into()),
            limits: true,
            emulated: Vec::new(),
            advice: Vec::new(),
        }
    }
}

/// Reads what the probe says: a word and a text on each line.
pub(super) fn read(text: &str) -> Result<Found, Unusable> {
    let values = |word: &str| -> Vec<&str> {
        let of_word = |line| str::strip_prefix(line, word)?.strip_prefix(' ');
        text.lines().filter_map(of_word).map(str::trim).collect()
    };
    let value = |word: &str| values(word).first().copied().filter(|value| !value.is_empty());
    let distribution = value("distribution").map(str::to_owned);
    let place = distribution.as_deref().unwrap_or("this Linux").to_owned();
    // Source: the kernels of WSL 1 say `4.4.0-19041-Microsoft`, those of WSL 2 `…-microsoft-standard-WSL2`.
    if value("kernel").is_some_and(|kernel| kernel.ends_with("-Microsoft")) {
        return unusable(
            format!("finds that {place} is a distribution of WSL 1, which has no Linux kernel"),
            format!("Run: wsl --set-version {place} 2"),
        );
    }
    if place.starts_with("docker-desktop") {
        return unusable(
            format!("finds that the usual distribution is {place}, which is Docker's own"),
            "Install one: wsl --install -d Debian, and set POLYARCH_WSL_DISTRO=Debian.",
        );
    }
    if value("user").is_some_and(|user| user != "0") {
        return unusable(format!("is not root in {place}"), "Let root in.");
    }
    let missing = values("missing");
    if !missing.is_empty() {
        return unusable(
            format!("needs {} in {place}", missing.join(", ")),
            "Install util-linux, coreutils, findutils, sed and tar in it.",
        );
    }
    let Some(said) = value("buildah") else {
        return unusable(format!("is not installed in {place}"), format!("In {place}, as root: {INSTALL}"));
    };
    let Some(version) = BuildahVersion::parse(said) else {
        return unusable(format!("does not say its version in {place}: {said}"), "Install a newer buildah.");
    };
    if version < OLDEST {
        return unusable(
            format!("is {version} in {place}, and at least {OLDEST} is needed"),
            "Use a newer release of the distribution.",
        );
    }
    if let Some(said) = value("unboxed") {
        return unusable(
            format!("finds that {place} allows no namespaces: {said}"),
            "Use util-linux's unshare, and a kernel with namespaces for pids and mounts.",
        );
    }
    let problems = values("problem");
    let Some(driver) = value("driver") else {
        return unusable(
            format!("has no storage driver that works in {place}: {}", problems.join("; ")),
            "Make `buildah info` work for root in it.",
        );
    };
    let Some(platform) = value("machine").and_then(platform) else {
        let machine = value("machine").unwrap_or("nothing");
        return unusable(format!("does not know the CPU {machine}"), "Use another machine.");
    };
    let isolation = value("isolation").map(str::to_owned);
    let mut advice = Vec::new();
    match isolation.as_deref() {
        None => advice.push(format!("No RUN works in {place}: {}.", problems.join("; "))),
        Some("chroot") => {
            advice.push(format!("RUN is isolated by chroot only, because of {}.", problems.join("; ")));
        }
        Some(_) => {}
    }
    if version < HEREDOCS {
        advice.push(format!("buildah {version} does not know heredocs (RUN <<EOF); 1.33 does."));
    }
    if driver == "vfs" {
        advice.push("The storage driver is vfs, which copies every layer.".into());
    }
    let limits = value("limits").is_some();
    let emulated = emulated(value("formats").is_some(), &values("format"), &platform, &mut advice);
    let driver = driver.to_owned();
    Ok(Found { distribution, platform, version, driver, isolation, limits, emulated, advice })
}

fn emulated(mounted: bool, formats: &[&str], own: &Platform, advice: &mut Vec<String>) -> Vec<Platform> {
    let formats: Vec<_> =
        formats.iter().filter_map(|format| binfmt::parse(&format.replace('|', "\n"))).collect();
    let fixed = formats.iter().filter(|format| format.fixed).flat_map(|format| &format.platforms);
    let fixed: BTreeSet<Platform> =
        fixed.filter(|platform| !native(own).contains(platform)).cloned().collect();
    if !mounted {
        advice.push("binfmt_misc is not mounted in the distribution, so no CPU is emulated.".into());
    } else if fixed.is_empty() {
        advice
            .push("No emulator is registered in the distribution: apt-get install qemu-user-static.".into());
    }
    fixed.into_iter().collect()
}

/// What `uname -m` says, as a platform.
fn platform(machine: &str) -> Option<Platform> {
    format!("linux/{machine}").parse().ok()
}

/// The platforms whose programs a CPU runs itself, as far as its name says it.
fn native(own: &Platform) -> Vec<Platform> {
    let sibling = (own.arch() == "amd64").then(|| "linux/386".parse().ok()).flatten();
    std::iter::once(own.clone()).chain(sibling).collect()
}

/// Turns what was found into capabilities.
pub(super) fn capabilities(found: Result<&Found, &Unusable>, slots: usize) -> Capabilities {
    let found = match found {
        Ok(found) => found,
        Err(unusable) => return Capabilities::unusable(&unusable.reason, &unusable.advice),
    };
    let runs = found.isolation.is_some();
    let isolation = found.isolation.as_deref().unwrap_or("no");
    let place = found.distribution.as_deref().unwrap_or("this Linux");
    let what = format!("buildah {} in {place} ({}, {isolation} isolation)", found.version, found.driver);
    Capabilities {
        availability: Availability::Usable(what),
        native: if runs { native(&found.platform) } else { Vec::new() },
        emulated: if runs { found.emulated.clone() } else { Vec::new() },
        assembles: vec![ImageOs::Linux],
        gives: gives(found.isolation.as_deref(), found.limits),
        knows_steps: false,
        fetches_for_others: false,
        slots,
        advice: found.advice.clone(),
    }
}

#[cfg(test)]
#[path = "found_tests.rs"]
mod tests;
