//! The command lines of buildah.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use polyarch_actors::{
    BuildError, BuildRequest, CachePolicy, NamedContext, Platform, SecretRef, SecretSource, SshRef,
};

use super::{
    flags::{build_arguments, no_comma, step_flags},
    version::BuildahVersion,
};
use crate::{guard::Command, session::Limits};

/// Variables that would change where buildah stores things or how it builds. Flags decide that.
const FOREIGN: [&str; 8] = [
    "BUILDAH_FORMAT",
    "BUILDAH_ISOLATION",
    "BUILDAH_LAYERS",
    "BUILDAH_HISTORY",
    "BUILDAH_RUNTIME",
    "CONTAINERS_STORAGE_CONF",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
];

/// A storage of buildah: where things are and how they are stored.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    /// The program.
    pub(super) program: PathBuf,
    /// Where images and containers are.
    pub(super) root: PathBuf,
    /// Where the state of mounts is.
    pub(super) run: PathBuf,
    /// Flags that choose the driver.
    pub(super) driver_flags: Vec<String>,
    /// The name of the driver.
    pub(super) driver: String,
    /// Read-only storages whose images can be used.
    pub(super) shared: Vec<PathBuf>,
}

impl Storage {
    /// buildah with this storage, without a subcommand.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_remove = FOREIGN.iter().map(ToString::to_string).collect();
        command.arg("--root").arg(&self.root).arg("--runroot").arg(&self.run).args(&self.driver_flags);
        for shared in &self.shared {
            let mut option = OsString::from(format!("{}.imagestore=", self.driver));
            option.push(shared);
            command.arg("--storage-opt").arg(option);
        }
        command
    }
}

/// What a build needs to know besides the request.
#[derive(Clone, Debug)]
pub(super) struct BuildPlan<'a> {
    pub(super) request: &'a BuildRequest,
    pub(super) version: BuildahVersion,
    pub(super) isolation: &'a str,
    /// The platform on which buildah runs.
    pub(super) build_platform: &'a Platform,
    /// The Dockerfile, outside the context.
    pub(super) dockerfile: &'a Path,
    /// The ignore file that belongs to the Dockerfile alone.
    pub(super) ignore_file: Option<&'a Path>,
    /// Where the id of the image is to be written.
    pub(super) id_file: &'a Path,
    /// Where the container runtime keeps its state, so that nothing of it is left elsewhere.
    pub(super) runtime_root: &'a Path,
    /// The control group for containers.
    pub(super) cgroup: &'a str,
    /// What each step may use up.
    pub(super) limits: Limits,
    /// Images by the names that stand for them.
    pub(super) pinned: &'a BTreeMap<String, String>,
    /// Folders of this machine that the process sees empty.
    pub(super) mask: &'a [PathBuf],
}

/// `buildah build`.
///
/// In Docker's format, because buildah leaves SHELL, HEALTHCHECK and ONBUILD out of the other.
pub(super) fn build(storage: &Storage, plan: &BuildPlan<'_>) -> Result<Command, BuildError> {
    let BuildPlan { request, version, .. } = plan;
    let mut command = storage.command();
    command.mask = plan.mask.to_vec();
    command.args(["build", "--layers", "--jobs=1", "--format=docker", "--force-rm", "--pull=never"]);
    command.args(step_flags(request, &plan.limits)).args(["--isolation", plan.isolation]);
    command.args(runtime_flags(plan.isolation, plan.runtime_root, plan.cgroup));
    command.args(
        ["--identity-label=false", "--skip-unused-stages=true"].iter().filter_map(|flag| version.gated(flag)),
    );
    command.arg("--platform").arg(request.platform.to_string());
    command.arg("--file").arg(plan.dockerfile).arg("--iidfile").arg(plan.id_file);
    if request.cache == CachePolicy::Ignore {
        command.arg("--no-cache");
    }
    if let Some(file) = plan.ignore_file {
        command.arg("--ignorefile").arg(file);
    }
    if let Some(target) = &request.target {
        command.arg("--target").arg(target);
    }
    for (name, value) in build_arguments(request, plan.build_platform) {
        command.arg("--build-arg").arg(format!("{name}={value}"));
    }
    for (name, value) in &request.labels {
        command.arg("--label").arg(format!("{name}={value}"));
    }
    for secret in &request.secrets {
        command.arg("--secret").arg(secret_flag(secret)?);
    }
    for ssh in &request.ssh {
        command.arg("--ssh").arg(ssh_flag(ssh)?);
    }
    for (name, context) in &request.build_contexts {
        if let NamedContext::Directory(folder) = context {
            command.arg("--build-context").arg(joined(&format!("{name}="), folder));
        }
    }
    for (name, image) in plan.pinned {
        command.arg("--build-context").arg(format!("{name}=container-image://{image}"));
    }
    command.arg(request.context.folder());
    Ok(command)
}

/// Flags that keep the container runtime's traces where they are cleaned up: its state in a folder and its control
/// groups below one. An ordinary user's containers have no control groups of their own.
pub(super) fn runtime_flags(isolation: &str, state: &Path, cgroup: &str) -> Vec<OsString> {
    let mut flags = Vec::new();
    if isolation != "chroot" {
        flags.extend(["--runtime-flag".into(), joined("root=", state)]);
    }
    if isolation == "oci" {
        flags.extend(["--cgroup-parent".into(), format!("/{cgroup}").into()]);
    }
    flags
}

/// `buildah pull` of one image from `source`, a transport and a name.
pub(super) fn pull(
    storage: &Storage,
    version: BuildahVersion,
    source: &str,
    platform: &Platform,
    authfile: Option<&Path>,
    tls_verify: bool,
) -> Command {
    let mut command = storage.command();
    command.args(["pull", "--quiet", "--policy=always", "--platform", &platform.to_string()]);
    command.args(version.gated("--retry=0"));
    if let Some(authfile) = authfile {
        command.arg("--authfile").arg(authfile);
    }
    if !tls_verify {
        command.arg("--tls-verify=false");
    }
    command.arg(source);
    command
}

/// `buildah push` of an image to an OCI layout.
pub(super) fn push(storage: &Storage, image: &str, layout: &Path) -> Command {
    let mut command = storage.command();
    command.args(["push", "--quiet", "--format=oci", image]).arg(joined("oci:", layout));
    command
}

/// `buildah inspect`, which writes the config of an image as it is stored.
pub(super) fn inspect_config(storage: &Storage, image: &str) -> Command {
    let mut command = storage.command();
    command.args(["inspect", "--type=image", "--format={{.Config}}", image]);
    command
}

fn secret_flag(secret: &SecretRef) -> Result<OsString, BuildError> {
    let mut flag = OsString::from(format!("id={},", secret.id));
    let comma = match &secret.source {
        SecretSource::File(path) => {
            flag.push("src=");
            flag.push(path);
            has_comma(path)
        }
        SecretSource::Env(name) => {
            flag.push(format!("env={name}"));
            name.contains(',')
        }
    };
    if comma || secret.id.contains(',') {
        return Err(no_comma("secret", &secret.id));
    }
    Ok(flag)
}

fn ssh_flag(ssh: &SshRef) -> Result<OsString, BuildError> {
    if ssh.id.contains(',') || ssh.paths.iter().any(|path| has_comma(path)) {
        return Err(no_comma("SSH agent", &ssh.id));
    }
    let mut flag = OsString::from(&ssh.id);
    for (index, path) in ssh.paths.iter().enumerate() {
        flag.push(if index == 0 { "=" } else { "," });
        flag.push(path);
    }
    Ok(flag)
}

fn has_comma(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().contains(&b',')
}

fn joined(before: &str, path: &Path) -> OsString {
    let mut text = OsString::from(before);
    text.push(path);
    text
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
