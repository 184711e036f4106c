//! Tar headers: ustar where an entry fits, PAX records for the rest.
//!
//! Sources: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; Go's `archive/tar`
//! (`writer.go`, `strconv.go`) for what to do where that leaves a choice, because Docker, BuildKit and containerd
//! write layers with it; OCI image specification, `layer.md`, for whiteouts and extended attributes.

use super::entry::{EntryKind, LayerEntry};

/// Everything in an archive is padded to this length.
pub(crate) const BLOCK: usize = 512;
/// How an extended attribute is spelled in a PAX record.
const XATTR: &str = "SCHILY.xattr.";

/// The largest number that a field of eight bytes holds in octal, with its end.
const MOST_7: u64 = 0o777_7777;
/// The same for a field of twelve bytes.
const MOST_11: u64 = 0o777_7777_7777;

/// What a header says of an entry beside what every system knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extra {
    /// What it is, where its mode says that too.
    pub(super) file_type: u32,
    /// Further records, by their full names.
    pub(super) records: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Appends everything that stands before the content of `entry`.
pub(crate) fn write(entry: &LayerEntry<'_>, archive: &mut Vec<u8>) {
    write_with(entry, Extra::default(), archive);
}

/// The same with more than every system knows.
pub(super) fn write_with(entry: &LayerEntry<'_>, extra: Extra, archive: &mut Vec<u8>) {
    let mut name = entry.name.to_vec();
    if entry.kind == EntryKind::Directory {
        name.push(b'/');
    }
    let (flag, size, target): (u8, u64, &[u8]) = match entry.kind {
        EntryKind::File { size } => (b'0', size, b""),
        EntryKind::HardLink { target } => (b'1', 0, target),
        EntryKind::Symlink { target } => (b'2', 0, target),
        EntryKind::CharDevice { .. } => (b'3', 0, b""),
        EntryKind::BlockDevice { .. } => (b'4', 0, b""),
        EntryKind::Directory => (b'5', 0, b""),
        EntryKind::Fifo => (b'6', 0, b""),
    };
    let mut records = Vec::new();
    let mut header = Header([0; BLOCK]);

    if let Some((prefix, rest)) = split(&name) {
        header.text(0, 100, rest);
        header.text(345, 155, prefix);
    } else {
        records.push((b"path".to_vec(), name.clone()));
        header.text(0, 100, &ascii(&name, 100));
    }
    if target.is_ascii() && target.len() <= 100 {
        header.text(157, 100, target);
    } else {
        records.push((b"linkpath".to_vec(), target.to_vec()));
        header.text(157, 100, &ascii(target, 100));
    }
    let mut number = |key: &str, at: usize, width: usize, most: u64, value: u64| {
        if value > most {
            records.push((key.as_bytes().to_vec(), value.to_string().into_bytes()));
        }
        header.octal(at, width, if value > most { 0 } else { value });
    };
    number("uid", 108, 8, MOST_7, entry.uid);
    number("gid", 116, 8, MOST_7, entry.gid);
    number("size", 124, 12, MOST_11, size);
    if let EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } = entry.kind {
        number("SCHILY.devmajor", 329, 8, MOST_7, major.into());
        number("SCHILY.devminor", 337, 8, MOST_7, minor.into());
    } else {
        number("", 329, 8, MOST_7, 0);
        number("", 337, 8, MOST_7, 0);
    }
    if let Ok(time) = u64::try_from(entry.mtime) {
        number("mtime", 136, 12, MOST_11, time);
    } else {
        records.push((b"mtime".to_vec(), entry.mtime.to_string().into_bytes()));
        header.octal(136, 12, 0);
    }
    header.octal(100, 8, u64::from(entry.mode & 0o7777 | extra.file_type));
    let xattrs = entry.xattrs.iter().map(|(name, value)| ([XATTR.as_bytes(), name].concat(), value.clone()));
    records.extend(xattrs);
    records.extend(extra.records);

    if !records.is_empty() {
        write_records(&name, records, archive);
    }
    archive.extend_from_slice(&header.finish(flag));
}

/// Appends zeros up to the next block.
pub(crate) fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    if over == 0 { 0 } else { BLOCK - over }
}

/// The records of one entry, as an entry of their own before it.
fn write_records(name: &[u8], mut records: Vec<(Vec<u8>, Vec<u8>)>, archive: &mut Vec<u8>) {
    records.sort_unstable();
    let mut body = Vec::new();
    for (key, value) in &records {
        record(key, value, &mut body);
    }
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let slash = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let name = [&name[..slash], b"PaxHeaders.0/", &name[slash..]].concat();
    let mut header = Header([0; BLOCK]);
    header.text(0, 100, &ascii(&name, 100));
    for (at, width) in [(100, 8), (108, 8), (116, 8), (136, 12), (329, 8), (337, 8)] {
        header.octal(at, width, 0);
    }
    header.octal(124, 12, body.len() as u64);
    archive.extend_from_slice(&header.finish(b'x'));
    archive.extend_from_slice(&body);
    archive.resize(archive.len() + padding(body.len() as u64), 0);
}

/// `length key=value\n`, where the length counts itself.
fn record(key: &[u8], value: &[u8], body: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    for part in [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"] {
        body.extend_from_slice(part);
    }
}

/// The two parts that a name has in ustar; `None` where it does not fit.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= 100 {
        return Some((b"", name));
    }
    // A slash at the very end does not part anything.
    let last = (name.len() - 1).min(156);
    let slash = name[..last].iter().rposition(|byte| *byte == b'/')?;
    let (prefix, rest) = (&name[..slash], &name[slash + 1..]);
    (slash > 0 && rest.len() <= 100).then_some((prefix, rest))
}

/// What readers without PAX see of a name: its ASCII characters, as many as there is room for.
fn ascii(name: &[u8], room: usize) -> Vec<u8> {
    let mut ascii: Vec<u8> = name.iter().copied().filter(u8::is_ascii).collect();
    if ascii.len() > room {
        ascii.truncate(room);
        // Some readers take a name with a slash at its end for a directory, whatever the records say.
        ascii.truncate(ascii.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1));
    }
    ascii
}

struct Header([u8; BLOCK]);

impl Header {
    /// Puts a text into a field, which it must not exceed.
    fn text(&mut self, at: usize, width: usize, text: &[u8]) {
        debug_assert!(text.len() <= width);
        self.0[at..at + text.len()].copy_from_slice(text);
    }

    /// Puts a number into a field: octal digits and a NUL.
    fn octal(&mut self, at: usize, width: usize, number: u64) {
        let digits = format!("{number:0>width$o}", width = width - 1);
        self.text(at, width - 1, digits.as_bytes());
        self.0[at + width - 1] = 0;
    }

    fn finish(mut self, flag: u8) -> [u8; BLOCK] {
        self.0[156] = flag;
        self.text(257, 8, b"ustar\x0000");
        // The sum counts its own field as spaces.
        self.text(148, 8, b"        ");
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        self.octal(148, 7, sum);
        self.0
    }
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
