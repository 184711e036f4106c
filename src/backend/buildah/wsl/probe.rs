//! Looks for a distribution and into it.

use super::{
    call::{self, Finished, Input},
    distribution::Entered,
    found::{Found, read},
    script::Script,
    text::decoded,
    transport::LinuxTransport,
};

/// How much is read of what the probe says.
const MOST: usize = 256 << 10;

/// Why it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    /// A fragment: `is not installed`.
    pub(super) reason: String,
    /// What to do, as a sentence.
    pub(super) advice: String,
}

pub(super) fn unusable<T>(reason: impl Into<String>, advice: impl Into<String>) -> Result<T, Unusable> {
    Err(Unusable { reason: reason.into(), advice: advice.into() })
}

/// Looks for everything. `wanted` is the distribution that somebody named.
pub(super) async fn find(transport: &dyn LinuxTransport, wanted: Option<&str>) -> Result<Found, Unusable> {
    if let Some(list) = transport.list() {
        listed(list, wanted).await?;
    }
    let into = Entered { transport, distribution: wanted };
    let finished = match call::run(&into, &Script::probe(), Input::Bytes(Vec::new()), MOST).await {
        Ok(finished) => finished,
        Err(error) => return absent(&error),
    };
    if finished.code != Some(0) {
        return refused(&finished);
    }
    read(&String::from_utf8_lossy(&finished.stdout))
}

/// Whether there is a distribution, and the one that is wanted.
async fn listed(mut list: tokio::process::Command, wanted: Option<&str>) -> Result<(), Unusable> {
    let output = match list.stdin(std::process::Stdio::null()).output().await {
        Ok(output) => output,
        Err(error) => return absent(&error),
    };
    let finished = Finished { code: output.status.code(), stdout: output.stdout, stderr: output.stderr };
    if finished.code != Some(0) {
        return refused(&finished);
    }
    let text = decoded(&finished.stdout);
    let names: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match wanted {
        _ if names.is_empty() => no_distribution(),
        Some(wanted) if !names.iter().any(|name| name.eq_ignore_ascii_case(wanted)) => unusable(
            format!("finds no distribution {wanted}"),
            format!("Set POLYARCH_WSL_DISTRO to one of: {}.", names.join(", ")),
        ),
        _ => Ok(()),
    }
}

fn absent<T>(error: &std::io::Error) -> Result<T, Unusable> {
    if error.kind() == std::io::ErrorKind::NotFound {
        return unusable("finds no wsl.exe", "Install WSL: wsl --install (as administrator), and restart.");
    }
    unusable(format!("cannot start: {error}"), "See whether wsl.exe works in a terminal.")
}

fn no_distribution<T>() -> Result<T, Unusable> {
    unusable("finds no distribution in WSL", "Install one: wsl --install -d Debian")
}

/// What `wsl.exe` says when it does not do what it should. Its sentences are translated, its codes are not.
fn refused<T>(finished: &Finished) -> Result<T, Unusable> {
    let words = finished.words();
    let says = |code: &str| words.contains(code);
    if says("WSL_E_LOCAL_SYSTEM_NOT_SUPPORTED") || words.to_lowercase().contains("local system") {
        return unusable(
            "cannot use WSL as LocalSystem",
            "Run the service as a user who has a distribution: distributions belong to users.",
        );
    }
    if says("WSL_E_DEFAULT_DISTRO_NOT_FOUND") || words.contains("no installed distributions") {
        return no_distribution();
    }
    let is_absent = [
        "WSL_E_WSL_OPTIONAL_COMPONENT_REQUIRED",
        "REGDB_E_CLASSNOTREG",
        "wsl --install",
        "wsl.exe --install",
    ];
    if is_absent.into_iter().any(says) {
        return unusable(
            "finds WSL not installed",
            "Install it: wsl --install (as administrator), and restart.",
        );
    }
    if says("HCS_E_") || says("0x80370102") {
        return unusable(
            format!("cannot start WSL's virtual machine: {words}"),
            "Turn virtualization on in the firmware, and the feature Virtual Machine Platform in Windows.",
        );
    }
    unusable(format!("cannot enter the distribution: {words}"), "See whether `wsl` works in a terminal.")
}
