//! Layers of Windows images: which names files can have there, and what archives say of them beside their content.
//!
//! Whatever is in the file system stands below `Files/`, and what changes in the registry below `Hives/`; both are in
//! every layer. Directories stand before what is in them, all of them: hcsshim unpacks a layer into a folder of its
//! own, where a directory is only if the layer names it.
//!
//! [`import`] goes from a layer to what is made of it on a disk of Windows, and [`export`] from what Windows says that a
//! step has changed to a layer. Neither calls Windows: whoever does is behind a small trait.
//!
//! ```no_run
//! # use std::{error::Error, io::Read};
//! # use polyarch::{actors::ImageOs, archive::Limits, oci::{Store, layer::{Layer, LayerOptions, LayerWriter}}};
//! use polyarch::oci::layer::windows::{
//!     export::{ExportOptions, ExportSource, export},
//!     import::{Form, ImportSink, import},
//! };
//!
//! /// Makes a layer ready, whose uncompressed archive is given.
//! fn below(archive: impl Read, form: Form, disk: &mut dyn ImportSink) -> Result<(), Box<dyn Error>> {
//!     let imported = import(archive, form, disk, Limits::default(), &Default::default())?;
//!     // Here is `ImportLayer` called for a layer on others.
//!     for path in imported.deletions { /* removed from the folder of the layer */ }
//!     for link in imported.links { /* made there */ }
//!     for (path, attributes) in imported.directories { /* given their times again */ }
//!     // Here are `ProcessBaseImage` called for a base, and `ProcessUtilityImage` where there is a utility VM.
//!     Ok(())
//! }
//!
//! /// Makes a layer of what `ExportLayer` has written.
//! fn layer(store: &Store, folder: &mut dyn ExportSource) -> Result<Layer, Box<dyn Error>> {
//!     let options = LayerOptions { os: ImageOs::Windows, ..LayerOptions::default() };
//!     let mut writer = LayerWriter::new(store, options)?;
//!     let records = export(folder, &mut writer, ExportOptions::default())?;
//!     // The records are those of a step's outcome.
//!     Ok(writer.finish()?)
//! }
//! ```
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
mod layer_golden_tests;
#[cfg(test)]
mod round_trip_tests;
#[cfg(test)]
pub(crate) mod support;
#[cfg(test)]
mod tests;
