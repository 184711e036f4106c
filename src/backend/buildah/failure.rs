//! What a failed buildah means.
//!
//! The exit code alone says little: 125 covers most mistakes of users and hosts alike, and 1 may be a command's
//! own or a runtime's. buildah's last line that begins with `Error: ` decides; by then no RUN can write any more.

use polyarch_actors::{BuildError, Platform};

use crate::guard::Exit;

/// How a command ends that the kernel kills.
const KILLED: i32 = 128 + 9;
/// What buildah says, with the exit code 1, when that was the first process of a container.
///
/// Source: buildah, `run_linux.go` (`runUsingRuntimeMain`).
const KILLED_FIRST: &str = "container exited on killed";

/// How a `buildah build` ended that gave no image.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailedBuild<'a> {
    pub(super) exit: Exit,
    /// The end of the standard error.
    pub(super) stderr: &'a str,
    /// The instruction that began last.
    pub(super) instruction: &'a str,
    /// The last lines that it printed.
    pub(super) output: &'a [String],
    pub(super) platform: &'a Platform,
    /// The most memory that each of its steps may take, in bytes.
    pub(super) memory: Option<u64>,
    /// The most memory that all steps of the build may take together, in bytes.
    pub(super) of_build: Option<u64>,
    /// A path on the device that holds the storage.
    pub(super) storage: &'a str,
}

/// Says what went wrong with a build.
pub(super) fn classify_build(failed: &FailedBuild<'_>) -> BuildError {
    let Some(error) = last_error(failed.stderr) else {
        return silent_end(failed.exit, failed.stderr);
    };
    if is_full(error, failed.stderr) {
        return BuildError::NoSpace { path: failed.storage.to_owned() };
    }
    match exit_status(error) {
        Some(code) => failed_step(failed, code),
        None => refused(error, failed.platform),
    }
}

#[cfg(any(target_os = "linux", test))]
/// Says why `buildah pull` did not get an image.
pub(super) fn classify_pull(
    exit: Exit,
    stderr: &str,
    image: &str,
    platform: &Platform,
    storage: &str,
) -> BuildError {
    let Some(error) = last_error(stderr) else { return silent_end(exit, stderr) };
    if is_full(error, stderr) {
        return BuildError::NoSpace { path: storage.to_owned() };
    }
    let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
    let reason = pull_reason(error);
    if has(&["no image found in manifest list", "no image found in image index", "choosing image instance"]) {
        return lacks_platform(image, platform);
    }
    if has(&[
        "manifest unknown",
        "name unknown",
        "not found: manifest",
        "invalid reference format",
        "status code 404",
        "StatusCode: 404",
    ]) {
        return base_image(image, platform, reason);
    }
    let denied = has(&["unauthorized", "denied", "authentication required", "invalid username/password"]);
    let registry = |retryable| {
        let image = Some(image.to_owned());
        BuildError::Registry { reason: reason.clone(), retryable, denied, image, place: None }
    };
    if denied {
        return registry(false);
    }
    if has(&["server gave HTTP response to HTTPS client", "x509:", "certificate", "no such host"]) {
        return registry(false);
    }
    if has(&["pinging container registry", "connection refused", "connection reset", "i/o timeout", "EOF"])
        || has(&["toomanyrequests", "429", "TLS handshake timeout", "StatusCode: 5", "status code 5"])
    {
        return registry(true);
    }
    host(error, false)
}

#[cfg(any(target_os = "linux", test))]
/// The base image exists, but not for this platform.
pub(super) fn lacks_platform(image: &str, platform: &Platform) -> BuildError {
    base_image(image, platform, "the registry has it, but not for this platform")
}

/// A base image is not to be had; its place in the Dockerfile is found later.
pub(super) fn base_image(image: &str, platform: &Platform, reason: impl Into<String>) -> BuildError {
    let (image, platform) = (image.to_owned(), platform.clone());
    BuildError::BaseImage { image, platform, reason: reason.into(), place: None }
}

/// buildah's last word, without what it begins with. An instruction in it may have several lines.
pub(super) fn last_error(stderr: &str) -> Option<&str> {
    const HEAD: &str = "Error: ";
    let begins = stderr.match_indices(HEAD).map(|(at, _)| at).filter(|at| {
        // A RUN may end without a newline, and buildah's line is glued to its last one then.
        *at == 0
            || stderr[..*at].ends_with('\n')
            || stderr[at + HEAD.len()..].starts_with("building at STEP ")
    });
    begins.last().map(|at| stderr[at + HEAD.len()..].trim_end())
}

/// `building at STEP "…": while running runtime: exit status 7`, or without the middle under chroot isolation.
fn exit_status(error: &str) -> Option<i32> {
    let rest = error.strip_prefix("building at STEP \"RUN")?;
    let (before, code) = rest.rsplit_once("exit status ")?;
    let ours = before.ends_with("\": ") || before.ends_with("\": while running runtime: ");
    ours.then(|| code.lines().next()?.trim().parse().ok()).flatten()
}

fn failed_step(failed: &FailedBuild<'_>, code: i32) -> BuildError {
    let killed = code == 1 && failed.stderr.lines().rev().take(4).any(|line| line == KILLED_FIRST);
    let code = if killed { KILLED } else { code };
    let step = |exit_code| BuildError::StepFailed {
        instruction: failed.instruction.to_owned(),
        exit_code,
        output: failed.output.to_vec(),
    };
    let with_reason = |exit_code, reason| BuildError::StepFailed {
        instruction: failed.instruction.to_owned(),
        exit_code,
        output: failed.output.iter().cloned().chain([reason]).collect(),
    };
    let own = failed.memory.filter(|own| failed.of_build.is_none_or(|shared| *own <= shared));
    match (own, failed.of_build) {
        // buildah does not say who killed it, and who did is gone with its control group.
        (Some(most), _) if code == KILLED => {
            let reason = format!("was killed, as if it took more than its {most} bytes of memory (--memory)");
            return with_reason(code, reason);
        }
        (None, Some(most)) if code == KILLED => {
            let together = "as if the steps of the build together took more than its";
            return with_reason(code, format!("was killed, {together} {most} bytes of memory"));
        }
        _ if code != 1 => return step(code),
        _ => {}
    }
    let lines = || failed.stderr.lines().rev();
    let of_runtime = |line: &&str| {
        line.starts_with("error running container: from ")
            || line.starts_with("process failed to start with error: ")
            || line.starts_with("exec container process ")
            || line.contains("exec format error")
    };
    let Some(line) = lines().find(of_runtime) else { return step(1) };
    if line.to_lowercase().contains("exec format error") {
        return BuildError::NoEmulator { platform: failed.platform.clone() };
    }
    let missing = ["not found in $PATH", "no such file or directory", "No such file or directory"];
    let refused = ["Permission denied", "permission denied", "open executable"];
    // The codes that a shell gives for these.
    if missing.iter().any(|words| line.contains(words)) {
        with_reason(127, runtime_reason(line))
    } else if refused.iter().any(|words| line.contains(words)) {
        with_reason(126, runtime_reason(line))
    } else {
        host(&format!("the container runtime cannot run a step: {}", runtime_reason(line)), false)
    }
}

/// The end of `error running container: from /usr/bin/crun creating container for [/nope]: …`.
fn runtime_reason(line: &str) -> String {
    let line = line.strip_prefix("error running container: ").unwrap_or(line);
    line.split_once("]: ").map_or(line, |(_, reason)| reason).trim().to_owned()
}

/// buildah refused before or between commands.
fn refused(error: &str, platform: &Platform) -> BuildError {
    let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
    if let Some(rest) = error.strip_prefix("creating build container: ")
        && let Some((image, reason)) = rest.rsplit_once(": ")
    {
        return base_image(image, platform, reason);
    }
    if error.starts_with("building at STEP \"ADD http") {
        let retryable = !has(&["no such host", "404", "403", "401"]);
        return BuildError::registry(error, retryable);
    }
    let of_the_host = [
        "read/write on closed pipe",
        "creating store",
        "mounting",
        "mount ",
        "input/output error",
        "too many open files",
        "cannot allocate memory",
        "layer not known",
        "operation not permitted",
    ];
    if has(&of_the_host) {
        return host(error, has(&["layer not known"]));
    }
    BuildError::invalid(error)
}

/// Whether buildah itself found the disk full. A command that finds its own disk full fails with its own code.
fn is_full(error: &str, stderr: &str) -> bool {
    let full = |line: &str| line.contains("no space left on device") || line.contains("disk quota exceeded");
    full(error)
        || stderr
            .lines()
            .any(|line| line.starts_with("time=\"") && line.contains("level=error") && full(line))
}

fn silent_end(exit: Exit, stderr: &str) -> BuildError {
    let how = match (exit.code, exit.signal) {
        (_, Some(9)) => "buildah was killed (was there too little memory?)".to_owned(),
        (_, Some(signal)) => format!("buildah was ended by signal {signal}"),
        (Some(code), None) => format!("buildah failed with exit code {code}"),
        (None, None) => "buildah was lost".to_owned(),
    };
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty());
    let reason = last.map_or(how.clone(), |last| format!("{how}: {last}"));
    BuildError::Host { reason, retryable: exit.signal.is_some() }
}

#[cfg(any(target_os = "linux", test))]
/// The part of a pull's error that a person needs: behind the transport and what was tried.
fn pull_reason(error: &str) -> String {
    let behind = error.strip_prefix("initializing source docker://").and_then(|rest| rest.split_once(": "));
    behind.map_or(error, |(_, reason)| reason).to_owned()
}

fn host(reason: &str, retryable: bool) -> BuildError {
    BuildError::Host { reason: reason.to_owned(), retryable }
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
