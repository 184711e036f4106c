//! The command lines of buildah in the distribution. Paths are texts: they are not those of this machine.

use std::collections::BTreeMap;

use polyarch_actors::{BuildError, BuildRequest, CachePolicy, NamedContext, Platform};

use super::{
    super::{
        flags::{build_arguments, no_comma, step_flags, step_limits},
        version::BuildahVersion,
    },
    found::Found,
};

/// The names of the variables that say which proxies there are. They are the only variables that a build gets from
/// outside, and only where the request has them.
const PROXIES: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// Where things are in the distribution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The work folder.
    pub(super) folder: &'a str,
    /// The name of the work.
    pub(super) id: &'a str,
    pub(super) found: &'a Found,
}

/// A build, when its base images are in the storage.
#[derive(Debug)]
pub(super) struct Build<'a> {
    pub(super) request: &'a BuildRequest,
    pub(super) isolation: &'a str,
    /// Images by the names that stand for them.
    pub(super) pinned: &'a BTreeMap<String, String>,
}

impl Place<'_> {
    fn buildah(&self, work: &[&str]) -> Vec<String> {
        let mut words: Vec<String> = vec!["buildah".into()];
        words.extend([format!("--root={}/root", self.folder), format!("--runroot={}/run", self.folder)]);
        words.push(format!("--storage-driver={}", self.found.driver));
        words.extend(work.iter().map(ToString::to_string));
        words
    }

    /// Brings a base image from the layout that was sent into the storage, and prints its id last.
    pub(super) fn pull(&self, place: &str, platform: &Platform) -> Vec<String> {
        let mut words = self.buildah(&["pull", "--quiet", "--policy=always", "--platform"]);
        words.push(platform.to_string());
        words.extend(self.version().gated("--retry=0").map(str::to_owned));
        // buildah makes a name of the path, which therefore must not have capital letters in it.
        words.push(format!("oci:{place}:it"));
        words
    }

    /// `buildah build`, in Docker's format, because buildah leaves SHELL, HEALTHCHECK and ONBUILD out of the other.
    pub(super) fn build(&self, build: &Build<'_>) -> Result<Vec<String>, BuildError> {
        let (request, folder) = (build.request, self.folder);
        let mut words = Vec::new();
        for (name, value) in proxies(request) {
            words.push(format!("{name}={value}"));
        }
        if !words.is_empty() {
            words.insert(0, "env".to_owned());
        }
        let fixed = ["build", "--layers", "--jobs=1", "--format=docker", "--force-rm", "--pull=never"];
        words.extend(self.buildah(&fixed));
        // Nothing there holds all steps of a build together.
        words.extend(step_flags(request, &step_limits(request, false, self.found.limits)));
        words.push(format!("--isolation={}", build.isolation));
        if build.isolation == "oci" {
            words.extend(["--runtime-flag".into(), format!("root={folder}/tmp/runtime")]);
            words.push(format!("--cgroup-parent=/polyarch-{}", self.id));
        }
        let gated = ["--identity-label=false", "--skip-unused-stages=true"];
        words.extend(gated.iter().filter_map(|flag| self.version().gated(flag)).map(str::to_owned));
        words.push(format!("--platform={}", request.platform));
        words.extend([format!("--file={folder}/Dockerfile"), format!("--iidfile={folder}/image-id")]);
        // What is ignored was not sent.
        words.push("--ignorefile=/dev/null".into());
        if request.cache == CachePolicy::Ignore {
            words.push("--no-cache".into());
        }
        words.extend(request.target.iter().map(|target| format!("--target={target}")));
        for (name, value) in build_arguments(request, &self.found.platform) {
            words.extend(["--build-arg".into(), format!("{name}={value}")]);
        }
        for (name, value) in &request.labels {
            words.extend(["--label".into(), format!("{name}={value}")]);
        }
        for (number, secret) in request.secrets.iter().enumerate() {
            if secret.id.contains(',') {
                return Err(no_comma("secret", &secret.id));
            }
            let source = format!("id={},src={folder}/{}", secret.id, secret_place(number));
            words.extend(["--secret".into(), source]);
        }
        for (number, ssh) in request.ssh.iter().enumerate() {
            if ssh.id.contains(',') {
                return Err(no_comma("SSH agent", &ssh.id));
            }
            let keys = (0..ssh.paths.len()).map(|key| format!("{folder}/{}", ssh_place(number, key)));
            let keys: Vec<String> = keys.collect();
            words.extend(["--ssh".into(), format!("{}={}", ssh.id, keys.join(","))]);
        }
        for (number, (name, context)) in request.build_contexts.iter().enumerate() {
            if matches!(context, NamedContext::Directory(_)) {
                let place = context_place(number);
                words.extend(["--build-context".into(), format!("{name}={folder}/{place}")]);
            }
        }
        for (name, image) in build.pinned {
            words.extend(["--build-context".into(), format!("{name}=container-image://{image}")]);
        }
        words.push(format!("{folder}/{CONTEXT}"));
        Ok(words)
    }

    /// Writes the config of the image that the variable `image` names.
    pub(super) fn inspect(&self) -> Vec<String> {
        self.buildah(&["inspect", "--type=image", "--format={{.Config}}"])
    }

    /// Writes an image as an OCI layout; its id and the layout follow.
    pub(super) fn push(&self) -> Vec<String> {
        self.buildah(&["push", "--quiet", "--format=oci"])
    }

    fn version(&self) -> BuildahVersion {
        self.found.version
    }
}

/// Where the context is in a work folder.
pub(super) const CONTEXT: &str = "context";

/// Where a named context is, by its number in the request.
pub(super) fn context_place(number: usize) -> String {
    format!("contexts/{number}")
}

/// Where a base image is.
pub(super) fn base_place(number: usize) -> String {
    format!("bases/{number}")
}

/// Where a secret is.
pub(super) fn secret_place(number: usize) -> String {
    format!("secrets/{number}")
}

/// Where a key for SSH is.
pub(super) fn ssh_place(number: usize, key: usize) -> String {
    format!("keys/{number}-{key}")
}

/// The proxies that the request gives to its steps, which whatever buildah fetches itself goes through too.
fn proxies(request: &BuildRequest) -> impl Iterator<Item = (&String, &String)> {
    let is_proxy = |name: &String| PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name));
    request.build_args.iter().filter(move |(name, _)| is_proxy(name))
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
