//! A step in Windows' words.

use std::collections::BTreeMap;

use polyarch_actors::ImageOs;

use super::{
    compatibility::{Isolation, isolation},
    failure::HcsFailure,
    process_document::{Process, command_line},
    version::OsVersion,
};
use crate::{
    dockerfile::{Variables, windows_workdir},
    session::{Network, Step, StepLayer},
};

/// What is run, and where.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) layers: Vec<StepLayer>,
    pub(super) isolation: Isolation,
    pub(super) process: Process,
    pub(super) reach: Reach,
    /// The most memory, in MiB.
    pub(super) memory: Option<u64>,
    /// The most CPU time, in ten-thousandths of that of all CPUs.
    pub(super) processor: Option<u32>,
    pub(super) latest_mtime: Option<i64>,
}

/// What a step reaches over the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Only itself.
    Nothing,
    /// What the network of this machine for containers leads to.
    Nat,
    /// What a namespace leads to that somebody else has made.
    Namespace(String),
}

/// What of this machine a step depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host<'h> {
    pub(super) version: OsVersion,
    pub(super) namespace: Option<&'h str>,
    pub(super) cpus: u64,
}

impl Task {
    /// What a step means on Windows.
    ///
    /// # Errors
    /// [`HcsFailure::Refused`] for what Windows does not have, [`HcsFailure::Incompatible`] for a base that this one
    /// does not run.
    pub(super) fn new(step: &Step, host: Host<'_>) -> Result<Self, HcsFailure> {
        refuse(step)?;
        let base = step.os_version.as_deref().unwrap_or_default();
        let base: OsVersion = base.parse().map_err(|error| {
            HcsFailure::Refused(format!(
                "the base does not say for which Windows it is ({error}): use one that does"
            ))
        })?;
        let isolation = isolation(host.version, base, step.isolation)?;
        let reach = match (step.network, host.namespace) {
            (Network::None, _) => Reach::Nothing,
            (_, None) => Reach::Nat,
            (_, Some(namespace)) => Reach::Namespace(namespace.to_owned()),
        };
        if matches!(reach, Reach::Namespace(_)) && isolation == Isolation::HyperV {
            return Err(HcsFailure::Refused(
                "a step in a virtual machine cannot share a network namespace: use --isolation=process, or \
                 --network=none"
                    .into(),
            ));
        }
        let words: Vec<String> = step.command.iter().map(|word| text(word)).collect::<Result<_, _>>()?;
        // Windows has no limits that several containers share, so each is held to those of its build.
        let of_build = step.shared.as_ref().map(|shared| shared.limits).unwrap_or_default();
        let limits = step.limits.within(&of_build);
        Ok(Self {
            layers: step.layers.clone(),
            isolation,
            process: Process {
                command_line: if step.verbatim { words.join(" ") } else { command_line(&words) },
                directory: format!("C:{}", windows_workdir(&text(step.workdir.as_os_str())?)),
                environment: environment(step)?,
                user: step.user.clone(),
            },
            reach,
            memory: limits.memory.map(|bytes| bytes.div_ceil(1 << 20).max(1)),
            processor: limits.millicpus.map(|millis| share(millis, host.cpus)),
            latest_mtime: step.latest_mtime,
        })
    }
}

/// Refuses what Windows does not have.
fn refuse(step: &Step) -> Result<(), HcsFailure> {
    let refused = [
        (step.layers.is_empty(), "there is no Windows in an image FROM scratch: use a base of Windows"),
        (!step.mounts.is_empty(), "steps on Windows have no mounts: use COPY instead of RUN --mount"),
        (step.insecure, "on Windows there is no RUN --security=insecure: use USER ContainerAdministrator"),
        (!step.ulimits.is_empty(), "processes on Windows have no such limits: leave out --ulimit"),
        (step.shm_size.is_some(), "there is no /dev/shm on Windows: leave out --shm-size"),
        (
            !step.extra_hosts.is_empty(),
            "steps on Windows are given no names of hosts: leave out --add-host, or write them into \
             C:\\Windows\\System32\\drivers\\etc\\hosts in a step",
        ),
        (
            step.network == Network::Host,
            "a container of Windows has no network of its machine: leave out --network=host",
        ),
        (step.emulator.is_some(), "steps on Windows are not emulated"),
    ];
    match refused.iter().find(|(asked, _)| *asked) {
        Some((_, reason)) => Err(HcsFailure::Refused((*reason).to_owned())),
        None => Ok(()),
    }
}

/// Names differ by more than their case on Windows.
fn environment(step: &Step) -> Result<BTreeMap<String, String>, HcsFailure> {
    let mut environment = Variables::new(ImageOs::Windows);
    for (name, value) in &step.env {
        environment.set(&text(name)?, &text(value)?);
    }
    Ok(environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// So many thousandths of one CPU, in ten-thousandths of all.
fn share(millis: u64, cpus: u64) -> u32 {
    let share = millis.saturating_mul(10) / cpus.max(1);
    u32::try_from(share.clamp(1, 10_000)).unwrap_or(10_000)
}

fn text(word: &std::ffi::OsStr) -> Result<String, HcsFailure> {
    let text = word.to_str().map(str::to_owned);
    text.ok_or_else(|| HcsFailure::Refused(format!("{} is not Unicode", word.display())))
}

#[cfg(test)]
mod tests {
    use polyarch_actors::{Digest, HostEntry, StepIsolation};

    use super::*;
    use crate::session::Limits;

    fn step() -> Step {
        let diff_id = Digest::from_sha256(&[7; 32]);
        Step {
            layers: vec![StepLayer { digest: diff_id.clone(), diff_id }],
            command: ["cmd", "/S", "/C", "echo \"a\" b"].map(Into::into).into(),
            verbatim: true,
            env: vec![("Path".into(), "C:\\x".into()), ("PATH".into(), "C:\\y".into())],
            workdir: "/app/bin".into(),
            user: "ContainerUser".into(),
            os_version: Some("10.0.20348.1".into()),
            ..Step::default()
        }
    }

    fn host() -> Host<'static> {
        let version = OsVersion { major: 10, minor: 0, build: 20348, revision: 1 };
        Host { version, namespace: Some("n"), cpus: 4 }
    }

    #[test]
    fn a_step_becomes_what_windows_starts() {
        let task = Task::new(&step(), host()).expect("a task");
        assert_eq!(task.process.command_line, "cmd /S /C echo \"a\" b");
        assert_eq!(task.process.directory, r"C:\app\bin");
        assert_eq!(task.process.user, "ContainerUser");
        let environment: Vec<_> = task.process.environment.into_iter().collect();
        assert_eq!(environment, [("PATH".to_owned(), "C:\\y".to_owned())], "the last value of a name counts");
        assert_eq!(task.reach, Reach::Namespace("n".into()));
        let words = Step { verbatim: false, network: Network::None, workdir: "/".into(), ..step() };
        let task = Task::new(&words, host()).expect("a task");
        assert_eq!(task.process.command_line, r#"cmd /S /C "echo \"a\" b""#);
        assert_eq!((task.process.directory.as_str(), task.reach), (r"C:\", Reach::Nothing));
        let alone = Task::new(&step(), Host { namespace: None, ..host() }).expect("a task");
        assert_eq!(alone.reach, Reach::Nat);
    }

    #[test]
    fn limits_are_in_windows_units() {
        let limits = Limits { memory: Some((1 << 20) + 1), millicpus: Some(1500), ..Limits::default() };
        let task = Task::new(&Step { limits, ..step() }, host()).expect("a task");
        assert_eq!((task.memory, task.processor), (Some(2), Some(3750)));
        for (millis, cpus, found) in [(0, 4, 1), (8000, 4, 10_000), (1000, 1, 10_000), (1, 64, 1)] {
            assert_eq!(share(millis, cpus), found, "{millis} of {cpus}");
        }
    }

    #[test]
    fn what_windows_does_not_have_is_refused_with_the_way_out() {
        let hosts = HostEntry::read("db:10.0.0.1").expect("a host");
        let hosts = hosts.into_iter().map(|host| (host.name, host.address)).collect();
        for (asked, reason) in [
            (Step { layers: Vec::new(), ..step() }, "use a base of Windows"),
            (Step { insecure: true, ..step() }, "use USER ContainerAdministrator"),
            (Step { shm_size: Some(1), ..step() }, "leave out --shm-size"),
            (Step { extra_hosts: hosts, ..step() }, "leave out --add-host"),
            (Step { network: Network::Host, ..step() }, "leave out --network=host"),
            (Step { os_version: None, ..step() }, "does not say for which Windows"),
            (Step { os_version: Some("10.0.26100".into()), ..step() }, "newer than this machine"),
            (Step { isolation: StepIsolation::HyperV, ..step() }, "cannot share a network namespace"),
        ] {
            let error = Task::new(&asked, host()).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
