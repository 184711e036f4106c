//! What a user asks for: one context, many platforms, names and outputs.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use polyarch_actors::{
    BackendId, BuildResources, CachePolicy, Digest, Emulation, FailurePolicy, Fetching, Platform, PullPolicy,
    RegistryAccess, SecretRef, SshRef, StepOptions, queue::Tenant,
};
use serde::{Deserialize, Serialize};

use crate::{
    attest::Attestations,
    cache::{CacheExport, CacheSource},
    error::SpecError,
    oci::Reference,
    output::{ImageForm, Output, Push},
    pattern::PlatformPattern,
    sources::{ContextInput, NamedInput},
    values::PlatformValues,
};

/// The build argument that says when images say they were made.
///
/// Source: reproducible-builds.org, `specs/source-date-epoch`; BuildKit, `docs/build-repro.md`.
pub(crate) const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// One image to build for several platforms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildSpec {
    /// Where the files are that COPY and ADD see.
    pub context: ContextInput,
    /// Where the Dockerfile is.
    #[serde(default)]
    pub dockerfile: DockerfileInput,
    /// The platforms, in the order of the index; this machine's if empty.
    #[serde(default)]
    pub platforms: Vec<Platform>,
    /// Names for the index, in the store and for every output that has names.
    #[serde(default)]
    pub tags: Vec<Reference>,
    /// The stage to build; the last one if absent.
    #[serde(default)]
    pub target: Option<String>,
    /// Values for ARG instructions.
    #[serde(default)]
    pub build_args: BTreeMap<String, String>,
    /// Labels for the image configs.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations for manifests and the index.
    #[serde(default)]
    pub annotations: Vec<Annotation>,
    /// Contexts by name, which replace stages and images of that name.
    #[serde(default)]
    pub build_contexts: BTreeMap<String, NamedInput>,
    /// What some platforms have instead of the Dockerfile, the stage, the arguments, the contexts and the backend of
    /// all.
    #[serde(default)]
    pub for_platforms: Vec<PlatformValues>,
    /// Whether results of earlier builds may be used.
    #[serde(default)]
    pub cache: CachePolicy,
    /// Stages whose steps are done again, by name or number, whatever results there are.
    #[serde(default)]
    pub no_cache_stages: Vec<String>,
    /// Where results of builds elsewhere are looked for; not at all with [`CachePolicy::Ignore`]. One that cannot be
    /// read is told of by a warning.
    #[serde(default)]
    pub cache_from: Vec<CacheSource>,
    /// Where the results of this build are written for builds elsewhere.
    #[serde(default)]
    pub cache_to: Vec<CacheExport>,
    /// When base images are fetched.
    #[serde(default)]
    pub pull: PullPolicy,
    /// Secrets for RUN steps, by reference.
    #[serde(default)]
    pub secrets: Vec<SecretRef>,
    /// SSH agents for RUN steps.
    #[serde(default)]
    pub ssh: Vec<SshRef>,
    /// How registries are reached.
    #[serde(default)]
    pub registry: RegistryAccess,
    /// On whose behalf contexts and what ADD names are fetched.
    #[serde(default)]
    pub fetching: Fetching,
    /// The only backend that may build this.
    #[serde(default)]
    pub backend: Option<BackendId>,
    /// Whether RUN steps may be emulated.
    #[serde(default)]
    pub emulation: Emulation,
    /// What RUN steps are given besides what the Dockerfile says.
    #[serde(default)]
    pub steps: StepOptions,
    /// What the RUN steps of all platforms may take together.
    #[serde(default, skip_serializing_if = "BuildResources::is_default")]
    pub resources: BuildResources,
    /// With whom this build shares results of steps, base images, caches and names in the store: with all builds of the
    /// same scope and with no other. Builds without one share the store itself.
    pub scope: Option<Tenant>,
    /// What the failure of one platform means for the others.
    #[serde(default)]
    pub policy: FailurePolicy,
    /// The platforms without which the build succeeds: what cannot be built of them is missing in the index, and the
    /// receipt says why.
    #[serde(default)]
    pub optional: Vec<PlatformPattern>,
    /// What is said about the images in the index. None of it is in outputs that hold no index.
    #[serde(default)]
    pub attestations: Attestations,
    /// Where the index goes, beside the store.
    #[serde(default)]
    pub outputs: Vec<Output>,
}

impl BuildSpec {
    /// Builds the Dockerfile in the directory `context` for this machine, into the store alone.
    pub fn new(context: impl Into<PathBuf>) -> Self {
        Self::of(ContextInput::Directory(context.into()))
    }

    /// Builds the Dockerfile in a context for this machine, into the store alone.
    pub fn of(context: ContextInput) -> Self {
        Self {
            context,
            dockerfile: DockerfileInput::InContext,
            platforms: Vec::new(),
            tags: Vec::new(),
            target: None,
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            annotations: Vec::new(),
            build_contexts: BTreeMap::new(),
            for_platforms: Vec::new(),
            cache: CachePolicy::default(),
            no_cache_stages: Vec::new(),
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            pull: PullPolicy::default(),
            secrets: Vec::new(),
            ssh: Vec::new(),
            registry: RegistryAccess::default(),
            fetching: Fetching::default(),
            backend: None,
            emulation: Emulation::default(),
            steps: StepOptions::default(),
            resources: BuildResources::default(),
            scope: None,
            policy: FailurePolicy::default(),
            optional: Vec::new(),
            attestations: Attestations::default(),
            outputs: Vec::new(),
        }
    }

    /// The same build for these platforms.
    #[must_use]
    pub fn platforms(mut self, platforms: impl IntoIterator<Item = Platform>) -> Self {
        self.platforms.extend(platforms);
        self
    }

    /// The same build with a further name.
    #[must_use]
    pub fn tag(mut self, name: Reference) -> Self {
        self.tags.push(name);
        self
    }

    /// The caches that are read: none where earlier results are ignored.
    pub(crate) fn caches_to_read(&self) -> &[CacheSource] {
        match self.cache {
            CachePolicy::Use => &self.cache_from,
            CachePolicy::Ignore => &[],
        }
    }

    /// What an output of this build is called: its own names, behind the tags.
    pub(crate) fn names_of(&self, output: &Output) -> Vec<Reference> {
        let mut names = self.tags.clone();
        let own = output.image().into_iter().flat_map(|image| &image.names);
        for name in own {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The names in registries that outputs publish in this way.
    pub(crate) fn pushed_names(&self, push: Push) -> Vec<Reference> {
        self.names_of_those(|output| output.push() == push)
    }

    /// Where the index in one form goes in registries: to names, or only to its digest.
    pub(crate) fn push_targets(&self, form: &ImageForm, index: &Digest) -> Vec<Reference> {
        let names = |push| self.names_of_those(|output| output.push() == push && output.form() == Some(form));
        let by_digest = names(Push::ByDigest).into_iter().map(|name| name.with_digest(index.clone()));
        names(Push::Tags).into_iter().chain(by_digest).collect()
    }

    fn names_of_those(&self, which: impl Fn(&Output) -> bool) -> Vec<Reference> {
        let mut names = Vec::new();
        let those = self.outputs.iter().filter(|output| which(output));
        for name in those.flat_map(|output| self.names_of(output)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Whether making the index takes layers of bases, which may not be in the store.
    pub(crate) fn looks_into_bases(&self) -> bool {
        let forced = |output: &Output| output.form().is_some_and(|form| form.force_compression);
        self.attestations.sbom || self.outputs.iter().any(forced)
    }

    /// `SOURCE_DATE_EPOCH` in seconds since 1970, if the build has it.
    ///
    /// # Errors
    /// [`SpecError::Epoch`] when it is no such number.
    pub(crate) fn epoch(&self) -> Result<Option<i64>, SpecError> {
        match self.build_args.get(EPOCH).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(text) => match text.parse().ok().filter(|epoch| *epoch >= 0) {
                Some(epoch) => Ok(Some(epoch)),
                None => Err(SpecError::Epoch { text: text.to_owned() }),
            },
        }
    }

    /// Everything that points at the index in the end, in the store.
    pub(crate) fn names(&self) -> Vec<Reference> {
        let mut names = self.tags.clone();
        for name in self.outputs.iter().flat_map(|output| self.names_of(output)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The same build with results of builds elsewhere.
    #[must_use]
    pub fn cache_from(mut self, source: CacheSource) -> Self {
        self.cache_from.push(source);
        self
    }

    /// The same build with results for builds elsewhere.
    #[must_use]
    pub fn cache_to(mut self, export: CacheExport) -> Self {
        self.cache_to.push(export);
        self
    }

    /// The same build with a further output.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.outputs.push(output);
        self
    }
}

/// Where the Dockerfile is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum DockerfileInput {
    /// The file `Dockerfile` in the context, or `dockerfile` where that is missing.
    #[default]
    InContext,
    /// A file: of this machine where the context is a directory, else one in the context. An absolute path is one of
    /// this machine unless the context comes on standard input.
    Path(PathBuf),
    /// A file of a web server.
    Url(String),
    /// At hand already, with a name for messages.
    Text {
        /// The name.
        name: String,
        /// The whole text.
        text: String,
    },
}

/// An annotation and what it is put on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annotation {
    /// What it is put on.
    pub level: AnnotationLevel,
    /// The one platform it is for, at the levels that have platforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// What an annotation is put on.
///
/// Source: BuildKit, `docs/annotations.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnnotationLevel {
    /// The image manifests.
    Manifest,
    /// The entries of the index.
    ManifestDescriptor,
    /// The index.
    Index,
}

/// Why a text is no annotation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid annotation {text:?}: {reason}")]
pub struct AnnotationError {
    text: String,
    reason: String,
}

impl FromStr for Annotation {
    type Err = AnnotationError;

    /// Reads `[level[platform]:]key=value`; the level is `manifest` (the default), `manifest-descriptor` or `index`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason: &str| AnnotationError { text: text.to_owned(), reason: reason.to_owned() };
        let (head, value) = text.split_once('=').ok_or_else(|| wrong("expected key=value"))?;
        let (place, key) = head.rsplit_once(':').unwrap_or(("manifest", head));
        if key.is_empty() {
            return Err(wrong("the key is empty"));
        }
        let (level, platform) = match place.split_once('[') {
            None => (place, None),
            Some((level, rest)) => {
                let platform =
                    rest.strip_suffix(']').ok_or_else(|| wrong("the platform has no closing ]"))?;
                let platform: Platform = platform.parse().map_err(|error| wrong(&format!("{error}")))?;
                (level, Some(platform))
            }
        };
        let level = match level {
            "manifest" => AnnotationLevel::Manifest,
            "manifest-descriptor" => AnnotationLevel::ManifestDescriptor,
            "index" => AnnotationLevel::Index,
            other => {
                let known = "expected manifest, manifest-descriptor or index before the colon";
                return Err(wrong(&format!("{other:?} is no level ({known})")));
            }
        };
        if level == AnnotationLevel::Index && platform.is_some() {
            return Err(wrong("the index has no platform"));
        }
        Ok(Self { level, platform, key: key.to_owned(), value: value.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_read_as_buildx_writes_them() {
        let one: Annotation = "org.opencontainers.image.title=a=b".parse().expect("an annotation");
        assert_eq!(
            (one.level, one.key.as_str(), one.value.as_str()),
            (AnnotationLevel::Manifest, "org.opencontainers.image.title", "a=b")
        );
        let one: Annotation = "manifest-descriptor[linux/arm64/v8]:k=".parse().expect("an annotation");
        assert_eq!(one.level, AnnotationLevel::ManifestDescriptor);
        assert_eq!(one.platform, Some("linux/arm64".parse().expect("platform")));
        let one: Annotation = "index:k=v".parse().expect("an annotation");
        assert_eq!(one.level, AnnotationLevel::Index);
    }

    #[test]
    fn what_is_no_annotation_says_why() {
        for (text, reason) in [
            ("k", "expected key=value"),
            ("=v", "the key is empty"),
            ("layer:k=v", "\"layer\" is no level"),
            ("manifest[linux/arm64:k=v", "the platform has no closing ]"),
            ("index[linux/arm64]:k=v", "the index has no platform"),
        ] {
            let error = text.parse::<Annotation>().expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
