//! Runs programs to their end and tells how much memory they took.

use std::{fs, path::Path, process::Command};

use tempfile::NamedTempFile;

/// GNU time, which asks the kernel for what a process took (wait4(2)).
const TIME: &str = "/usr/bin/time";

/// Runs a program, which must succeed. Returns the most memory that it or one of the processes that it waited for had
/// at once, in KiB; nothing where GNU time is missing.
pub(crate) fn run(command: &Command) -> Option<u64> {
    let report = NamedTempFile::new().expect("a file");
    let has_time = Path::new(TIME).is_file();
    let mut runs = if has_time {
        let mut timed = Command::new(TIME);
        timed.arg("--format=%M").arg("--output").arg(report.path()).arg(command.get_program());
        timed
    } else {
        Command::new(command.get_program())
    };
    runs.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => runs.env(name, value),
            None => runs.env_remove(name),
        };
    }
    let output = runs.output().expect("a program that is here");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(report.path()).ok()?.trim().parse().ok()
}
