//! Git repositories, through the `git` program.
//!
//! The program reads no configuration of the machine, the user or the repository, runs no hook, asks nobody
//! anything, and speaks only https, http, ssh and git, also to submodules. It runs under a guard, so that it ends
//! with this process.

mod checkout;
mod credentials;
mod fault;
mod form;
mod program;
mod refs;
mod submodules;
mod tally;
mod url;

pub use checkout::{FetchedTree, git};
pub use program::GitAccess;
pub use url::{GitSource, GitUrlError};
