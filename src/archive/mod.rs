//! Tar archives that nobody vouches for: layers of images, build contexts, and what ADD unpacks.

mod compression;
mod header;
#[cfg(unix)]
mod place;
mod reader;
#[cfg(unix)]
mod unpack;

pub use compression::{ARCHIVE_HEAD, Compression, decompress, is_archive};
pub use reader::{Archive, Member, MemberKind};
#[cfg(unix)]
pub use unpack::{UnpackError, UnpackLimits, Unpacked, unpack};
