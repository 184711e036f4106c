//! Tar archives that nobody vouches for: layers of images, and what ADD unpacks.

mod compression;
mod header;
mod reader;

pub use compression::{Compression, decompress};
pub use reader::{Archive, Member, MemberKind};
