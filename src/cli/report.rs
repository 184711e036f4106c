//! How a command ends badly: one clear sentence, what to look at, what to do, and an exit code.

use std::io::{self, Write};

use polyarch_actors::{BuildError, Fault};

use super::text;
use crate::{
    CacheError, GatherError,
    dockerfile::ErrorKind,
    error::with_sources,
    error::{Error, FailedBuild, SpecError, first_error},
    fetch::{FetchError, GitFault},
    oci::StoreError,
    output::OutputError,
    registry::{RegistryError, TagState},
};

/// The exit codes, as `polyarch --help` lists them.
pub(super) mod exit {
    pub(crate) const SUCCESS: u8 = 0;
    pub(crate) const HOST: u8 = 1;
    /// As buildx has it.
    pub(crate) const WARNINGS: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const INPUT: u8 = 3;
    pub(crate) const STEP: u8 = 4;
    pub(crate) const NO_BACKEND: u8 = 5;
    pub(crate) const BASE_IMAGE: u8 = 6;
    pub(crate) const REGISTRY: u8 = 7;
    pub(crate) const CREDENTIALS: u8 = 8;
    pub(crate) const NO_SPACE: u8 = 9;
    pub(crate) const STORE: u8 = 10;
    pub(crate) const INTERRUPTED: u8 = 130;
    #[cfg(unix)]
    pub(crate) const TERMINATED: u8 = 143;
}

/// How a command failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    /// One sentence.
    sentence: String,
    /// What to look at: output, lines of the Dockerfile.
    details: Vec<String>,
    /// What to do, one sentence each.
    hints: Vec<String>,
}

impl Failure {
    pub(super) fn new(code: u8, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), details: Vec::new(), hints: Vec::new() }
    }

    pub(super) fn usage(sentence: impl Into<String>) -> Self {
        Self::new(exit::USAGE, sentence)
    }

    pub(super) fn input(sentence: impl Into<String>) -> Self {
        Self::new(exit::INPUT, sentence)
    }

    pub(super) fn host(sentence: impl Into<String>) -> Self {
        Self::new(exit::HOST, sentence)
    }

    /// The same, said about one of several things.
    pub(super) fn about(mut self, what: &str) -> Self {
        self.sentence = format!("{what}: {}", self.sentence);
        self
    }

    pub(super) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with a further failure that it is told of with; the exit code is that of the first.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.details.push(format!("error: {}", text::line(&other.sentence)));
        self.details.extend(other.details);
        self.hints
            .extend(other.hints.into_iter().filter(|hint| !self.hints.contains(hint)).collect::<Vec<_>>());
        self
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// Writes the failure for a person.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "error: {}", text::line(&self.sentence))?;
        for detail in &self.details {
            writeln!(out, "{}", text::lines(detail.trim_end()))?;
        }
        self.hints.iter().try_for_each(|hint| writeln!(out, "hint: {}", text::line(hint)))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        if error.is_full() {
            return no_space(with_sources(&error));
        }
        let code = match &error {
            StoreError::UnknownName(_)
            | StoreError::NameTaken(_)
            | StoreError::NoIndex(_)
            | StoreError::NoEntry { .. } => exit::INPUT,
            _ => exit::STORE,
        };
        Self::new(code, with_sources(&error))
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::from(&error)
    }
}

impl From<&RegistryError> for Failure {
    fn from(error: &RegistryError) -> Self {
        let sentence = with_sources(error);
        match error {
            RegistryError::NoCredentials { registry, .. } => Self::new(exit::CREDENTIALS, sentence)
                .hint(format!("log in with docker login {registry} or skopeo login {registry}, or name a file with --authfile")),
            RegistryError::WrongCredentials { registry, .. } => {
                Self::new(exit::CREDENTIALS, sentence).hint(format!("log in to {registry} again"))
            }
            RegistryError::Denied { .. } | RegistryError::Auth(_) => Self::new(exit::CREDENTIALS, sentence),
            RegistryError::Unreachable { .. } => Self::new(exit::REGISTRY, sentence)
                .hint("check the name and the network; --tls-verify=false allows plain HTTP and unknown certificates"),
            RegistryError::Store(store) if store.is_full() => no_space(sentence),
            RegistryError::Store(_) => Self::new(exit::STORE, sentence),
            RegistryError::Cancelled => Self::new(exit::INTERRUPTED, "cancelled"),
            RegistryError::Uncertain { cause, .. } => Self { sentence, ..Self::from(&**cause) },
            error if error.refuses_the_kind() => Self::new(exit::REGISTRY, sentence).hint(
                "a registry that takes no OCI index may take Docker's: --output type=registry,oci-mediatypes=false",
            ),
            _ => Self::new(exit::REGISTRY, sentence),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Spec(spec) => {
                let failure = Self::new(
                    if matches!(
                        spec,
                        SpecError::DuplicatePlatform { .. }
                            | SpecError::DigestInTag { .. }
                            | SpecError::Epoch { .. }
                            | SpecError::SeveralPlatforms { .. }
                            | SpecError::NothingToLoadInto
                            | SpecError::NothingToPush
                            | SpecError::TwoForms { .. }
                            | SpecError::IsolationElsewhere
                            | SpecError::NoDockerTypes { .. }
                            | SpecError::TagByDigest { .. }
                            | SpecError::CacheOverImage { .. }
                            | SpecError::UnusedAnnotation { .. }
                            | SpecError::UnusedPattern { .. }
                            | SpecError::Contradiction { .. }
                            | SpecError::OfAllPlatforms { .. }
                            | SpecError::CheckOption { .. }
                    ) {
                        exit::USAGE
                    } else {
                        exit::INPUT
                    },
                    with_sources(&spec),
                );
                match spec {
                    SpecError::NoDockerfile { .. } => failure.hint("name another file with -f"),
                    SpecError::NothingToPush => failure.hint("name the image with -t REGISTRY/NAME:TAG"),
                    SpecError::TagByDigest { .. } => failure
                        .hint("leave the tag to polyarch index create -t NAME:TAG, when everything is there"),
                    _ => failure,
                }
            }
            Error::Dockerfile { error, snippet } => {
                let failure = Self::new(exit::INPUT, error.to_string()).detail(snippet);
                match *error.kind {
                    ErrorKind::InsecureNotAllowed => {
                        failure.hint("allow it with --allow security.insecure, if you trust the Dockerfile")
                    }
                    _ => failure,
                }
            }
            Error::Gather(error) => Self::of_gather(&error),
            Error::Checks { ref snippet, .. } => Self::new(exit::INPUT, error.to_string())
                .detail(snippet)
                .hint("polyarch build --check shows every warning with its lines"),
            Error::Build(failed) => {
                let sentence = failed.to_string();
                let FailedBuild { error, snippet, .. } = *failed;
                let failure = Self::of_build(&sentence, error);
                match snippet {
                    Some(snippet) => failure.detail(snippet),
                    None => failure,
                }
            }
            Error::Duplicate(duplicate) => Self::new(exit::INPUT, duplicate.to_string()),
            Error::Store(store) | Error::Output(OutputError::Store(store)) => store.into(),
            Error::Output(output) => {
                let full = std::error::Error::source(&output)
                    .and_then(|source| source.downcast_ref::<io::Error>())
                    .is_some_and(|source| source.kind() == io::ErrorKind::StorageFull);
                if full { no_space(with_sources(&output)) } else { Self::host(with_sources(&output)) }
            }
            Error::Registry(registry) => registry.into(),
            Error::Publish(report) => {
                let mut failure = first_error(&report)
                    .map_or_else(|| Self::new(exit::REGISTRY, "nothing was published"), Self::from);
                for target in &report.targets {
                    failure = failure.detail(match target.state() {
                        TagState::Moved => format!("  pushed     {}", target.reference),
                        TagState::AsBefore => format!("  as before  {}", target.reference),
                        TagState::Unknown => format!("  unknown    {}", target.reference),
                    });
                }
                failure
            }
            Error::Cache { ref source, .. } => {
                let sentence = with_sources(&error);
                match source {
                    CacheError::Registry(source) => Self { sentence, ..Self::from(&**source) },
                    CacheError::Store(_) => Self::new(exit::STORE, sentence),
                    _ => Self::host(sentence),
                }
            }
            Error::TimedOut(error) => Self::host(error.to_string()),
            Error::Cancelled => Self::new(exit::INTERRUPTED, "cancelled; nothing is left running"),
            Error::Gone { .. } => Self::host(error.to_string()),
        }
    }
}

impl Failure {
    fn of_gather(error: &GatherError) -> Self {
        let sentence = with_sources(error);
        if error.is_full() {
            return no_space(sentence);
        }
        let code = match error.fault() {
            Fault::User => exit::INPUT,
            Fault::Registry => exit::REGISTRY,
            Fault::Cancelled => exit::INTERRUPTED,
            _ => exit::HOST,
        };
        let GatherError::Fetch { source, .. } = error else { return Self::new(code, sentence) };
        match source {
            FetchError::Server(RegistryError::Denied { .. } | RegistryError::NoCredentials { .. }) => {
                Self::new(exit::CREDENTIALS, sentence)
                    .hint("give a token with --secret id=HTTP_AUTH_TOKEN_<host>,env=VARIABLE")
            }
            FetchError::Git { fault: GitFault::Denied, .. } => Self::new(exit::CREDENTIALS, sentence).hint(
                "give a token with --secret id=GIT_AUTH_TOKEN,env=VARIABLE for HTTPS, or a key with --ssh default=FILE",
            ),
            FetchError::Git { fault: GitFault::UnknownHost, .. } => {
                Self::new(exit::CREDENTIALS, sentence).hint("connect to it once with ssh, and check its key")
            }
            FetchError::NoGit => Self::new(code, sentence).hint("install it (Debian: apt-get install git)"),
            FetchError::NoReference { .. } => {
                Self::new(code, sentence).hint("a commit is named by its whole digest, of 40 or 64 characters")
            }
            _ => Self::new(code, sentence),
        }
    }

    pub(super) fn of_build(sentence: &str, error: BuildError) -> Self {
        match error {
            BuildError::StepFailed { output, .. } => {
                let failure = Self::new(exit::STEP, sentence);
                output.iter().fold(failure, |failure, line| failure.detail(format!("  │ {line}")))
            }
            BuildError::Invalid { .. } => Self::new(exit::INPUT, sentence),
            BuildError::UnknownBackend { .. } => Self::usage(error.to_string()),
            BuildError::NoBackend { ways_out, .. } => {
                let failure = Self::new(exit::NO_BACKEND, sentence);
                let failure = ways_out.into_iter().fold(failure, Failure::hint);
                failure.hint("polyarch backends shows what each backend can build here, and what to install")
            }
            BuildError::NoEmulator { .. } => Self::new(exit::NO_BACKEND, sentence)
                .hint("install an emulator (Debian: apt-get install qemu-user-static binfmt-support)"),
            BuildError::BaseImage { .. } => Self::new(exit::BASE_IMAGE, sentence),
            BuildError::Registry { denied: true, .. } => Self::new(exit::CREDENTIALS, sentence).hint(
                "log in with docker login or skopeo login, or name a file of credentials with --authfile",
            ),
            BuildError::Registry { .. } => Self::new(exit::REGISTRY, sentence),
            BuildError::NoSpace { .. } => no_space(sentence.to_owned()),
            BuildError::Cancelled => Self::new(exit::INTERRUPTED, "cancelled; nothing is left running"),
            _ => Self::host(sentence),
        }
    }
}

fn no_space(sentence: String) -> Failure {
    Failure::new(exit::NO_SPACE, sentence)
        .hint("free some space, or name a store on another disk with --store")
}
