//! What extended headers say about the member behind them.
//!
//! Source: POSIX.1-2017, `pax`; GNU tar's long names.

use std::io;

use super::reader::odd;
use crate::{context::Xattr, oci::layer::windows::is_record};

/// The most that the extended headers of one member may hold.
const LONGEST_EXTENSION: u64 = 1 << 20;
/// The most bytes of the name and of the value of one extended attribute.
///
/// Source: Linux, `include/uapi/linux/limits.h`.
const LONGEST_XATTR: (usize, usize) = (255, 64 << 10);

/// The most bytes of what is said for Windows: as many in base64.
const LONGEST_RECORD: usize = (64 << 10) / 3 * 4 + 4;

/// What extended headers say about the next member.
#[derive(Default)]
pub(super) struct Extension {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) modified: Option<i64>,
    /// The fraction of that.
    pub(super) nanoseconds: u32,
    pub(super) xattrs: Vec<Xattr>,
    pub(super) windows: Vec<Xattr>,
    /// How much of headers this was read from.
    length: u64,
}

impl Extension {
    /// Whether members of this kind only describe another one.
    pub(super) fn is_one(kind: u8) -> bool {
        matches!(kind, b'L' | b'K' | b'x' | b'g')
    }

    /// Refuses a further header of so many bytes where those of one member are too long, which are held at once.
    pub(super) fn make_room(&mut self, size: u64) -> io::Result<()> {
        self.length = self.length.saturating_add(size);
        if self.length > LONGEST_EXTENSION {
            return Err(odd("an extended header is too long"));
        }
        Ok(())
    }

    /// Takes what a header of this kind says.
    pub(super) fn take(&mut self, kind: u8, text: Vec<u8>) -> io::Result<()> {
        match kind {
            b'L' => self.path = Some(until_nul(text)),
            b'K' => self.link = Some(until_nul(text)),
            b'x' => self.read(&text)?,
            // What is said of all members is nothing that a layer keeps.
            _ => {}
        }
        Ok(())
    }

    /// Records of the form `length key=value\n`.
    fn read(&mut self, mut text: &[u8]) -> io::Result<()> {
        let malformed = || odd("an extended header is malformed");
        while !text.is_empty() {
            let space = text.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
            let length = std::str::from_utf8(&text[..space]).ok().and_then(|digits| digits.parse().ok());
            let length: usize = length.filter(|length| *length > space + 1).ok_or_else(malformed)?;
            let record = text.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n"));
            let record = record.ok_or_else(malformed)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            let number = || std::str::from_utf8(value).ok().and_then(|digits| digits.parse::<u64>().ok());
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(number().ok_or_else(malformed)?),
                b"uid" => self.uid = Some(number().ok_or_else(malformed)?),
                b"gid" => self.gid = Some(number().ok_or_else(malformed)?),
                b"mtime" => (self.modified, self.nanoseconds) = (time(value), fraction(value)),
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(odd("it holds a sparse file, which is not supported"));
                }
                key if is_record(key) => {
                    if value.len() > LONGEST_RECORD {
                        return Err(odd("what it says for Windows is longer than Windows takes"));
                    }
                    self.windows.push((key.to_vec(), value.to_vec()));
                }
                key => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        if name.len() > LONGEST_XATTR.0 || value.len() > LONGEST_XATTR.1 {
                            return Err(odd("an extended attribute is longer than any file system takes"));
                        }
                        self.xattrs.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
            text = &text[length..];
        }
        Ok(())
    }
}

/// The whole seconds of a time with a fraction.
fn time(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.split('.').next()?.parse().ok()
}

/// The nanoseconds of a time with a fraction. Those of times before 1970 are left out, as their seconds are cut off
/// towards 1970.
fn fraction(text: &[u8]) -> u32 {
    let digits = text.split(|byte| *byte == b'.').nth(1).filter(|_| !text.starts_with(b"-"));
    let digits = digits.unwrap_or_default().iter().chain(&[b'0'; 9]).take(9);
    digits.fold(0, |number, digit| number * 10 + u32::from(digit.wrapping_sub(b'0').min(9)))
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()));
    text
}
