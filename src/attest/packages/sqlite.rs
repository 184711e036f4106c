//! The rows of one table of an SQLite database, without SQLite: as much of its format as a database at rest needs.
//!
//! A file that nobody vouches for takes no more time than an honest one of its length: each page of a tree is read once, and
//! all rows together are no longer than the file.
//!
//! Source: SQLite documentation, "Database File Format".

/// How long a row may be, in bytes.
const LONGEST_ROW: usize = 16 << 20;
/// How many values a row may have.
const MOST_VALUES: usize = 64;
/// How a database begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// How long the head of a database is, in bytes, which is in its first page.
const HEAD: usize = 100;
const INTERIOR: u8 = 0x05;
const LEAF: u8 = 0x0d;

/// A database.
#[derive(Debug)]
pub(super) struct Database<'d> {
    bytes: &'d [u8],
    page_size: usize,
    /// How much of a page is used, in bytes.
    usable: usize,
}

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'v> {
    Number(i64),
    Text(&'v [u8]),
    Blob(&'v [u8]),
    Other,
}

impl<'d> Database<'d> {
    /// A database in a file; `None` where it is none.
    pub(super) fn open(bytes: &'d [u8]) -> Option<Self> {
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        let page_size = match number(bytes, 16, 2)? {
            1 => 1 << 16,
            size if size.is_power_of_two() && size >= 512 => size,
            _ => return None,
        };
        let usable = page_size - usize::from(*bytes.get(20)?);
        (usable >= 480).then_some(Self { bytes, page_size, usable })
    }

    /// Gives the bytes in each row of a table. Says whether all could be read.
    pub(super) fn blobs(&self, table: &str, mut take: impl FnMut(&[u8])) -> bool {
        let mut root = None;
        let mut whole = self.rows(1, &mut |row| {
            let is_it = |place: usize, text: &str| {
                row.get(place).is_some_and(|value| *value == Value::Text(text.as_bytes()))
            };
            if let Some(Value::Number(page)) = row.get(3).filter(|_| is_it(0, "table") && is_it(1, table)) {
                root = usize::try_from(*page).ok();
            }
        });
        let Some(root) = root else { return false };
        whole &= self.rows(root, &mut |row| {
            let blobs =
                row.iter().filter_map(|value| if let Value::Blob(blob) = value { Some(*blob) } else { None });
            blobs.for_each(&mut take);
        });
        whole
    }

    /// Gives every row of the tree that begins at a page. Says whether all could be read.
    fn rows(&self, root: usize, take: &mut dyn FnMut(&[Value<'_>])) -> bool {
        let mut seen = vec![false; self.bytes.len() / self.page_size + 1];
        let mut open = vec![root];
        // What all rows together may have in bytes.
        let mut left = self.bytes.len();
        let mut whole = true;
        while let Some(number) = open.pop() {
            // A tree in which a page is twice is none.
            let is_new = seen.get_mut(number).is_some_and(|seen| !std::mem::replace(seen, true));
            whole &= is_new && self.page_rows(number, &mut open, &mut left, take).is_some();
        }
        whole
    }

    fn page_rows(
        &self,
        page_number: usize,
        open: &mut Vec<usize>,
        left: &mut usize,
        take: &mut dyn FnMut(&[Value<'_>]),
    ) -> Option<()> {
        let page = self.page(page_number)?;
        let begin = if page_number == 1 { HEAD } else { 0 };
        let kind = *page.get(begin)?;
        let count = number(page, begin + 3, 2)?;
        let cells = begin + if kind == INTERIOR { 12 } else { 8 };
        match kind {
            INTERIOR => {
                for cell in 0..count {
                    let at = number(page, cells + 2 * cell, 2)?;
                    open.push(number(page, at, 4)?);
                }
                open.push(number(page, begin + 8, 4)?);
            }
            LEAF => {
                for cell in 0..count {
                    let at = number(page, cells + 2 * cell, 2)?;
                    let payload = self.payload(page, at, left)?;
                    take(&values(&payload)?);
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// The bytes of the row whose cell begins at a place of a page.
    fn payload(&self, page: &[u8], at: usize, left: &mut usize) -> Option<Vec<u8>> {
        let (length, at) = varint(page, at)?;
        let (_, at) = varint(page, at)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST_ROW)?;
        *left = left.checked_sub(length)?;
        let most = self.usable - 35;
        let least = (self.usable - 12) * 32 / 255 - 23;
        let local = if length <= most {
            length
        } else {
            let fitting = least + (length - least) % (self.usable - 4);
            if fitting <= most { fitting } else { least }
        };
        let mut payload = page.get(at..at + local)?.to_vec();
        let mut next = if local < length { number(page, at + local, 4)? } else { 0 };
        while payload.len() < length {
            let further = self.page(next)?;
            next = number(further, 0, 4)?;
            let wanted = (length - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(further.get(4..4 + wanted)?);
        }
        Some(payload)
    }

    /// A page by its number; the first is 1.
    fn page(&self, number: usize) -> Option<&'d [u8]> {
        let begin = number.checked_sub(1)?.checked_mul(self.page_size)?;
        self.bytes.get(begin..begin.checked_add(self.page_size)?)?.get(..self.usable)
    }
}

/// The values of a row.
fn values(row: &[u8]) -> Option<Vec<Value<'_>>> {
    let (head, mut at) = varint(row, 0)?;
    let head = usize::try_from(head).ok().filter(|head| *head <= row.len())?;
    let mut body = head;
    let mut values = Vec::new();
    while at < head && values.len() < MOST_VALUES {
        let kind;
        (kind, at) = varint(row, at)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            kind => usize::try_from((kind - 12) / 2).ok()?,
        };
        let bytes = row.get(body..body.checked_add(length)?)?;
        body += length;
        values.push(match kind {
            1..=6 => Value::Number(bytes.iter().fold(0, |number, byte| (number << 8) | i64::from(*byte))),
            8 | 9 => Value::Number(i64::from(kind == 9)),
            0 | 7 => Value::Other,
            kind if kind % 2 == 0 => Value::Blob(bytes),
            _ => Value::Text(bytes),
        });
    }
    Some(values)
}

/// A number of up to four bytes, the highest first.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
}

/// A number of one to nine bytes, and the place after it.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for (count, byte) in bytes.get(at..)?.iter().take(9).enumerate() {
        if count == 8 {
            return Some(((value << 8) | u64::from(*byte), at + 9));
        }
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + count + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 512;
    /// Where the only cell of a page begins.
    const CELL: usize = 400;

    /// A database with a table whose `rows` are all one cell, of so many bytes, that goes on in a page that follows itself.
    fn database(rows: u8, length: u16) -> Vec<u8> {
        let mut bytes = vec![0; 3 * PAGE];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, MAGIC);
        put(16, &[2, 0]);
        put(HEAD, &[LEAF, 0, 0, 0, 1]);
        put(HEAD + 8, &[1, 0x90]);
        put(CELL, b"\x1c\x01\x06\x17\x1d\x1d\x01\x0dtablePackagesPackages\x02");
        put(PAGE, &[LEAF, 0, 0, 0, rows]);
        for row in 0..usize::from(rows) {
            put(PAGE + 8 + 2 * row, &[1, 0x90]);
        }
        let varint = |number: u16| (number | 0x4000) << 1 & 0x7f00 | 0x8000 | number & 0x7f;
        let blob = varint((length - 4) * 2 + 12).to_be_bytes();
        put(PAGE + CELL, &varint(length).to_be_bytes());
        put(PAGE + CELL + 2, &[1, 4, 0, blob[0], blob[1]]);
        put(PAGE + CELL + 3 + 39, &[0, 0, 0, 3]);
        put(2 * PAGE, &[0, 0, 0, 3]);
        bytes
    }

    /// How many rows are read of it, and whether that is all.
    fn read(bytes: &[u8]) -> (usize, bool) {
        let mut rows = 0;
        let whole = Database::open(bytes).expect("a database").blobs("Packages", |_| rows += 1);
        (rows, whole)
    }

    #[test]
    fn rows_that_are_longer_than_their_file_are_not_read() {
        assert_eq!(read(&database(1, 547)), (1, true));
        assert_eq!(read(&database(3, 547)), (2, false));
        assert_eq!(read(&database(1, 2071)), (0, false));
    }

    #[test]
    fn a_tree_that_leads_to_itself_comes_to_an_end() {
        let mut bytes = database(1, 547);
        bytes[PAGE] = INTERIOR;
        bytes[PAGE + 11] = 2;
        bytes[PAGE + CELL..PAGE + CELL + 4].copy_from_slice(&[0, 0, 0, 2]);
        assert_eq!(read(&bytes), (0, false));
    }
}
