//! What the tests of both directions are made with: archives as lists of members, and a disk in memory.

mod both;
mod disk;
mod script;
mod tape;

pub(crate) use both::exported;
pub(super) use both::{made_of, made_of_bytes};
pub(crate) use disk::Disk;

pub(super) use disk::Node;
pub(crate) use script::disk_of;
pub(super) use script::tape_of;
pub(super) use tape::{Kind, Tape, archive_of, tape_in};
