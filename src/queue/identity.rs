//! A spec as text, what makes two builds the same, and whether a build can mean one set of files only.

use polyarch_actors::{Digest, ProtocolVersion, queue::Tenant};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{BuildSpec, ContextInput, DockerfileInput, NamedInput, Output, oci::Reference};

/// Why a spec is no text, or a text no spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecFormError {
    /// It has a part that no text can hold, such as a path that is not UTF-8.
    #[error("the build cannot be written down: {reason}")]
    Unwritable {
        /// Which part.
        reason: String,
    },
    /// It is bound to the process that asks for it.
    #[error(
        "a build that {what} cannot wait for its turn: what it is given ends with the command that asks for it"
    )]
    Stream {
        /// What it does, as a fragment: `reads its context from standard input`.
        what: &'static str,
    },
    /// The text is something else, or of another version.
    #[error("this is no build that this version knows: {reason}")]
    Unreadable {
        /// What is odd about it.
        reason: String,
    },
}

#[derive(Serialize)]
struct Written<'s> {
    version: ProtocolVersion,
    spec: &'s BuildSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(rename = "version")]
    _version: ProtocolVersion,
    spec: BuildSpec,
}

/// The spec as JSON with the version of its form: the same text for the same spec. No value of a secret is in it.
///
/// # Errors
/// [`SpecFormError::Stream`] where it reads standard input or writes standard output, and
/// [`SpecFormError::Unwritable`].
pub fn to_json(spec: &BuildSpec) -> Result<String, SpecFormError> {
    if let Some(what) = stream_of(spec) {
        return Err(SpecFormError::Stream { what });
    }
    serde_json::to_string(&Written { version: ProtocolVersion, spec })
        .map_err(|error| SpecFormError::Unwritable { reason: error.to_string() })
}

/// Reads what [`to_json`] wrote.
///
/// # Errors
/// [`SpecFormError::Unreadable`] for everything else.
pub fn from_json(text: &str) -> Result<BuildSpec, SpecFormError> {
    let unreadable = |error: serde_json::Error| SpecFormError::Unreadable { reason: error.to_string() };
    serde_json::from_str(text).map(|read: Read| read.spec).map_err(unreadable)
}

/// What two builds of one tenant have in common that ask for the same.
pub(super) fn identity(tenant: &Tenant, json: &str) -> Digest {
    let mut hash = Sha256::new();
    // No name of a tenant has a line break in it.
    hash.update(tenant.as_str());
    hash.update("\n");
    hash.update(json);
    Digest::from_sha256(&hash.finalize().into())
}

/// Whether what the build reads of its contexts cannot change: it is of commits and digests alone.
///
/// The images that its Dockerfile names are no matter of the spec, and may move.
pub fn is_pinned(spec: &BuildSpec) -> bool {
    let files = matches!(&spec.context, ContextInput::Git(source) if source.is_pinned());
    let own = spec.for_platforms.iter();
    let mut dockerfiles =
        own.clone().filter_map(|values| values.dockerfile.as_ref()).chain([&spec.dockerfile]);
    let mut contexts =
        own.flat_map(|values| values.build_contexts.values()).chain(spec.build_contexts.values());
    files && dockerfiles.all(is_dockerfile_pinned) && contexts.all(is_context_pinned)
}

fn is_dockerfile_pinned(dockerfile: &DockerfileInput) -> bool {
    match dockerfile {
        DockerfileInput::InContext | DockerfileInput::Text { .. } => true,
        // An absolute path is one of this machine.
        DockerfileInput::Path(path) => path.is_relative(),
        DockerfileInput::Url(_) => false,
    }
}

fn is_context_pinned(context: &NamedInput) -> bool {
    match context {
        NamedInput::Git(source) => source.is_pinned(),
        NamedInput::Image(name) => name.parse().is_ok_and(|name: Reference| name.digest().is_some()),
        NamedInput::Layout { digest, .. } => digest.is_some(),
        NamedInput::Stored(_) => true,
        NamedInput::Directory(_) | NamedInput::Url(_) => false,
    }
}

fn stream_of(spec: &BuildSpec) -> Option<&'static str> {
    if spec.context == ContextInput::Stdin {
        return Some("reads its context from standard input");
    }
    spec.outputs.iter().any(Output::is_stream).then_some("writes to standard output")
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
