//! Tar archives that nobody vouches for: layers of images, build contexts, and what ADD unpacks.

mod compression;
mod directories;
mod extension;
mod header;
mod limits;
#[cfg(unix)]
mod place;
mod reader;
#[cfg(unix)]
mod sparse;
#[cfg(unix)]
mod unpack;

pub use compression::{ARCHIVE_HEAD, Compression, decompress, decompress_within, is_archive};
pub use limits::Limits;
#[cfg(unix)]
pub(crate) use place::Place;
pub(crate) use reader::DEEPEST;
pub use reader::{Archive, Member, MemberKind};
#[cfg(unix)]
pub(crate) use sparse::Sparse;
#[cfg(unix)]
pub(crate) use unpack::{PIECE, fill};
#[cfg(unix)]
pub use unpack::{UnpackError, Unpacked, unpack};
