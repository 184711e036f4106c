//! Build contexts: which files there are, which of them a pattern selects, and what they hold.

mod disk;
mod entry;
mod glob;
mod ignore;
mod ignore_file;
mod path;
mod read;
mod select;
mod walk;

pub use disk::{Context, ContextError};
pub use entry::{Entry, Kind, Stamp, Time};
pub use glob::GlobError;
pub use ignore::{Ignore, IgnoreError, Rule};
pub(crate) use ignore_file::read_ignore;
pub use path::RelPath;
pub use read::{Reader, Xattr};
pub use select::{Node, SelectError, Selected, Tree, select};
