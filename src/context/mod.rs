//! Build contexts: which files there are, which of them a pattern selects, and what they hold.

#[cfg(unix)]
mod disk;
mod entry;
mod glob;
mod ignore;
#[cfg(unix)]
mod ignore_file;
mod path;
#[cfg(unix)]
mod read;
mod select;
#[cfg(unix)]
mod walk;

#[cfg(unix)]
pub use disk::{Context, ContextError};
pub use entry::{Entry, Kind, Stamp, Time};
pub use glob::GlobError;
pub use ignore::{Ignore, IgnoreError, Rule};
#[cfg(unix)]
pub(crate) use ignore_file::read_ignore;
pub use path::RelPath;
#[cfg(unix)]
pub use read::{Reader, Xattr};
pub use select::{Node, SelectError, Selected, Tree, select};
