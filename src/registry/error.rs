//! What can go wrong with a registry, and who can do something about it.

use std::{io, path::PathBuf, time::Duration};

use polyarch_actors::{BuildError, Digest, Fault};

use crate::{error::with_sources, oci::StoreError};

/// Why credentials could not be looked up. Never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A file of credentials cannot be read.
    #[error("cannot read the credentials in {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of credentials is not what it should be.
    #[error("the credentials in {path} are malformed: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file names a credential helper that is not installed.
    #[error(
        "{path} asks {helper} for the credentials of {registry}, and there is no such program on the PATH"
    )]
    NoHelper {
        /// The program.
        helper: String,
        /// The registry.
        registry: String,
        /// The file that names the helper.
        path: PathBuf,
    },
    /// A credential helper failed.
    #[error("{helper} has no credentials of {registry}: {reason}")]
    HelperFailed {
        /// The program.
        helper: String,
        /// The registry.
        registry: String,
        /// What it said, or how it ended.
        reason: String,
    },
}

/// What can go wrong with a registry. Never holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No connection could be made.
    #[error("cannot reach {registry}: {reason}")]
    Unreachable {
        /// The registry's host.
        registry: String,
        /// Name resolution, a refused connection, TLS, a proxy.
        reason: String,
        /// Whether the same may work in a moment.
        passing: bool,
    },
    /// It, or where it leads to, is at an address that somebody else's build must not reach.
    #[error(
        "{registry} is not asked: {host} has no public address outside the networks of this machine, and {registry} \
         is not one of the private registries of this build"
    )]
    NotPublic {
        /// The registry's host.
        registry: String,
        /// The host that was to be reached.
        host: String,
    },
    /// A connection broke while it was used.
    #[error("the connection to {registry} broke: {reason}")]
    Interrupted {
        /// The registry's host.
        registry: String,
        /// How.
        reason: String,
    },
    /// A connection stayed open and nothing moved.
    #[error("{registry} did not answer or send anything for {} s", idle.as_secs())]
    Stalled {
        /// The registry's host.
        registry: String,
        /// For how long.
        idle: Duration,
    },
    /// The registry wants credentials and none were given for it.
    #[error(
        "{registry} gives no access to {what} without credentials, or it does not exist; no credentials for \
         {registry} were found"
    )]
    NoCredentials {
        /// The registry's host.
        registry: String,
        /// What was wanted.
        what: String,
    },
    /// The registry does not know the credentials that were given.
    #[error("{registry} refused the credentials from {origin}")]
    WrongCredentials {
        /// The registry's host.
        registry: String,
        /// The file or helper they are from.
        origin: String,
    },
    /// The credentials are known and do not allow this.
    #[error("{registry} denied access to {what}{}", colon(message))]
    Denied {
        /// The registry's host.
        registry: String,
        /// What was wanted.
        what: String,
        /// The registry's words, which may be none.
        message: String,
    },
    /// The registry does not have it.
    #[error("{what} was not found{}", colon(message))]
    NotFound {
        /// What was wanted, with the registry's name.
        what: String,
        /// The registry's words, where they say more than that.
        message: String,
    },
    /// The registry takes no more requests for a while.
    #[error("{registry} takes no more requests{}{}", for_seconds(*retry_after), colon(message))]
    RateLimited {
        /// The registry's host.
        registry: String,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
        /// The registry's words, which may be none.
        message: String,
    },
    /// The registry answered with another failure.
    #[error("{registry} answered {what} with status {status}{}{}", colon(code), colon(message))]
    Refused {
        /// The registry's host.
        registry: String,
        /// What was wanted.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The first error code of the answer (distribution specification, "Error Codes"), which may be none.
        code: String,
        /// The registry's words, which may be none.
        message: String,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// The registry delivered other bytes than were asked for.
    #[error("{registry} delivered {what} with digest {found}, not {expected}")]
    DigestMismatch {
        /// The registry's host.
        registry: String,
        /// What was wanted.
        what: String,
        /// The digest it should have.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The registry did not keep to the protocol.
    #[error("{registry} answered {what} in a way that is not understood: {reason}")]
    Protocol {
        /// The registry's host.
        registry: String,
        /// What was wanted.
        what: String,
        /// What is odd about it.
        reason: String,
    },
    /// The image cannot be published under this name whatever the registry does.
    #[error("cannot publish to {target}: {reason}")]
    Impossible {
        /// The name.
        target: String,
        /// Why not.
        reason: String,
    },
    /// A tag was left alone because something else of the same publication failed.
    #[error("{target} was left as it is, because not everything could be published: {reason}")]
    Withheld {
        /// The name.
        target: String,
        /// The first failure.
        reason: String,
    },
    /// A registry was asked to move a tag, and nobody knows whether it did.
    #[error("whether {target} was moved is not known: {cause}")]
    Uncertain {
        /// The name.
        target: String,
        /// Why there is no answer.
        cause: Box<RegistryError>,
    },
    /// The client cannot be set up on this machine.
    #[error("cannot set up connections to registries: {reason}")]
    Setup {
        /// What is wrong.
        reason: String,
    },
    /// Credentials could not be looked up.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl RegistryError {
    /// Who can do something about it.
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoCredentials { .. }
            | Self::WrongCredentials { .. }
            | Self::Denied { .. }
            | Self::NotFound { .. }
            | Self::NotPublic { .. }
            | Self::Impossible { .. }
            | Self::Auth(_) => Fault::User,
            Self::Unreachable { .. }
            | Self::Interrupted { .. }
            | Self::Stalled { .. }
            | Self::RateLimited { .. }
            | Self::Refused { .. }
            | Self::DigestMismatch { .. }
            | Self::Protocol { .. }
            | Self::Withheld { .. } => Fault::Registry,
            Self::Uncertain { cause, .. } => cause.fault(),
            Self::Setup { .. } | Self::Store(_) => Fault::Host,
            Self::Cancelled => Fault::Cancelled,
        }
    }

    /// Whether a registry seems not to know documents of the kind that it was sent: some take no index of OCI.
    pub fn refuses_the_kind(&self) -> bool {
        match self {
            Self::Refused { status: 415, .. } => true,
            Self::Refused { code, .. } => matches!(code.as_str(), "MANIFEST_INVALID" | "UNSUPPORTED"),
            _ => false,
        }
    }

    /// Whether the same request may succeed when it is made again.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { passing, .. } => *passing,
            Self::Interrupted { .. } | Self::Stalled { .. } | Self::RateLimited { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 500 | 502..=599),
            _ => false,
        }
    }

    /// How long the registry asked to wait before the same request is made again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<RegistryError> for BuildError {
    fn from(error: RegistryError) -> Self {
        Self::from(&error)
    }
}

impl From<&RegistryError> for BuildError {
    fn from(error: &RegistryError) -> Self {
        let retryable = error.retryable();
        match error {
            RegistryError::Cancelled => Self::Cancelled,
            RegistryError::Store(full @ StoreError::Io { path, .. }) if full.is_full() => {
                Self::NoSpace { path: path.display().to_string() }
            }
            RegistryError::NotPublic { .. } => Self::invalid(error.to_string()),
            RegistryError::Store(_) | RegistryError::Setup { .. } => {
                Self::Host { reason: with_sources(error), retryable }
            }
            _ => {
                use RegistryError::{Auth, Denied, NoCredentials, WrongCredentials};
                let denied =
                    matches!(error, NoCredentials { .. } | WrongCredentials { .. } | Denied { .. } | Auth(_));
                let reason = with_sources(error);
                Self::Registry { reason, retryable, denied, image: None, place: None }
            }
        }
    }
}

fn colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

fn for_seconds(wait: Option<Duration>) -> String {
    wait.map(|wait| format!(" for {} s", wait.as_secs())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> RegistryError {
        RegistryError::Refused {
            registry: "r".into(),
            what: "manifest r/a:1".into(),
            status,
            code: "UNKNOWN".into(),
            message: "no idea".into(),
            retry_after: None,
        }
    }

    #[test]
    fn a_registry_that_knows_no_indexes_is_told_from_others() {
        let with_code = |text: &str| match refused(400) {
            RegistryError::Refused { registry, what, status, message, retry_after, .. } => {
                RegistryError::Refused { registry, what, status, code: text.into(), message, retry_after }
            }
            other => other,
        };
        assert!(with_code("MANIFEST_INVALID").refuses_the_kind() && refused(415).refuses_the_kind());
        assert!(!refused(400).refuses_the_kind() && !RegistryError::Cancelled.refuses_the_kind());
    }

    #[test]
    fn only_what_passes_is_retryable() {
        for (status, retryable) in
            [(400, false), (404, false), (408, true), (500, true), (501, false), (503, true), (599, true)]
        {
            assert_eq!(refused(status).retryable(), retryable, "{status}");
        }
        assert!(!RegistryError::Cancelled.retryable());
        assert!(!RegistryError::NotFound { what: "x".into(), message: String::new() }.retryable());
    }

    #[test]
    fn an_error_is_one_sentence_with_the_registrys_words() {
        assert_eq!(refused(400).to_string(), "r answered manifest r/a:1 with status 400: UNKNOWN: no idea");
        let limited = RegistryError::RateLimited {
            registry: "docker.io".into(),
            retry_after: Some(Duration::from_secs(30)),
            message: String::new(),
        };
        assert_eq!(limited.to_string(), "docker.io takes no more requests for 30 s");
    }

    #[test]
    fn what_may_not_be_asked_is_for_the_one_who_wants_it_to_mend() {
        let error = RegistryError::NotPublic { registry: "r".into(), host: "10.0.0.1".into() };
        assert_eq!((error.fault(), BuildError::from(&error).fault()), (Fault::User, Fault::User));
        assert!(!error.retryable());
    }

    #[test]
    fn a_full_disk_stays_a_full_disk_for_the_build() {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let full = StoreError::Io { action: "write", path: "/store/x".into(), source };
        assert_eq!(
            BuildError::from(RegistryError::from(full)),
            BuildError::NoSpace { path: "/store/x".into() }
        );
    }
}
