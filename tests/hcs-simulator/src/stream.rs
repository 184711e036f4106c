//! Backup streams: records of a kind, a size, and perhaps a name.
//!
//! Source: Microsoft, `WIN32_STREAM_ID`.

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, INVALID_DATA, Outcome};

pub(crate) const DATA: u32 = 1;
pub(crate) const SECURITY: u32 = 3;
pub(crate) const ALTERNATE: u32 = 4;
/// The largest kind there is: BACKUP_TXFS_DATA.
const LAST: u32 = 10;
/// How long a record is without its name.
const HEADER: usize = 20;
/// Owner and group, and nothing of who may do what: the smallest security descriptor that means something.
const SMALL_DESCRIPTOR: [u8; 48] = [
    1, 0, 0, 0x80, 20, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // the header
    1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0, // S-1-5-32-544
    1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0, // S-1-5-18
];

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) kind: u32,
    pub(crate) attributes: u32,
    pub(crate) name: Vec<u8>,
    pub(crate) content: Vec<u8>,
}

impl Record {
    /// A record without a name.
    pub(crate) fn new(kind: u32, content: Vec<u8>) -> Self {
        Self { kind, attributes: 0, name: Vec::new(), content }
    }

    /// What a file has that nobody has given one.
    pub(crate) fn descriptor() -> Self {
        Self { kind: SECURITY, attributes: 2, name: Vec::new(), content: SMALL_DESCRIPTOR.to_vec() }
    }

    /// Its bytes.
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        to.extend(self.kind.to_le_bytes());
        to.extend(self.attributes.to_le_bytes());
        to.extend((self.content.len() as u64).to_le_bytes());
        to.extend(u32::try_from(self.name.len()).unwrap_or_default().to_le_bytes());
        to.extend(&self.name);
        to.extend(&self.content);
    }
}

/// Reads all records. The bytes must end where a record ends.
pub(crate) fn read(mut bytes: &[u8]) -> Outcome<Vec<Record>> {
    let mut records: Vec<Record> = Vec::new();
    while !bytes.is_empty() {
        let short = || wrong("the stream ends within a record");
        let header = bytes.get(..HEADER).ok_or_else(short)?;
        let number =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (kind, attributes, name) = (number(0), number(4), number(16) as usize);
        let size = u64::from(number(8)) | u64::from(number(12)) << 32;
        if kind == 0 || kind > LAST {
            return Err(wrong(&format!("there is no stream of the kind {kind}")));
        }
        if (name > 0) != (kind == ALTERNATE) || name % 2 != 0 {
            return Err(wrong("alternate streams have a name, and others have none"));
        }
        if kind != ALTERNATE && records.iter().any(|record| record.kind == kind) {
            return Err(wrong(&format!("the kind {kind} is there twice")));
        }
        let name_end = HEADER + name;
        let end = usize::try_from(size).ok().and_then(|size| size.checked_add(name_end)).ok_or_else(short)?;
        let content = bytes.get(name_end..end).ok_or_else(short)?.to_vec();
        records.push(Record { kind, attributes, name: bytes[HEADER..name_end].to_vec(), content });
        bytes = &bytes[end..];
    }
    Ok(records)
}

fn wrong(message: &str) -> Failure {
    Failure::new(INVALID_DATA, message)
}
