//! Where a repository is, as it is written down.

use serde::{Deserialize, Serialize};

use super::url::{GitSource, GitUrlError, without_credentials};

/// The fields of a [`GitSource`], of which nobody knows yet that they are one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GitForm {
    remote: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subdirectory: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_git_dir: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    submodules: Option<bool>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    looks_local: bool,
}

impl From<GitSource> for GitForm {
    fn from(source: GitSource) -> Self {
        let GitSource { remote, reference, subdirectory, checksum, keep_git_dir, submodules, looks_local } =
            source;
        Self { remote, reference, subdirectory, checksum, keep_git_dir, submodules, looks_local }
    }
}

impl TryFrom<GitForm> for GitSource {
    type Error = GitUrlError;

    /// Takes only what [`GitSource::parse`] could have read: a remote is given to git, which runs programs for some.
    fn try_from(form: GitForm) -> Result<Self, GitUrlError> {
        let GitForm { remote, reference, subdirectory, checksum, keep_git_dir, submodules, looks_local } =
            form;
        let prefix = if looks_local { "https://" } else { "" };
        let read = remote.strip_prefix(prefix).map(Self::parse).transpose()?.flatten();
        let address = without_credentials(&remote).0;
        if read.is_none_or(|read| read.remote != remote || read.looks_local != looks_local) {
            return Err(GitUrlError { address, reason: "it is no remote of a git repository".to_owned() });
        }
        let source =
            Self { remote, reference, subdirectory, checksum, keep_git_dir, submodules, looks_local };
        source.check().map_err(|reason| GitUrlError { address, reason })?;
        Ok(source)
    }
}
