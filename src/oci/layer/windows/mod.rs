//! Layers of Windows images: which names files can have there, and what archives say of them beside their content.
//!
//! Whatever is in the file system stands below `Files/`, and what changes in the registry below `Hives/`; both are in
//! every layer. Directories stand before what is in them, all of them: hcsshim unpacks a layer into a folder of its
//! own, where a directory is only if the layer names it.
//!
//! Sources: BuildKit, `util/winlayers/differ.go`; hcsshim, `pkg/ociwclayer/import.go` and `internal/wclayer/legacy.go`;
//! go-winio, `backuptar/tar.go`.

mod member;
mod name;
mod record;
mod spelling;

pub(crate) use member::{file_of, target_of};
pub(crate) use name::unfit;
pub(super) use record::{FILES, HIVES, extra, kind_of};
pub(crate) use record::{fold, is_record};
pub(crate) use spelling::Spellings;

#[cfg(test)]
mod tests;
