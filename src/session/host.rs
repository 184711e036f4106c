//! Which session runs the steps of Linux images on this kind of host.

use std::{path::PathBuf, sync::Arc};

use super::contract::SharedSession;
use crate::{archive::Limits, oci::Store};

/// That of Linux. `helper` is a program that calls [`init`](crate::init) first; this one if absent.
#[cfg(target_os = "linux")]
pub(crate) fn of_host(store: &Store, helper: Option<PathBuf>, limits: Limits) -> SharedSession {
    use super::linux::{LinuxSession, SessionOptions};
    Arc::new(LinuxSession::new(store.clone(), SessionOptions { helper, limits, snapshots: None }))
}

/// There is none: this system cannot execute programs for Linux.
#[cfg(not(target_os = "linux"))]
pub(crate) fn of_host(_: &Store, _: Option<PathBuf>, _: Limits) -> SharedSession {
    let advice = "Give the stages that RUN to a machine with Linux, or use buildah in a virtual machine.";
    Arc::new(super::absent::NoSession::new("this system executes no programs for Linux", advice))
}
