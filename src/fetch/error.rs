//! Why something could not be fetched.

use std::{io, path::PathBuf};

use polyarch_actors::{BuildError, Fault};

use super::checksum::ChecksumError;
use crate::{error::with_sources, fence::Fence, guard::GuardError, oci::StoreError, registry::RegistryError};

/// Why something could not be fetched. Never holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The server could not be reached, refused or failed; a web server or that of a repository.
    #[error(transparent)]
    Server(#[from] RegistryError),
    /// The address cannot be used.
    #[error("{url:?} is no address that can be fetched: {reason}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A checksum is malformed.
    #[error(transparent)]
    BadChecksum(#[from] ChecksumError),
    /// The address of a repository, or the digest its commit must have, is malformed.
    #[error(transparent)]
    GitUrl(#[from] super::git::GitUrlError),
    /// A checksum is given for a file of the context.
    #[error("{path:?} is a path in the context: only what is fetched can have a checksum")]
    LocalChecksum {
        /// The path.
        path: String,
    },
    /// Something else was fetched than was meant.
    #[error("{what} is not what was expected: it is {found}, not {expected}")]
    Checksum {
        /// The address.
        what: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// It is larger than anything that is fetched.
    #[error("{what} has more than {limit} bytes")]
    TooLarge {
        /// The address.
        what: String,
        /// The most that is fetched.
        limit: u64,
    },
    /// It is a repository that holds more than anything that is fetched.
    #[error("{repository} cannot be taken: with its submodules it has more than {limit} {what}")]
    TooMuch {
        /// The repository.
        repository: String,
        /// What there is too much of, in the plural.
        what: &'static str,
        /// The most that is taken.
        limit: u64,
    },
    /// It is at an address that somebody else's build must not reach.
    #[error(
        "{what} cannot be fetched: {host} has no public address outside the networks of this machine, and builds \
         of this service reach no others"
    )]
    NotPublic {
        /// What was to be fetched.
        what: String,
        /// The host that was to be reached, perhaps by a redirect.
        host: String,
    },
    /// It is a repository that somebody else's build must not reach like this.
    #[error(
        "{repository} cannot be fetched: builds of this service reach repositories by https:// and http:// alone"
    )]
    NotHttp {
        /// The repository.
        repository: String,
    },
    /// There is no `git` program.
    #[error("there is no git program on the PATH, with which repositories are fetched")]
    NoGit,
    /// There is no program that can guard git.
    #[error(
        "git cannot be guarded: call polyarch::init() first in main, or name a program that does with \
         OrchestratorBuilder::helper"
    )]
    NoHelper,
    /// The repository has no such branch, tag or commit.
    #[error("{repository} has no branch, tag or commit {reference}")]
    NoReference {
        /// The repository.
        repository: String,
        /// What was looked for.
        reference: String,
    },
    /// The repository has no such directory.
    #[error("{repository} has no directory {path}")]
    NoSubdirectory {
        /// The repository.
        repository: String,
        /// What was looked for.
        path: String,
    },
    /// git failed.
    #[error("{repository}: {reason}")]
    Git {
        /// The repository.
        repository: String,
        /// Who can do something about it.
        fault: GitFault,
        /// git's words, one line.
        reason: String,
    },
    /// A secret of the build that is to open a repository cannot be used.
    #[error("the secret {id} cannot be read: {reason}")]
    Secret {
        /// The secret.
        id: String,
        /// Why not.
        reason: String,
    },
    /// The guard of git failed.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What git complains about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GitFault {
    /// The repository cannot be reached.
    Unreachable,
    /// It gives no access without credentials, or not with these.
    Denied,
    /// Nothing says that an SSH server is the one that is meant.
    UnknownHost,
    /// The disk is full.
    NoSpace,
    /// Anything else: mostly there is no such repository.
    Refused,
}

impl FetchError {
    /// What a failed fetch of `what` means: that the fence has refused it, where it has.
    pub(super) fn refused(fence: Option<&Fence>, what: &str) -> Option<Self> {
        let host = fence?.refused()?;
        Some(Self::NotPublic { what: what.to_owned(), host })
    }

    pub(super) fn fence(error: &io::Error) -> Self {
        RegistryError::Setup { reason: error.to_string() }.into()
    }

    pub(super) fn io(action: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    /// Who can do something about it.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Server(error) => error.fault(),
            Self::Git { fault: GitFault::Unreachable, .. } => Fault::Registry,
            Self::Git { fault: GitFault::NoSpace, .. }
            | Self::NoGit
            | Self::NoHelper
            | Self::Guard(_)
            | Self::Store(_)
            | Self::Io { .. } => Fault::Host,
            _ => Fault::User,
        }
    }

    /// Whether the disk is full, which a person mends in another way than any other failure.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Git { fault: GitFault::NoSpace, .. } => true,
            Self::Store(error) | Self::Server(RegistryError::Store(error)) => error.is_full(),
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

impl From<FetchError> for BuildError {
    fn from(error: FetchError) -> Self {
        let message = with_sources(&error);
        match error {
            FetchError::Server(error) => error.into(),
            error if error.is_full() => Self::NoSpace { path: message },
            error => match error.fault() {
                Fault::User => Self::invalid(message),
                Fault::Registry => Self::registry(message, false),
                _ => Self::Host { reason: message, retryable: false },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_act_decides_what_a_build_says() {
        let git = |fault| FetchError::Git { repository: "https://h/a.git".into(), fault, reason: "r".into() };
        assert!(matches!(git(GitFault::Refused).into(), BuildError::Invalid { .. }));
        assert!(matches!(git(GitFault::Unreachable).into(), BuildError::Registry { .. }));
        assert!(matches!(git(GitFault::NoSpace).into(), BuildError::NoSpace { .. }));
        assert!(matches!(FetchError::NoGit.into(), BuildError::Host { .. }));
        assert_eq!(BuildError::from(FetchError::Server(RegistryError::Cancelled)), BuildError::Cancelled);
    }
}
