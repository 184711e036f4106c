//! Layers of Windows images: which names files can have there, and what archives say of them beside their content.
//!
//! Whatever is in the file system stands below `Files/`, and what changes in the registry below `Hives/`; both are in
//! every layer. Directories stand before what is in them, all of them: hcsshim unpacks a layer into a folder of its
//! own, where a directory is only if the layer names it.
//!
//! [`import`] goes from a layer to what is made of it on a disk of Windows, and [`export`] from what Windows says that a
//! step has changed to a layer. Neither calls Windows: whoever does is behind a small trait.
//!
//! Sources: BuildKit, `util/winlayers/differ.go`; hcsshim, `pkg/ociwclayer/import.go` and `internal/wclayer/legacy.go`;
//! go-winio, `backuptar/tar.go`.

mod append;
pub mod attributes;
pub mod backup;
pub mod export;
pub mod import;
mod member;
mod name;
pub mod path;
mod record;
mod spelling;
pub mod tombstones;

pub(crate) use member::{file_of, target_of};
pub(crate) use name::unfit;
pub(super) use record::{FILES, HIVES, brought, extra, kind_of};
pub(crate) use record::{fold, is_record};
pub(crate) use spelling::Spellings;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
