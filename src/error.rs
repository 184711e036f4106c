//! What a build can fail with, for whoever embeds polyarch.

use std::path::PathBuf;

use polyarch_actors::{BuildError, Fault, Outcome, Platform};

use crate::{
    cache::CacheError,
    dockerfile::{
        DockerfileError,
        lint::{CheckOptionError, Rule},
    },
    gather::GatherError,
    oci::{StoreError, index::DuplicatePlatform, layout::LayoutError},
    output::OutputError,
    pattern::PlatformPattern,
    registry::{PublishReport, RegistryError},
};

/// What is wrong with a [`BuildSpec`](crate::BuildSpec), apart from its Dockerfile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The context is not there.
    #[error("the context {path} does not exist")]
    NoContext {
        /// The context.
        path: PathBuf,
    },
    /// The context is something else.
    #[error("the context {path} is not a directory")]
    ContextNotDirectory {
        /// The context.
        path: PathBuf,
    },
    /// There is no Dockerfile.
    #[error("there is no Dockerfile at {path}")]
    NoDockerfile {
        /// Where it should be.
        path: PathBuf,
    },
    /// The Dockerfile, or the ignore file that belongs to it, cannot be read.
    #[error("cannot read {path}")]
    UnreadableDockerfile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// One name is to mean two forms of the image.
    #[error("two outputs push {name}, and each makes something else of the image")]
    TwoForms {
        /// The name.
        name: String,
    },
    /// A way to keep steps on Windows apart, and none of the platforms is one of Windows.
    #[error("--isolation is about steps on Windows, and no platform of this build is one of Windows")]
    IsolationElsewhere,
    /// Docker's media types lack something.
    #[error("Docker's media types have no {what}: leave out oci-mediatypes=false, or what asks for them")]
    NoDockerTypes {
        /// What they lack.
        what: &'static str,
    },
    /// A platform was asked for twice.
    #[error("platform {platform} is asked for twice")]
    DuplicatePlatform {
        /// The platform, normalised.
        platform: Platform,
    },
    /// An annotation is for a platform that is not built.
    #[error("the annotation {key} is for {platform}, which is not among the platforms of the build")]
    UnusedAnnotation {
        /// The annotation.
        key: String,
        /// Its platform.
        platform: Platform,
    },
    /// A pattern is about no platform that is built.
    #[error(
        "{pattern} is none of the platforms of the build ({})",
        platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    UnusedPattern {
        /// The pattern.
        pattern: PlatformPattern,
        /// The platforms.
        platforms: Vec<Platform>,
    },
    /// Two patterns have different values for one platform, and neither is narrower than the other.
    #[error("{} and {} both say what {what} of {platform} is, and neither is the narrower one", .patterns[0], .patterns[1])]
    Contradiction {
        /// What there are two values of.
        what: String,
        /// The platform.
        platform: Platform,
        /// The patterns.
        patterns: Box<[PlatformPattern; 2]>,
    },
    /// A build argument is given for some platforms, and is about what all share.
    #[error("the build argument {name} is one for all platforms: they share the context and the index")]
    OfAllPlatforms {
        /// The argument.
        name: &'static str,
    },
    /// A name for the image says which image it is already.
    #[error("{name} cannot be a tag: what has a digest cannot be given another meaning")]
    DigestInTag {
        /// The name.
        name: String,
    },
    /// An output holds one image, and the build makes several.
    #[error(
        "an output of type docker holds one platform, and {platforms} are built: use type=oci, or name one platform"
    )]
    SeveralPlatforms {
        /// How many.
        platforms: usize,
    },
    /// There is nothing that an image could be loaded into.
    #[error(
        "there is no docker, podman or buildah here that an image could be loaded into: write it to a file with \
         --output type=docker,dest=FILE"
    )]
    NothingToLoadInto,
    /// The moment that images should say they were made at is none.
    #[error("SOURCE_DATE_EPOCH={text} is no number of seconds since 1970")]
    Epoch {
        /// What is said instead.
        text: String,
    },
    /// There is nothing to push to.
    #[error("nothing says where to push: the build has no tag")]
    NothingToPush,
    /// Something is to have no name but its digest, and is given a tag.
    #[error("cannot push {name} by digest: it has a tag")]
    TagByDigest {
        /// The name.
        name: String,
    },
    /// An output cannot go where it should.
    #[error("cannot write the output {path}: {reason}")]
    Occupied {
        /// Where it should go.
        path: PathBuf,
        /// What is there, and what to do.
        reason: &'static str,
    },
    /// A cache would be published under a name of the image.
    #[error("the cache and the image cannot both be {name}")]
    CacheOverImage {
        /// The name.
        name: String,
    },
    /// A directory cannot hold a cache.
    #[error("cannot write the cache")]
    CacheFolder {
        /// Why not.
        source: LayoutError,
    },
    /// The build argument that says which build checks apply cannot be read.
    #[error("the build argument {name} cannot be read")]
    CheckOption {
        /// The argument.
        name: &'static str,
        /// What is wrong with it.
        source: CheckOptionError,
    },
    /// A file that the build needs is not there.
    #[error("{what} {path} does not exist")]
    Missing {
        /// What it is for.
        what: String,
        /// Where it should be.
        path: PathBuf,
    },
}

/// A platform that could not be built.
#[derive(Debug, thiserror::Error)]
#[error("{platform}: {error}")]
pub struct FailedBuild {
    /// The platform.
    pub platform: Platform,
    /// Why not.
    pub error: BuildError,
    /// The Dockerfile's lines, with a caret, where the failure has a place there.
    pub snippet: Option<String>,
    /// How every platform ended.
    pub outcome: Outcome,
}

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The spec is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The Dockerfile is wrong.
    #[error("{error}")]
    Dockerfile {
        /// What and where.
        error: DockerfileError,
        /// The lines around it, with a caret.
        snippet: String,
    },
    /// What the build is made of cannot be brought here.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// The build checks found something, and the Dockerfile or a build argument says that it is an error.
    #[error("the Dockerfile breaks build checks: {}", names(.rules))]
    Checks {
        /// The rules that are broken.
        rules: Vec<Rule>,
        /// The lines of the first warning, with a caret.
        snippet: String,
    },
    /// A platform could not be built.
    #[error(transparent)]
    Build(Box<FailedBuild>),
    /// The finished images do not make an index.
    #[error(transparent)]
    Duplicate(#[from] DuplicatePlatform),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An output could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Not every name could be published.
    #[error("{}", first_failure(.0))]
    Publish(PublishReport),
    /// A cache could not be written.
    #[error("cannot write the cache {place}")]
    Cache {
        /// Its name in a registry, or its directory.
        place: String,
        /// Why not.
        source: CacheError,
    },
    /// A part of the build took longer than it may, and nothing of the build is left running.
    #[error(transparent)]
    TimedOut(BuildError),
    /// The build was cancelled.
    #[error("the build was cancelled")]
    Cancelled,
    /// The orchestrator has been shut down, or a part of it failed.
    #[error("the orchestrator is gone: {reason}")]
    Gone {
        /// What happened.
        reason: String,
    },
}

impl Error {
    /// Who can do something about it.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Spec(_) | Self::Dockerfile { .. } | Self::Checks { .. } | Self::Duplicate(_) => Fault::User,
            Self::Gather(error) => error.fault(),
            Self::Build(failed) => failed.error.fault(),
            Self::Store(_) | Self::Output(_) | Self::Gone { .. } => Fault::Host,
            Self::Registry(error) => error.fault(),
            Self::Cache { source, .. } => source.fault(),
            Self::Publish(report) => first_error(report).map_or(Fault::Registry, RegistryError::fault),
            Self::TimedOut(error) => error.fault(),
            Self::Cancelled => Fault::Cancelled,
        }
    }
}

/// The failure of a publication that a person should look at first: one that is no consequence of another.
pub(crate) fn first_error(report: &PublishReport) -> Option<&RegistryError> {
    let failures =
        || report.targets.iter().filter_map(|target| target.result.as_ref().err().map(AsRef::as_ref));
    failures().find(|error| !matches!(error, RegistryError::Withheld { .. })).or_else(|| failures().next())
}

fn names(rules: &[Rule]) -> String {
    rules.iter().map(|rule| rule.name()).collect::<Vec<_>>().join(", ")
}

fn first_failure(report: &PublishReport) -> String {
    first_error(report).map_or_else(|| "nothing was published".into(), ToString::to_string)
}

/// An error and its sources, as one sentence.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
