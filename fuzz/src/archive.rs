//! Archives and their compression.

use std::io::{self, Cursor, Read};

use polyarch::{
    archive::{Archive, Member, MemberKind, decompress},
    context::RelPath,
};

/// The most bytes that are read out of one compressed input.
const MOST_BYTES: u64 = 1 << 20;
const BLOCK: usize = 512;

/// Reads the input as an archive in three ways: as it is, with the checksums put right, and as a script of members.
pub fn check(data: &[u8]) {
    check_archive(data);
    check_archive(&with_checksums(data.to_vec()));
    check_archive(&from_script(data));
    if let Ok(mut plain) = decompress(Cursor::new(data.to_vec())).map(|plain| plain.take(MOST_BYTES)) {
        let _ = io::copy(&mut plain, &mut io::sink());
    }
}

fn check_archive(bytes: &[u8]) {
    let whole = members(bytes);
    let bytewise = members(OneByOne(bytes));
    assert_eq!(whole, bytewise, "the size of reads changes what is read");
    for member in &whole.0 {
        assert_clean(&member.path);
        if let MemberKind::Hardlink(target) = &member.kind {
            assert_clean(target);
        }
        assert!(member.mode <= 0o7777, "{member:?}");
        assert!(member.kind == MemberKind::File || member.size == 0, "{member:?}");
        assert!(member.offset <= bytes.len() as u64, "{member:?}");
    }
}

/// The members up to the end or the first error, and the error.
fn members(source: impl Read) -> (Vec<Member>, Option<String>) {
    let mut archive = Archive::new(source);
    let mut members = Vec::new();
    loop {
        match archive.next_member() {
            Ok(Some(member)) => {
                let mut body = Vec::new();
                let read = archive.by_ref().take(7).read_to_end(&mut body);
                assert!(read.is_err() || body.len() as u64 <= member.size);
                members.push(member);
            }
            Ok(None) => return (members, None),
            Err(error) => return (members, Some(error.to_string())),
        }
    }
}

fn assert_clean(path: &RelPath) {
    let bytes = path.as_bytes();
    assert!(!bytes.contains(&0) && !bytes.starts_with(b"/") && !bytes.ends_with(b"/"), "{path:?}");
    let is_name = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    assert!(bytes.is_empty() || bytes.split(|byte| *byte == b'/').all(is_name), "{path:?}");
}

pub(crate) fn with_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    for block in bytes.chunks_exact_mut(BLOCK).filter(|block| block[0] != 0) {
        put_checksum(block);
    }
    bytes
}

fn put_checksum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// One member a line, `kind|name|link|body`; `~` in a body stands for a line break, which pax records end with.
pub(crate) fn from_script(script: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    for line in script.split(|byte| *byte == b'\n') {
        let mut fields = line.splitn(4, |byte| *byte == b'|');
        let mut field = || fields.next().unwrap_or_default();
        let (kind, name, link, body) = (field(), field(), field(), field());
        let mut header = vec![0; BLOCK];
        let mut put = |at: usize, room: usize, text: &[u8]| {
            let length = text.len().min(room);
            header[at..at + length].copy_from_slice(&text[..length]);
        };
        put(0, 100, name);
        put(100, 8, b"0000644\0");
        put(108, 8, b"0000000\0");
        put(116, 8, b"0000000\0");
        put(124, 12, format!("{:011o}\0", body.len()).as_bytes());
        put(136, 12, b"00000000000\0");
        put(156, 1, kind);
        put(157, 100, link);
        put(257, 6, b"ustar\0");
        put_checksum(&mut header);
        archive.extend_from_slice(&header);
        archive.extend(body.iter().map(|byte| if *byte == b'~' { b'\n' } else { *byte }));
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive
}

/// Gives one byte at a time.
struct OneByOne<'b>(&'b [u8]);

impl Read for OneByOne<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}
