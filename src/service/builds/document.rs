//! What is asked for, as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

use super::submission::Submission;

/// A build that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BuildRequest)]
pub(super) struct RequestDocument {
    /// Where the files are that COPY and ADD see.
    pub(super) context: ContextDocument,
    /// Where the Dockerfile is; the file `Dockerfile` in the context if absent.
    #[serde(default)]
    pub(super) dockerfile: Option<DockerfileDocument>,
    /// The platforms, in the order of the index; that of the server if there is none.
    #[serde(default)]
    #[schema(example = json!(["linux/amd64", "linux/arm64"]))]
    pub(super) platforms: Vec<String>,
    /// Names for the index.
    #[serde(default)]
    #[schema(example = json!(["registry.example.org/app:1"]))]
    pub(super) tags: Vec<String>,
    /// The stage to build; the last one if absent.
    #[serde(default)]
    pub(super) target: Option<String>,
    /// Values for ARG instructions.
    #[serde(default)]
    pub(super) build_args: BTreeMap<String, String>,
    /// Labels of the images.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// Annotations, as `polyarch build --annotation` takes them: `index:key=value`.
    #[serde(default)]
    pub(super) annotations: Vec<String>,
    /// Whether every step is run, whatever earlier builds left.
    #[serde(default)]
    pub(super) no_cache: bool,
    /// Whether registries are asked for newer base images.
    #[serde(default)]
    pub(super) pull: bool,
    /// The secrets of the tenant that RUN steps may mount, by id.
    #[serde(default)]
    pub(super) secrets: Vec<String>,
    /// Whether the index is published under its tags.
    #[serde(default)]
    pub(super) push: bool,
    /// What is said about the images in their index.
    #[serde(default)]
    pub(super) attestations: AttestationsDocument,
    /// The most memory that all RUN steps of the build may take together, on all of its platforms: `512m`. By default as much
    /// as the tenant's builds may have.
    #[serde(default)]
    #[schema(example = "512m")]
    pub(super) memory: Option<String>,
    /// The most CPU time of all RUN steps of the build together, in CPUs. By default as much as the tenant's builds may have.
    #[serde(default)]
    #[schema(minimum = 0.01, example = 1.5)]
    pub(super) cpus: Option<f64>,
    /// The most processes and threads of all RUN steps of the build together. By default as many as the tenant's builds may
    /// have.
    #[serde(default)]
    #[schema(minimum = 1, example = 2048)]
    pub(super) pids: Option<u64>,
    /// When it is to be built, what it replaces, and how long it may take.
    #[serde(default)]
    pub(super) submission: Submission,
}

/// Where a context is: one of these.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[schema(as = ContextSource)]
pub(super) enum ContextDocument {
    /// An archive that was sent before: its digest.
    Upload(String),
    /// A git repository, as `polyarch build` takes it: `https://….git#REF:DIR`. It is reached over HTTP or HTTPS.
    Git(String),
    /// A directory of the server that the tenant may use, absolute.
    Path(String),
}

/// Where a Dockerfile is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a path in the context, or {\"text\": \"FROM …\"}")]
#[schema(as = Dockerfile)]
pub(super) enum DockerfileDocument {
    /// A file in the context.
    Path(String),
    /// At hand already.
    Text(DockerfileText),
}

/// A Dockerfile that is at hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DockerfileText {
    /// The whole text.
    pub(super) text: String,
}

/// What is said about images in their index.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Attestations)]
pub(super) struct AttestationsDocument {
    /// How much is said of how they were built; nothing if absent.
    #[serde(default)]
    pub(super) provenance: Option<ProvenanceDocument>,
    /// Whether their packages are listed.
    #[serde(default)]
    pub(super) sbom: bool,
}

/// How much is said of how images were built.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Provenance)]
pub(super) enum ProvenanceDocument {
    /// What they were built from, without build arguments, labels, and names of secrets.
    Min,
    /// These too, with the Dockerfile and its steps.
    Max,
}
