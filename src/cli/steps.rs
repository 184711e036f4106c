//! The arguments about RUN steps.

use clap::Args;
use polyarch_actors::{HostEntry, StepIsolation, StepNetwork, StepOptions, Ulimit};

use crate::quantity;

/// How long a period of CPU time is where nothing else is said, in microseconds.
const PERIOD: u64 = 100_000;
/// The shortest quota and period of CPU time that Linux takes, and the longest period, in microseconds.
///
/// Source: Linux, `Documentation/scheduler/sched-bwc.rst`.
const SHORTEST: u64 = 1000;
const LONGEST: u64 = 1_000_000;
/// The least memory that can be asked for, in bytes.
///
/// Source: moby, `daemon/daemon_unix.go` (`linuxMinMemory`).
const LEAST_MEMORY: u64 = 6 << 20;

/// What RUN steps are given.
#[derive(Clone, Debug, Args)]
pub(super) struct StepArgs {
    /// Add a line to /etc/hosts of RUN steps; "host-gateway" is this machine
    #[arg(long = "add-host", value_name = "HOST:IP", value_parser = HostEntry::read)]
    hosts: Vec<Vec<HostEntry>>,
    /// What RUN steps reach that do not say so themselves: "default" and "host" are the network of this machine
    #[arg(long, value_name = "MODE", default_value = "default", value_parser = network)]
    network: StepNetwork,
    /// The size of /dev/shm of RUN steps [default: 64m]
    #[arg(long, value_name = "SIZE", value_parser = shm_size)]
    shm_size: Option<u64>,
    /// Limit what each process of RUN steps uses, such as nofile=1024:2048
    #[arg(long = "ulimit", value_name = "TYPE=SOFT[:HARD]", value_parser = Ulimit::read)]
    ulimits: Vec<(polyarch_actors::Resource, Ulimit)>,
    /// The most memory that each RUN step may take, such as 512m, and at least 6m
    #[arg(short, long, value_name = "BYTES", value_parser = memory)]
    memory: Option<u64>,
    /// The most CPU time of each RUN step in every period, in microseconds: 50000 is half a CPU
    #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u64).range(SHORTEST..))]
    cpu_quota: Option<u64>,
    /// How long a period of --cpu-quota is, in microseconds
    #[arg(long, value_name = "MICROSECONDS", default_value_t = PERIOD, requires = "cpu_quota",
          value_parser = clap::value_parser!(u64).range(SHORTEST..=LONGEST))]
    cpu_period: u64,
    /// The most processes and threads that each RUN step may have at once
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pids_limit: Option<u64>,
    /// Allow what a Dockerfile cannot take by itself: "security.insecure" (RUN --security=insecure has all rights), or
    /// "network.host" (which RUN steps have anyway)
    #[arg(long = "allow", value_name = "ENTITLEMENT", value_parser = entitlement, value_delimiter = ',')]
    allowed: Vec<Entitlement>,
    /// How RUN steps on Windows are kept apart from the machine: "default", "process" or "hyperv"
    #[arg(long, value_name = "MODE", default_value = "default", value_parser = isolation)]
    isolation: StepIsolation,
}

/// What a Dockerfile cannot take by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entitlement {
    Insecure,
    HostNetwork,
}

impl StepArgs {
    /// The arguments as the library takes them.
    pub(super) fn options(&self) -> StepOptions {
        StepOptions {
            add_hosts: self.hosts.concat(),
            network: self.network,
            // Whoever gives the command may give that too.
            refuse_host_network: false,
            shm_size: self.shm_size,
            // The last word on a resource counts.
            ulimits: self.ulimits.iter().copied().collect(),
            memory: self.memory,
            // So small a quota that nothing would be left of it is not read.
            millicpus: self.cpu_quota.map(|quota| quota.saturating_mul(1000) / self.cpu_period),
            pids: self.pids_limit,
            allow_insecure: self.allowed.contains(&Entitlement::Insecure),
            isolation: self.isolation,
        }
    }

    /// The arguments as they are written, in pairs.
    pub(super) fn words(&self) -> Vec<(&'static str, String)> {
        let options = self.options();
        let StepOptions { add_hosts, network, shm_size, ulimits, allow_insecure, isolation, .. } = &options;
        let mut words = Vec::new();
        words.extend(add_hosts.iter().map(|host| ("--add-host", format!("{}={}", host.name, host.address))));
        words.extend((*network == StepNetwork::None).then(|| ("--network", "none".to_owned())));
        words.extend(shm_size.map(|size| ("--shm-size", size.to_string())));
        words.extend(ulimits.iter().map(|(resource, limit)| ("--ulimit", format!("{resource}={limit}"))));
        words.extend(self.memory.map(|bytes| ("--memory", bytes.to_string())));
        if let Some(quota) = self.cpu_quota {
            words.push(("--cpu-quota", quota.to_string()));
            words.push(("--cpu-period", self.cpu_period.to_string()));
        }
        words.extend(self.pids_limit.map(|number| ("--pids-limit", number.to_string())));
        let isolated = match isolation {
            StepIsolation::Default => None,
            StepIsolation::Process => Some("process"),
            StepIsolation::HyperV => Some("hyperv"),
        };
        words.extend(isolated.map(|mode| ("--isolation", mode.to_owned())));
        words.extend(allow_insecure.then(|| ("--allow", "security.insecure".to_owned())));
        words
    }
}

pub(super) fn network(text: &str) -> Result<StepNetwork, String> {
    match text {
        "default" => Ok(StepNetwork::Default),
        "none" => Ok(StepNetwork::None),
        "host" => Ok(StepNetwork::Host),
        _ => Err("there are default, none and host".into()),
    }
}

fn isolation(text: &str) -> Result<StepIsolation, String> {
    match text {
        "default" => Ok(StepIsolation::Default),
        "process" => Ok(StepIsolation::Process),
        "hyperv" => Ok(StepIsolation::HyperV),
        _ => Err("there are default, process and hyperv".into()),
    }
}

pub(super) fn shm_size(text: &str) -> Result<u64, String> {
    match quantity::size(text)? {
        0 => Err("it cannot be nothing".into()),
        size => Ok(size),
    }
}

fn memory(text: &str) -> Result<u64, String> {
    let bytes = quantity::size(text)?;
    if bytes < LEAST_MEMORY {
        return Err(format!("the least is 6m, which is {LEAST_MEMORY} bytes"));
    }
    Ok(bytes)
}

fn entitlement(text: &str) -> Result<Entitlement, String> {
    match text {
        "security.insecure" => Ok(Entitlement::Insecure),
        "network.host" => Ok(Entitlement::HostNetwork),
        _ => Err("there are network.host and security.insecure".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        steps: StepArgs,
    }

    fn read(arguments: &[&str]) -> Result<StepArgs, String> {
        let arguments = ["build"].iter().chain(arguments);
        Arguments::try_parse_from(arguments).map(|read| read.steps).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_again_is_read_the_same() {
        let given = [
            "--add-host",
            "db:[::1]",
            "--add-host=me:host-gateway",
            "--network=none",
            "--shm-size=1g",
            "--isolation=hyperv",
            "-m=1.5g",
            "--cpu-quota=15000",
            "--cpu-period=10000",
            "--ulimit=nofile=1:2",
            "--ulimit=nofile=3",
            "--ulimit=core=-1",
            "--allow=network.host,security.insecure",
        ];
        let read_once = read(&given).expect("arguments");
        let options = read_once.options();
        assert_eq!((options.shm_size, options.allow_insecure), (Some(1 << 30), true));
        assert_eq!(options.ulimits.len(), 2);
        assert_eq!((options.memory, options.millicpus), (Some(3 << 29), Some(1500)));
        let words = read_once.words();
        let again: Vec<String> = words.iter().map(|(flag, value)| format!("{flag}={value}")).collect();
        let again: Vec<&str> = again.iter().map(String::as_str).collect();
        assert_eq!(read(&again).expect("arguments").options(), options);
        assert_eq!(read(&[]).expect("nothing").options(), StepOptions::default());
        let half = read(&["--cpu-quota=50000"]).expect("a quota").options();
        assert_eq!(half.millicpus, Some(500), "the period is that of Docker");
        let least = read(&["--memory=6m", "--cpu-quota=1000", "--cpu-period=1000000"]).expect("limits");
        assert_eq!((least.options().memory, least.options().millicpus), (Some(6 << 20), Some(1)));
        assert!(read(&["--allow", "network.host"]).expect("allowed").options().is_default());
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        for (argument, reason) in [
            ("--add-host=db", "expected HOST:IP"),
            ("--network=bridge", "there are default, none and host"),
            ("--shm-size=big", "is no size"),
            ("--isolation=vm", "there are default, process and hyperv"),
            ("--shm-size=0", "cannot be nothing"),
            ("--memory=big", "is no size"),
            ("--memory=5m", "the least is 6m"),
            ("--memory=0", "the least is 6m"),
            ("--cpu-quota=999", "1000"),
            ("--cpu-quota=-1", "invalid digit"),
            ("--cpu-quota=half", "invalid digit"),
            ("--cpu-period=50000", "--cpu-quota"),
            ("--ulimit=files=1", "unknown type"),
            ("--ulimit=nofile=2:1", "above the hard limit"),
            ("--allow=device", "there are network.host and security.insecure"),
        ] {
            let error = read(&[argument]).expect_err(argument);
            assert!(error.contains(reason), "{argument}: {error}");
        }
    }
}
