//! Tar archives that nobody vouches for: layers of images, build contexts, and what ADD unpacks.

mod compression;
mod directories;
mod extension;
mod header;
mod limits;
mod place;
mod reader;
mod sparse;
mod unpack;

pub use compression::{ARCHIVE_HEAD, Compression, decompress, decompress_within, is_archive};
pub use limits::Limits;
pub(crate) use place::Place;
pub(crate) use reader::DEEPEST;
pub use reader::{Archive, Member, MemberKind};
pub(crate) use sparse::Sparse;
pub(crate) use unpack::{PIECE, fill};
pub use unpack::{UnpackError, Unpacked, unpack};
