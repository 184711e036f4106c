//! What the RUN steps of a build are given besides what the Dockerfile says.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// What the RUN steps of a build are given, named as the flags of `docker buildx build` are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StepOptions {
    /// More lines of `/etc/hosts`, in this order.
    pub add_hosts: Vec<HostEntry>,
    /// What steps reach that do not say so themselves.
    pub network: StepNetwork,
    /// Whether `RUN --network=host` is refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refuse_host_network: bool,
    /// The size of `/dev/shm`, in bytes; 64 MiB if absent.
    pub shm_size: Option<u64>,
    /// Limits of each process, as `setrlimit` sets them.
    pub ulimits: BTreeMap<Resource, Ulimit>,
    /// The most memory of each step, in bytes. It decides no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// The most CPU time of each step, in thousandths of one CPU. It decides no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub millicpus: Option<u64>,
    /// The most processes and threads of each step. It decides no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// Whether `RUN --security=insecure` may have all rights.
    pub allow_insecure: bool,
    /// How steps on Windows are kept apart from the machine.
    #[serde(skip_serializing_if = "StepIsolation::is_default")]
    pub isolation: StepIsolation,
}

impl StepOptions {
    /// Whether nothing is given.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What of this decides the result of a step, a text each.
    ///
    /// The addresses of hosts do not, as in BuildKit: a service that has moved is no reason to run a step again.
    ///
    /// Source: BuildKit, `solver/llbsolver/ops/exec.go` (`CacheMap`).
    pub fn key(&self) -> Vec<String> {
        let hosts = self.add_hosts.iter().map(|entry| format!("host {}", entry.name));
        let memory = self.shm_size.iter().map(|size| format!("shm {size}"));
        let limits = self.ulimits.iter().map(|(resource, limit)| format!("limit {resource}={limit}"));
        hosts.chain(memory).chain(limits).collect()
    }
}

/// A line of `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// The name.
    pub name: String,
    /// What it stands for.
    pub address: IpAddr,
}

impl HostEntry {
    /// The address that `host-gateway` stands for: steps share the network of the machine that builds, so it is the
    /// machine itself.
    pub const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Reads `HOST=ADDRESS` or `HOST:ADDRESS`, with one address or several, IPv6 in brackets or not, or the word
    /// `host-gateway`.
    ///
    /// # Errors
    /// [`StepOptionError`] when there is no name, or no address.
    ///
    /// Source: buildx, `build/utils.go` (`toBuildkitExtraHosts`).
    pub fn read(text: &str) -> Result<Vec<Self>, StepOptionError> {
        let wrong = |reason: &str| StepOptionError::new(text, reason);
        let (name, addresses) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .filter(|(name, addresses)| !name.is_empty() && !addresses.is_empty())
            .ok_or_else(|| wrong("expected HOST:IP"))?;
        // It becomes a line of a file.
        if name.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '#') {
            return Err(wrong("the host's name has a blank or a # in it"));
        }
        let entry = |address: &str| {
            let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
            let address = match bare {
                "host-gateway" => Self::GATEWAY,
                bare => bare.parse().map_err(|_| wrong(&format!("{address:?} is no IP address")))?,
            };
            Ok(Self { name: name.to_owned(), address })
        };
        addresses.split(',').map(entry).collect()
    }
}

/// What a step reaches over the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepNetwork {
    /// All that the machine reaches that builds; on Windows what its network for containers leads to.
    #[default]
    Default,
    /// Only itself.
    None,
    /// All that the machine reaches that builds, which containers of Windows never do.
    Host,
}

/// How a container on Windows is kept apart from the machine. It decides no result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepIsolation {
    /// As the machine does it best.
    #[default]
    Default,
    /// It shares the kernel of the machine.
    Process,
    /// It is in a virtual machine.
    HyperV,
}

impl StepIsolation {
    /// Whether nothing is asked for.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    fn is_default(&self) -> bool {
        *self == Self::Default
    }
}

/// A limit of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// What it begins with; without a limit if absent.
    pub soft: Option<u64>,
    /// How far it may raise that itself; without a limit if absent.
    pub hard: Option<u64>,
}

impl Ulimit {
    /// Reads `TYPE=SOFT[:HARD]`, where `-1` and `infinity` are no limit.
    ///
    /// # Errors
    /// [`StepOptionError`] for an unknown type, for what is no number, and when the soft limit is above the hard one.
    ///
    /// Source: docker/go-units, `ulimit.go` (`ParseUlimit`).
    pub fn read(text: &str) -> Result<(Resource, Self), StepOptionError> {
        let wrong = |reason: &str| StepOptionError::new(text, reason);
        let (name, values) = text.split_once('=').ok_or_else(|| wrong("expected TYPE=SOFT[:HARD]"))?;
        let resource = name.parse().map_err(|reason: String| wrong(&reason))?;
        let value = |text: &str| match text {
            "-1" | "infinity" => Ok(None),
            text => {
                let number: Option<u64> = text.parse().ok().filter(|number| i64::try_from(*number).is_ok());
                number.map(Some).ok_or_else(|| wrong(&format!("{text:?} is no limit")))
            }
        };
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let (soft, hard) = (value(soft)?, value(hard)?);
        let exceeds = hard.is_some_and(|hard| soft.is_none_or(|soft| soft > hard));
        if exceeds {
            return Err(wrong("the soft limit is above the hard limit"));
        }
        Ok((resource, Self { soft, hard }))
    }
}

impl fmt::Display for Ulimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |limit: Option<u64>| limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string());
        write!(f, "{}:{}", text(self.soft), text(self.hard))
    }
}

macro_rules! resources {
    ($($(#[$doc:meta])* $variant:ident $name:literal)*) => {
        /// What a process may use up, by Docker's names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Resource {
            $($(#[$doc])* $variant,)*
        }

        impl Resource {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

resources! {
    /// The size of a core dump, in bytes.
    Core "core"
    /// CPU time, in seconds.
    Cpu "cpu"
    /// The data segment, in bytes.
    Data "data"
    /// The size of a file, in bytes.
    Fsize "fsize"
    /// The number of locks.
    Locks "locks"
    /// Locked memory, in bytes.
    Memlock "memlock"
    /// Message queues, in bytes.
    Msgqueue "msgqueue"
    /// The ceiling of the nice value.
    Nice "nice"
    /// The number of open files.
    Nofile "nofile"
    /// The number of processes.
    Nproc "nproc"
    /// Resident memory, in bytes.
    Rss "rss"
    /// The ceiling of the real-time priority.
    Rtprio "rtprio"
    /// Real-time CPU time, in microseconds.
    Rttime "rttime"
    /// The number of signals that wait.
    Sigpending "sigpending"
    /// The stack, in bytes.
    Stack "stack"
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Resource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|resource| resource.name() == text);
        found.ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|resource| resource.name()).collect();
            format!("unknown type {text:?} (expected one of: {})", known.join(", "))
        })
    }
}

/// Why a text is no option of steps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: {reason}")]
pub struct StepOptionError {
    text: String,
    reason: String,
}

impl StepOptionError {
    fn new(text: &str, reason: &str) -> Self {
        Self { text: text.to_owned(), reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> Vec<String> {
        let entries = HostEntry::read(text).unwrap_or_else(|error| panic!("{error}"));
        entries.iter().map(|entry| format!("{} {}", entry.name, entry.address)).collect()
    }

    #[test]
    fn hosts_are_read_as_buildx_reads_them() {
        assert_eq!(hosts("db:10.0.0.1"), ["db 10.0.0.1"]);
        assert_eq!(hosts("db=10.0.0.1"), ["db 10.0.0.1"]);
        assert_eq!(hosts("db:2001:db8::1"), ["db 2001:db8::1"]);
        assert_eq!(hosts("db:[2001:db8::1]"), ["db 2001:db8::1"]);
        assert_eq!(hosts("db=::1,10.0.0.1"), ["db ::1", "db 10.0.0.1"]);
        assert_eq!(hosts("host.docker.internal:host-gateway"), ["host.docker.internal 127.0.0.1"]);
        for (text, reason) in [
            ("db", "expected HOST:IP"),
            (":1.2.3.4", "expected HOST:IP"),
            ("db:", "expected HOST:IP"),
            ("db:10.0.0", "\"10.0.0\" is no IP address"),
            ("db\nevil:1.2.3.4", "has a blank"),
            ("db:[::1", "is no IP address"),
        ] {
            let error = HostEntry::read(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn limits_are_read_as_docker_reads_them() {
        for (text, resource, limit) in [
            ("nofile=1024", Resource::Nofile, "1024:1024"),
            ("nofile=1024:2048", Resource::Nofile, "1024:2048"),
            ("core=-1", Resource::Core, "-1:-1"),
            ("stack=8:infinity", Resource::Stack, "8:-1"),
            ("nproc=0", Resource::Nproc, "0:0"),
        ] {
            let (found, read) = Ulimit::read(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((found, read.to_string().as_str()), (resource, limit), "{text}");
        }
        for (text, reason) in [
            ("nofile", "expected TYPE=SOFT[:HARD]"),
            ("files=1", "unknown type \"files\" (expected one of: core, cpu,"),
            ("as=1", "unknown type"),
            ("nofile=2:1", "the soft limit is above the hard limit"),
            ("nofile=-1:1", "the soft limit is above the hard limit"),
            ("nofile=-2", "\"-2\" is no limit"),
            ("nofile=1:2:3", "\"2:3\" is no limit"),
            ("nofile=", "\"\" is no limit"),
            ("nofile=18446744073709551615", "is no limit"),
        ] {
            let error = Ulimit::read(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_host_that_has_moved_changes_no_key() {
        let of = |text: &str| {
            let add_hosts = HostEntry::read(text).expect("a host");
            StepOptions { add_hosts, ..StepOptions::default() }.key()
        };
        assert_eq!(of("db:10.0.0.1"), of("db:10.0.0.2"));
        assert_ne!(of("db:10.0.0.1"), of("cache:10.0.0.1"));
        assert!(StepOptions::default().key().is_empty());
    }

    #[test]
    fn a_step_that_may_use_less_is_the_same_step() {
        let (memory, millicpus, pids) = (Some(1 << 30), Some(500), Some(9));
        let limited = StepOptions { memory, millicpus, pids, ..StepOptions::default() };
        assert!(limited.key().is_empty() && !limited.is_default());
    }
}
