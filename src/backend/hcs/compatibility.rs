//! Which Windows runs the containers of which other.
//!
//! A container that shares the kernel of its host needs one that its own programs know; one in a virtual machine brings
//! its own. What a host cannot run is known from two versions, before anything of a base is fetched.
//!
//! Source: Microsoft, "Windows container version compatibility"
//! (<https://learn.microsoft.com/virtualization/windowscontainers/deploy-containers/version-compatibility>).

use polyarch_actors::StepIsolation;

use super::version::OsVersion;

/// The builds of the releases that stay for years, from the one on whose kernel is made for other releases too.
const RELEASES: [u32; 2] = [20348, 26100];

/// How a container is kept apart from its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// It shares the kernel.
    Process,
    /// It is in a virtual machine.
    HyperV,
}

/// Why a host does not run a container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incompatible {
    /// Its kernel is not one for the container, but a virtual machine would do.
    #[error(
        "the base is Windows {base}, and this machine is Windows {host}, which runs {} with process isolation: use \
         --isolation=hyperv, a base of {}, or a machine with Windows {base}",
        range(host),
        fitting(host)
    )]
    Kernel {
        /// The version of this machine.
        host: OsVersion,
        /// The version of the base.
        base: OsVersion,
    },
    /// It is older than the container, which no isolation mends.
    #[error(
        "the base is Windows {base}, newer than this machine with Windows {host}: use a base of {}, or a machine with \
         Windows {base} or newer",
        fitting(host)
    )]
    Newer {
        /// The version of this machine.
        host: OsVersion,
        /// The version of the base.
        base: OsVersion,
    },
}

/// How a container of `base` is run on `host`: as it was asked for, else the cheapest way there is.
///
/// # Errors
/// [`Incompatible`] when it cannot be run that way.
pub fn isolation(host: OsVersion, base: OsVersion, asked: StepIsolation) -> Result<Isolation, Incompatible> {
    let is_newer = (base.major, base.minor, base.build) > (host.major, host.minor, host.build);
    if is_newer {
        return Err(Incompatible::Newer { host, base });
    }
    match asked {
        StepIsolation::HyperV => Ok(Isolation::HyperV),
        _ if shares_kernel(host, base) => Ok(Isolation::Process),
        StepIsolation::Default => Ok(Isolation::HyperV),
        StepIsolation::Process => Err(Incompatible::Kernel { host, base }),
    }
}

/// Whether programs of `base` run on the kernel of `host`.
fn shares_kernel(host: OsVersion, base: OsVersion) -> bool {
    (host.major, host.minor) == (base.major, base.minor) && (oldest(host)..=host.build).contains(&base.build)
}

/// The oldest build whose containers share the kernel of a host: that of the release before its own.
fn oldest(host: OsVersion) -> u32 {
    match RELEASES.iter().rposition(|release| *release <= host.build) {
        None => host.build,
        Some(own) => RELEASES[own.saturating_sub(1)],
    }
}

fn range(host: &OsVersion) -> String {
    match oldest(*host) {
        build if build == host.build => format!("only build {build}"),
        build => format!("builds {build} to {}", host.build),
    }
}

/// What to look for among the tags of bases.
fn fitting(host: &OsVersion) -> String {
    let name = match host.build {
        17763 => " (ltsc2019)",
        20348 => " (ltsc2022)",
        26100 => " (ltsc2025)",
        _ => "",
    };
    format!("build {}{name}", host.build)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(build: u32) -> OsVersion {
        OsVersion { major: 10, minor: 0, build, revision: 1 }
    }

    #[test]
    fn who_runs_whom_is_what_microsoft_says() {
        use Isolation::{HyperV, Process};
        use StepIsolation as Asked;
        for (host, base, asked, found) in [
            // Before 20348 the builds are the same.
            (17763, 17763, Asked::Default, Some(Process)),
            (17763, 17763, Asked::Process, Some(Process)),
            (17763, 17763, Asked::HyperV, Some(HyperV)),
            (17763, 14393, Asked::Default, Some(HyperV)),
            (17763, 14393, Asked::Process, None),
            (17763, 20348, Asked::Default, None),
            (19045, 17763, Asked::Default, Some(HyperV)),
            (19045, 17763, Asked::Process, None),
            // 20348 is the first of those that run others, and has none before it.
            (20348, 20348, Asked::Default, Some(Process)),
            (20348, 17763, Asked::Default, Some(HyperV)),
            (20348, 17763, Asked::Process, None),
            (20348, 26100, Asked::HyperV, None),
            // Builds in between belong to the release before them.
            (22631, 20348, Asked::Default, Some(Process)),
            (22631, 22631, Asked::Process, Some(Process)),
            (22631, 17763, Asked::Process, None),
            (26100, 20348, Asked::Default, Some(Process)),
            (26100, 22000, Asked::Process, Some(Process)),
            (26100, 26100, Asked::Default, Some(Process)),
            (26100, 17763, Asked::Default, Some(HyperV)),
            (26200, 20348, Asked::Process, Some(Process)),
            (26200, 26300, Asked::Default, None),
        ] {
            let chosen = isolation(version(host), version(base), asked).ok();
            assert_eq!(chosen, found, "{base} on {host}, {asked:?}");
        }
    }

    #[test]
    fn updates_of_one_build_do_not_matter() {
        let (host, base) = (version(20348), OsVersion { revision: 9999, ..version(20348) });
        assert_eq!(isolation(host, base, StepIsolation::Process), Ok(Isolation::Process));
    }

    #[test]
    fn who_cannot_run_says_both_versions_and_the_ways_out() {
        let error = isolation(version(20348), version(17763), StepIsolation::Process).expect_err("older");
        assert_eq!(
            error.to_string(),
            "the base is Windows 10.0.17763.1, and this machine is Windows 10.0.20348.1, which runs only build 20348 \
             with process isolation: use --isolation=hyperv, a base of build 20348 (ltsc2022), or a machine with \
             Windows 10.0.17763.1"
        );
        let error = isolation(version(20348), version(26100), StepIsolation::Default).expect_err("newer");
        assert_eq!(
            error.to_string(),
            "the base is Windows 10.0.26100.1, newer than this machine with Windows 10.0.20348.1: use a base of build \
             20348 (ltsc2022), or a machine with Windows 10.0.26100.1 or newer"
        );
        let error = isolation(version(26200), version(17763), StepIsolation::Process).expect_err("older");
        assert!(error.to_string().contains("runs builds 20348 to 26200"), "{error}");
    }
}
