//! What is asked of a backend: one platform of one spec.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    BackendId, BuildId, BuildResources, Descriptor, Fetching, Platform, StepOptions, queue::Tenant,
    version::ProtocolVersion,
};

/// Asks for one platform of one image. Self-contained: a worker on another machine needs nothing else
/// but the context itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildRequest {
    /// The version of this message's form.
    pub version: ProtocolVersion,
    /// Ties events, logs and the reply together, across machines too.
    pub build: BuildId,
    /// What the image is for; its OS decides the route.
    pub platform: Platform,
    /// With whom it shares results, bases and caches; without one, with all others that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Tenant>,
    /// The Dockerfile, already read.
    pub dockerfile: DockerfileSource,
    /// The files that COPY and ADD see.
    pub context: ContextSource,
    /// Contexts by name, which replace stages and images of that name.
    pub build_contexts: BTreeMap<String, NamedContext>,
    /// The stage to build; the last one if absent.
    pub target: Option<String>,
    /// Values for ARG instructions.
    pub build_args: BTreeMap<String, String>,
    /// Labels for the image config.
    pub labels: BTreeMap<String, String>,
    /// Whether results of earlier builds may be used.
    pub cache: CachePolicy,
    /// The stages whose steps are done again, by their numbers in the file.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub anew: BTreeSet<usize>,
    /// Steps that were done elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<ImportedSteps>,
    /// Whether [`BuiltImage::steps`](crate::BuiltImage::steps) is wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub notes_steps: bool,
    /// When base images are fetched.
    pub pull: PullPolicy,
    /// Secrets that RUN steps may mount, by reference: their values never enter a message.
    pub secrets: Vec<SecretRef>,
    /// SSH agents that RUN steps may use.
    pub ssh: Vec<SshRef>,
    /// How registries are reached.
    pub registry: RegistryAccess,
    /// On whose behalf what ADD names and images are fetched.
    #[serde(default, skip_serializing_if = "Fetching::is_own")]
    pub fetching: Fetching,
    /// The platforms on which the plan runs commands; empty when no machine of any kind is needed.
    pub runs_on: BTreeSet<Platform>,
    /// Images from registries that the plan needs, each for a platform.
    pub bases: Vec<BaseImage>,
    /// The only backend that may build this, when the user named one.
    pub backend: Option<BackendId>,
    /// Whether RUN steps may be emulated.
    pub emulation: Emulation,
    /// What RUN steps are given besides what the Dockerfile says.
    #[serde(default, skip_serializing_if = "StepOptions::is_default")]
    pub steps: StepOptions,
    /// What the RUN steps of all requests of the build may take together.
    #[serde(default, skip_serializing_if = "BuildResources::is_default")]
    pub resources: BuildResources,
    /// Whether the plan has a step that asks for all rights (`RUN --security=insecure`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// Whether the build succeeds without this platform.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// A Dockerfile as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerfileSource {
    /// The name to show in messages, as the user gave it.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// The text of the ignore file that belongs to this Dockerfile alone (`<Dockerfile>.dockerignore`); the
    /// context's `.dockerignore` counts where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore: Option<String>,
}

impl DockerfileSource {
    /// A Dockerfile without an ignore file of its own.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), ignore: None }
    }
}

/// Where the build context is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContextSource {
    /// A directory of this machine, absolute.
    Directory(PathBuf),
    /// The same, found for somebody else: a part of its path that is a symbolic link by the time when it is opened is an
    /// error.
    Enclosed(PathBuf),
}

impl ContextSource {
    /// The directory.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Directory(folder) | Self::Enclosed(folder) => folder,
        }
    }
}

/// What `--build-context name=…` stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedContext {
    /// A directory of this machine, absolute.
    Directory(PathBuf),
    /// An image in a registry (`docker-image://`).
    Image(String),
    /// An image or index in the store (`oci-layout://`, from where it was copied).
    Stored(Descriptor),
}

/// An image of a registry and the platform it is wanted for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BaseImage {
    /// The reference as the Dockerfile gives it, with its variables expanded.
    pub reference: String,
    /// Which of its platforms.
    pub platform: Platform,
}

/// Whether results of earlier builds may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CachePolicy {
    /// A step whose inputs have not changed is not run again.
    #[default]
    Use,
    /// Every step runs.
    Ignore,
}

/// Steps that were done elsewhere, and where their layers are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedSteps {
    /// What the steps led to, a document in the store.
    pub steps: Descriptor,
    /// Where the layers are that the store does not have.
    pub layers: LayerSource,
}

/// Where layers are had from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerSource {
    /// A repository of a registry, named by an image in it.
    Registry(String),
    /// An OCI image layout on this machine, an absolute directory.
    Layout(PathBuf),
}

/// When base images are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullPolicy {
    /// Only when they are not here.
    #[default]
    Missing,
    /// Always ask the registry for a newer one.
    Always,
}

/// Whether RUN steps for a CPU that this machine does not have may be emulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Emulation {
    /// Never.
    Forbid,
    /// Only where no backend runs it natively.
    #[default]
    Fallback,
    /// Whenever the first choice of backend can.
    Allow,
}

/// A secret by reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRef {
    /// The id that `RUN --mount=type=secret,id=…` names.
    pub id: String,
    /// Where its value is.
    pub source: SecretSource,
}

/// Where the value of a secret is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// In a file, absolute.
    File(PathBuf),
    /// In an environment variable of the process that builds.
    Env(String),
}

/// An SSH agent socket or keys by reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshRef {
    /// The id that `RUN --mount=type=ssh,id=…` names; `default` where none is given.
    pub id: String,
    /// An agent's socket or private keys; the agent of `SSH_AUTH_SOCK` if empty.
    pub paths: Vec<PathBuf>,
}

/// How registries are reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryAccess {
    /// A file of credentials in the format of Docker's `config.json`, instead of the usual places.
    pub authfile: Option<PathBuf>,
    /// Whether TLS certificates are checked and plain HTTP is refused. Loopback registries may always
    /// use plain HTTP.
    pub tls_verify: bool,
    /// The registries, as `host` or `host:port`, that a build reaches wherever they are, although it fetches from public
    /// addresses alone ([`Fetching::Public`]).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub private: BTreeSet<String>,
}

impl Default for RegistryAccess {
    fn default() -> Self {
        Self { authfile: None, tls_verify: true, private: BTreeSet::new() }
    }
}

impl BuildRequest {
    /// The simplest request: no arguments, no options, and no step that runs anything.
    pub fn new(
        build: BuildId,
        platform: Platform,
        dockerfile: DockerfileSource,
        context: ContextSource,
    ) -> Self {
        Self {
            version: ProtocolVersion,
            build,
            platform,
            scope: None,
            dockerfile,
            context,
            build_contexts: BTreeMap::new(),
            target: None,
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            cache: CachePolicy::default(),
            anew: BTreeSet::new(),
            imports: Vec::new(),
            notes_steps: false,
            pull: PullPolicy::default(),
            secrets: Vec::new(),
            ssh: Vec::new(),
            registry: RegistryAccess::default(),
            fetching: Fetching::default(),
            runs_on: BTreeSet::new(),
            bases: Vec::new(),
            backend: None,
            emulation: Emulation::default(),
            steps: StepOptions::default(),
            resources: BuildResources::default(),
            insecure: false,
            optional: false,
        }
    }
}
