//! What a build takes from elsewhere, for contexts and for ADD alike: files of web servers and git repositories.

mod added;
mod checksum;
mod error;
mod git;
mod http;
mod remembered;
mod secret;

pub use added::RemoteSource;
pub use checksum::{Checksum, ChecksumError};
pub use error::{FetchError, GitFault};
pub use git::{FetchedTree, GitAccess, GitSource, GitUrlError, git};
pub use http::{FetchedFile, http, shown};
