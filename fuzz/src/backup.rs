//! What Windows keeps of files, as a row of streams.

use std::io::Read as _;

use polyarch::oci::layer::windows::backup::{
    BackupReader, BackupWriter, ExtendedAttribute, ReparsePoint, StreamKind,
};

/// The most bytes of a stream that are held.
const MOST: u64 = 1 << 16;

/// Reads the input as a row of streams and writes it again, and reads what is in them.
pub fn check(data: &[u8]) {
    let mut reader = BackupReader::new(data);
    let mut writer = BackupWriter::new(Vec::new());
    let mut is_whole = true;
    while let Ok(Some(header)) = reader.next_stream().inspect_err(|_| is_whole = false) {
        assert!(header.name.is_empty() || header.kind == StreamKind::Alternate, "{header:?}");
        let Ok(content) = reader.whole(&header, MOST) else {
            is_whole = false;
            continue;
        };
        check_parts(&content);
        writer.stream(&header, &content).expect("what was read can be written");
    }
    let mut left = Vec::new();
    let _ = reader.take(MOST).read_to_end(&mut left);
    if is_whole {
        assert!(writer.finish().expect("whole") == data, "what is written again is the same");
    }
    check_parts(data);
}

/// Lists of extended attributes and reparse points are the same when they are written and read again.
fn check_parts(content: &[u8]) {
    if let Ok(attributes) = ExtendedAttribute::decode(content) {
        let again = ExtendedAttribute::encode(&attributes).expect("what was read can be written");
        assert_eq!(ExtendedAttribute::decode(&again), Ok(attributes));
    }
    if let Ok(point) = ReparsePoint::decode(content) {
        assert!(!point.target().is_empty());
        if let Ok(again) = point.encode() {
            assert_eq!(ReparsePoint::decode(&again), Ok(point));
        }
    }
}
