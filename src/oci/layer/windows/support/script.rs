//! The golden files: archives and disks as people write them down.
//!
//! A line that is not indented begins a thing, and indented lines say more of it; `#` begins a comment.

use super::{
    super::{
        attributes::FileAttributes,
        golden::bytes_of,
        import::{ImportedLink, Place},
        path::LayerPath,
    },
    disk::{Disk, Node},
    tape::{Kind, Tape},
};

/// Things with what is said of them.
fn things(text: &str) -> Vec<(Vec<&str>, Vec<&str>)> {
    let mut things: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#')) {
        match things.last_mut() {
            Some((_, said)) if line.starts_with(' ') => said.push(line.trim()),
            _ => things.push((line.split('|').map(str::trim).collect(), Vec::new())),
        }
    }
    things
}

/// `kind | name`, and below it `content TEXT`, `to TARGET`, `modified SECONDS` or records.
pub(in super::super) fn tape_of(text: &str) -> Tape {
    let mut tape = Tape::default();
    for (head, said) in things(text) {
        let value =
            |key: &str| said.iter().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim();
        let kind = match head[0] {
            "directory" => Kind::Directory,
            "file" => Kind::File(value("content ").as_bytes().to_vec()),
            "symbolic link" => Kind::Symlink(value("to ").to_owned()),
            "hard link" => Kind::Hardlink(value("to ").to_owned()),
            other => panic!("no kind: {other}"),
        };
        tape = tape.with(head[1], kind);
        let last = tape.0.last_mut().expect("a member");
        last.modified = value("modified ").parse().expect("a time");
        let records =
            said.iter().filter_map(|line| line.split_once('=').filter(|(name, _)| !name.contains(' ')));
        last.records.extend(records.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    tape
}

/// `folder | path`, `plain | path | created | modified`, `restored | place | path | attributes | created | modified`
/// with their bytes below, and what is done afterwards.
pub(crate) fn disk_of(text: &str) -> Disk {
    let mut disk = Disk::default();
    let path = |text: &str| LayerPath::parse(text.replace('\\', "/").as_bytes()).expect("a path");
    for (head, said) in things(text) {
        let number = |at: usize| head[at].parse::<i64>().expect("a number");
        let attributes = |attributes: i64, created: i64, written: i64| {
            let attributes = u32::try_from(attributes).expect("attributes");
            FileAttributes { attributes, created, accessed: written, written, changed: written }
        };
        let bytes = bytes_of(&said.join("\n"));
        match head[0] {
            "folder" => _ = disk.nodes.insert((Place::Staging, path(head[1])), Node::Directory),
            "plain" => {
                let times = attributes(0, number(2), number(3));
                disk.nodes.insert((Place::Staging, path(head[1])), Node::Plain { times, content: bytes });
            }
            "restored" => {
                let place = if head[1] == "staging" { Place::Staging } else { Place::Layer };
                let attributes = attributes(number(3), number(4), number(5));
                disk.nodes.insert((place, path(head[2])), Node::Restored { attributes, streams: bytes });
            }
            "clone the utility VM" => disk.has_clone = true,
            "delete" => disk.done.deletions.push(path(head[1])),
            "link" => {
                let (link, target) = (path(head[1]), path(head[2]));
                let is_in_layer = head[3] == "in this layer";
                disk.done.links.push(ImportedLink { path: link, target, is_in_layer });
            }
            "again" => {
                let attributes = attributes(number(2), number(3), number(4));
                disk.done.directories.push((path(head[1]), attributes));
            }
            "process the utility VM" => disk.done.has_utility_vm = true,
            "bytes" => disk.done.bytes = number(1).unsigned_abs(),
            other => panic!("no thing: {other}"),
        }
    }
    disk
}
