//! What a step may do: its limits, its system calls, its user and its capabilities.

use std::{collections::BTreeMap, fs};

use polyarch_actors::{Resource, Ulimit};
use rustix::{
    process::{self, Rlimit, getrlimit, setrlimit},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
        set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};

use super::{
    birth::{Birth, Told, tell},
    system,
    user::User,
};
use crate::session::error::Failure;

/// What root may do in a step.
///
/// Source: moby's `oci/caps/defaults.go`.
const CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Refuses limits that this process may not set, before anything of a step is started.
pub(super) fn check_limits(ulimits: &BTreeMap<Resource, Ulimit>, userns: bool) -> Result<(), Failure> {
    // Who may raise limits is asked in the first user namespace alone.
    let owned = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE));
    for (resource, limit) in ulimits {
        let most = match (resource, owned && !userns) {
            (Resource::Nofile, true) => most_files(),
            (_, true) => None,
            (_, false) => getrlimit(of_kernel(*resource)).maximum,
        };
        if let Some(most) = most.filter(|most| limit.hard.is_none_or(|hard| hard > *most)) {
            return Err(Failure::Limit { resource: *resource, limit: *limit, most });
        }
    }
    Ok(())
}

/// How many files any process may open.
///
/// Source: Linux, `Documentation/admin-guide/sysctl/fs.rst` (`nr_open`).
fn most_files() -> Option<u64> {
    fs::read_to_string("/proc/sys/fs/nr_open").ok()?.trim().parse().ok()
}

/// Gives up what the step does not have, and becomes its user.
pub(super) fn take(birth: &Birth) -> Result<(), Told> {
    for (resource, limit) in &birth.ulimits {
        let set = setrlimit(of_kernel(*resource), Rlimit { current: limit.soft, maximum: limit.hard });
        set.map_err(tell(format!("set the limit {resource}={limit}")))?;
    }
    if birth.insecure {
        return keep_all(&birth.user);
    }
    if !birth.filter.is_empty() {
        system::filter_system_calls(&birth.filter).map_err(tell("filter system calls"))?;
    }
    for capability in CapabilitySet::all().difference(CAPABILITIES).iter() {
        if capability_is_in_bounding_set(capability).unwrap_or(false) {
            remove_capability_from_bounding_set(capability).map_err(tell("drop a capability"))?;
        }
    }
    become_user(&birth.user)?;
    if birth.user.uid == 0 {
        let sets = CapabilitySets {
            effective: CAPABILITIES,
            permitted: CAPABILITIES,
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, sets).map_err(tell("drop capabilities"))?;
    }
    Ok(())
}

/// Becomes the user with all rights that this process has, whoever that is.
///
/// Source: BuildKit, `util/entitlements/security/security_linux.go` (`WithInsecureSpec`).
fn keep_all(user: &User) -> Result<(), Told> {
    set_keep_capabilities(true).map_err(tell("keep capabilities"))?;
    become_user(user)?;
    let all = capabilities(None).map_err(tell("look at the capabilities"))?.permitted;
    let sets = CapabilitySets { effective: all, permitted: all, inheritable: all };
    set_capabilities(None, sets).map_err(tell("keep capabilities"))?;
    for capability in all.iter() {
        configure_capability_in_ambient_set(capability, true).map_err(tell("pass a capability on"))?;
    }
    Ok(())
}

fn become_user(user: &User) -> Result<(), Told> {
    let groups: Vec<_> = user.groups.iter().map(|group| rustix::fs::Gid::from_raw(*group)).collect();
    let (uid, gid) = (rustix::fs::Uid::from_raw(user.uid), rustix::fs::Gid::from_raw(user.gid));
    set_thread_groups(&groups).map_err(tell("set the groups"))?;
    set_thread_res_gid(gid, gid, gid).map_err(tell(format!("become group {}", user.gid)))?;
    set_thread_res_uid(uid, uid, uid).map_err(tell(format!("become user {}", user.uid)))
}

fn of_kernel(resource: Resource) -> process::Resource {
    match resource {
        Resource::Core => process::Resource::Core,
        Resource::Cpu => process::Resource::Cpu,
        Resource::Data => process::Resource::Data,
        Resource::Fsize => process::Resource::Fsize,
        Resource::Locks => process::Resource::Locks,
        Resource::Memlock => process::Resource::Memlock,
        Resource::Msgqueue => process::Resource::Msgqueue,
        Resource::Nice => process::Resource::Nice,
        Resource::Nofile => process::Resource::Nofile,
        Resource::Nproc => process::Resource::Nproc,
        Resource::Rss => process::Resource::Rss,
        Resource::Rtprio => process::Resource::Rtprio,
        Resource::Rttime => process::Resource::Rttime,
        Resource::Sigpending => process::Resource::Sigpending,
        Resource::Stack => process::Resource::Stack,
    }
}
