//! What a step is.

use std::{collections::BTreeMap, ffi::OsString, net::IpAddr, path::PathBuf, time::Duration};

use polyarch_actors::{BuildId, BuildResources, Digest, Resource, StepIsolation, StepOptions, Ulimit};
use serde::{Deserialize, Serialize};

/// A command on top of some layers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Step {
    /// The layers of the root file system, bottom first. Their blobs are in the store.
    pub layers: Vec<StepLayer>,
    /// The program and its arguments. A name without a slash is looked for in the `PATH` of `env`.
    pub command: Vec<OsString>,
    /// Whether the words of the command are one line as they stand, which a shell reads by its own rules. Only on
    /// Windows is there such a thing.
    pub verbatim: bool,
    /// The environment; nothing of this process's own is added. `HOME` is set where it is missing.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory, made where it is missing.
    pub workdir: PathBuf,
    /// Who runs it: `""` for root, `name`, `uid`, `name:group` or `uid:gid`, as in `/etc/passwd` and `/etc/group` of
    /// the image.
    pub user: String,
    /// What it can reach.
    pub network: Network,
    /// Whether it has all rights and no filter of system calls (`--security=insecure`).
    pub insecure: bool,
    /// What it sees as the name of its machine.
    pub hostname: Option<String>,
    /// Its limits as a process.
    pub ulimits: BTreeMap<Resource, Ulimit>,
    /// The size of `/dev/shm`, in bytes; 64 MiB if absent.
    pub shm_size: Option<u64>,
    /// More lines of `/etc/hosts`.
    pub extra_hosts: Vec<(String, IpAddr)>,
    /// What it sees besides the root file system. None of it reaches the layer.
    pub mounts: Vec<Mount>,
    /// No entry of the layer is given a later time, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub latest_mtime: Option<i64>,
    /// What it may use up.
    pub limits: Limits,
    /// What it and the other steps of its build may use up together.
    pub shared: Option<SharedLimits>,
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// What runs its programs where this CPU does not.
    pub emulator: Option<Emulator>,
    /// The version of the system in the image, if that says one (`os.version`).
    pub os_version: Option<String>,
    /// How it is kept apart from this machine, where there are several ways.
    pub isolation: StepIsolation,
    /// Whether another step is about to follow: what it needs is made while this one runs.
    pub another_follows: bool,
}

/// A layer below a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLayer {
    /// The blob; its first bytes tell how it is compressed.
    pub digest: Digest,
    /// The digest of the archive in it.
    pub diff_id: Digest,
}

/// What a step can reach over the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// What the system has for steps that ask for nothing: on Linux all that this machine can reach, on Windows what its
    /// network for containers leads to.
    #[default]
    Default,
    /// All that this machine can reach.
    Host,
    /// Only itself.
    None,
}

/// What a step may use up. Nothing is limited where it is not said, but that sessions bound the number of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// CPU time, in thousandths of one CPU.
    pub millicpus: Option<u64>,
}

impl Limits {
    /// Those that a build gives each of its steps.
    pub fn of(options: &StepOptions) -> Self {
        Self { memory: options.memory, pids: options.pids, millicpus: options.millicpus }
    }

    /// Of each limit the lower one.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        let lower = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        Self {
            memory: lower(self.memory, other.memory),
            pids: lower(self.pids, other.pids),
            millicpus: lower(self.millicpus, other.millicpus),
        }
    }

    /// The limit of CPU time, as Linux has it.
    pub fn cpu_quota(&self) -> Option<CpuQuota> {
        self.millicpus.map(|millis| {
            // No quota may be shorter than a millisecond, so a small share needs a long period.
            let period = if millis < 10 { 1_000_000 } else { 100_000 };
            CpuQuota { quota: millis.max(1).saturating_mul(period / 1000), period }
        })
    }
}

/// What all steps of a build may use up together. A session that cannot hold them to that together holds each of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedLimits {
    /// The build.
    pub build: BuildId,
    /// Together.
    pub limits: Limits,
    /// Whether a step does not run that cannot be held to this together with the others.
    pub required: bool,
}

impl SharedLimits {
    /// Those that a build has, if it has any.
    pub fn of(build: &BuildId, resources: &BuildResources) -> Option<Self> {
        let BuildResources { memory, millicpus, pids, required } = *resources;
        let limits = Limits { memory, pids, millicpus };
        (limits != Limits::default()).then(|| Self { build: build.clone(), limits, required })
    }
}

/// A limit of CPU time: so much of it in each period, in microseconds.
///
/// Source: Linux, `Documentation/scheduler/sched-bwc.rst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuQuota {
    /// How long all processes together may run in a period. It is longer than the period where that is several CPUs.
    pub quota: u64,
    /// How long a period is.
    pub period: u64,
}

/// A program that runs programs of another CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emulator {
    /// The program: static, since it does not see its own libraries in the image.
    pub program: PathBuf,
    /// The architecture that it emulates, as platforms name it: `riscv64`.
    pub architecture: String,
}

/// Something that a step sees at a path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mount {
    /// Where, from the root or from the working directory.
    pub target: PathBuf,
    /// What.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum MountKind {
    /// Files from elsewhere.
    Bind {
        /// Which.
        source: Source,
        /// Whether the step may write there. What it writes is thrown away.
        writable: bool,
    },
    /// A directory that later steps find again.
    Cache(Cache),
    /// An empty directory in memory.
    Tmpfs {
        /// How much it may hold, in bytes.
        size: Option<u64>,
    },
    /// A file that must not be kept.
    Secret(Secret),
    /// The socket of an SSH agent.
    Ssh {
        /// The agent's own socket.
        socket: PathBuf,
        /// The permissions of the socket that the step sees.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

/// Where files come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Source {
    /// From layers: another stage, or an image.
    Layers {
        /// The layers, bottom first.
        layers: Vec<StepLayer>,
        /// The directory or file among them, from their root.
        path: PathBuf,
    },
    /// From this machine.
    Host(PathBuf),
}

/// A directory that later steps find again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cache {
    /// What tells it from others.
    pub id: String,
    /// Who may use it at the same time.
    pub sharing: Sharing,
    /// What a new one holds.
    pub seed: Option<(Vec<StepLayer>, PathBuf)>,
    /// The permissions of a new one.
    pub mode: u32,
    /// The owner of a new one.
    pub uid: u32,
    /// The group of a new one.
    pub gid: u32,
    /// Whether the step may only read it.
    pub readonly: bool,
}

/// Who may use a cache at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// One step each: another gets another directory.
    Private,
    /// One step: another waits.
    Locked,
}

/// A file that must not be kept.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secret {
    /// Where its bytes are.
    pub source: SecretSource,
    /// Set to the bytes as well, where it is named. The file is left out where the target is empty.
    pub env: Option<String>,
    /// The permissions of the file.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Where the bytes of a secret are.
#[derive(Clone, Serialize, Deserialize)]
pub enum SecretSource {
    /// In a file of this machine.
    File(PathBuf),
    /// Here.
    Bytes(Vec<u8>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("env", &self.env).finish_non_exhaustive()
    }
}

impl Step {
    /// The environment as a map: of several values the last one counts.
    pub fn environment(&self) -> BTreeMap<OsString, OsString> {
        self.env.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_cpu_is_a_quota_that_linux_takes() {
        let of = |millicpus| Limits { millicpus, ..Limits::default() }.cpu_quota();
        assert_eq!(of(None), None);
        for (millis, quota, period) in [
            (0, 1000, 1_000_000),
            (1, 1000, 1_000_000),
            (9, 9000, 1_000_000),
            (10, 1000, 100_000),
            (1500, 150_000, 100_000),
        ] {
            assert_eq!(of(Some(millis)), Some(CpuQuota { quota, period }), "{millis}");
        }
    }
}
