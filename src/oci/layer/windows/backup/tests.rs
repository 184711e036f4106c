use std::{
    fmt::Write as _,
    io::{self, Read, Write as _},
};

use proptest::prelude::*;

use super::{super::golden::bytes_of, *};

/// What streams say, as a reader would note it down, and what is written when all of it is written again.
fn describe(bytes: &[u8]) -> Result<(String, Vec<u8>), BackupError> {
    let mut reader = BackupReader::new(bytes);
    let mut writer = BackupWriter::new(Vec::new());
    let mut text = String::new();
    while let Some(header) = reader.next_stream()? {
        let mut content = reader.whole(&header, 1 << 20)?;
        write!(text, "{:?} attributes {}", header.kind, header.attributes).expect("text");
        if header.kind == StreamKind::Alternate {
            write!(text, " {:?}", header.stream_name()).expect("text");
        }
        write!(text, ": {} bytes", header.size).expect("text");
        if header.kind == StreamKind::SparseBlock {
            write!(text, " at {}", header.offset).expect("text");
        }
        text.push('\n');
        match header.kind {
            StreamKind::ExtendedAttributes => {
                let attributes = ExtendedAttribute::decode(&content).expect("attributes");
                for ExtendedAttribute { flags, name, value } in &attributes {
                    let value = String::from_utf8_lossy(value);
                    writeln!(text, "  {name} flags {flags} = {value:?}").expect("text");
                }
                content = ExtendedAttribute::encode(&attributes).expect("encoded");
            }
            StreamKind::ReparsePoint => {
                let point = ReparsePoint::decode(&content).expect("a reparse point");
                let kind = if point.is_mount_point { "mount point" } else { "symbolic link" };
                let relative = if point.is_relative { ", relative" } else { "" };
                let (from, to) = (&point.substitute, point.target());
                writeln!(text, "  {kind}{relative}, \"{from}\" to \"{to}\"").expect("text");
                let again = ReparsePoint::to_target(&to, point.is_mount_point).expect("a target");
                assert_eq!(again, point);
                content = again.encode().expect("encoded");
            }
            _ => {}
        }
        writer.stream(&header, &content)?;
    }
    Ok((text, writer.finish()?))
}

#[test]
fn streams_are_read_and_written_as_windows_has_them() {
    for (hex, expected) in [
        (
            include_str!("../testdata/backup/whole-file/streams.hex"),
            include_str!("../testdata/backup/whole-file/streams"),
        ),
        (
            include_str!("../testdata/backup/sparse-file/streams.hex"),
            include_str!("../testdata/backup/sparse-file/streams"),
        ),
        (
            include_str!("../testdata/backup/symbolic-link/streams.hex"),
            include_str!("../testdata/backup/symbolic-link/streams"),
        ),
        (
            include_str!("../testdata/backup/mount-point/streams.hex"),
            include_str!("../testdata/backup/mount-point/streams"),
        ),
    ] {
        let bytes = bytes_of(hex);
        let (text, again) = describe(&bytes).expect("read");
        assert_eq!(text, expected);
        assert_eq!(again, bytes, "{expected}");
    }
}

/// A header with everything chosen, and bytes behind it.
fn raw(kind: u32, size: u64, name_length: u32, rest: &[u8]) -> Vec<u8> {
    let numbers = [kind.to_le_bytes(), [0; 4]].concat();
    [&numbers[..], &size.to_le_bytes(), &name_length.to_le_bytes(), rest].concat()
}

#[test]
fn what_no_file_has_is_refused() {
    let half = raw(1, 5, 0, b"hell");
    for (bytes, words) in [
        (raw(0, 0, 0, b""), "unknown kind 0"),
        (raw(11, 0, 0, b""), "unknown kind 11"),
        (raw(4, 0, 3, b"abc"), "takes 3 bytes"),
        (raw(4, 0, 526, &[65; 526]), "takes 526 bytes"),
        (raw(4, 0, u32::MAX - 1, b""), "takes 4294967294 bytes"),
        (raw(4, 0, 2, &[0x00, 0xD8]), "no Unicode"),
        (raw(4, 0, 4, b"a"), "cut off"),
        (raw(4, 0, 4, b""), "cut off"),
        (raw(1, 0, 2, b"a\0"), "kind Data has a name"),
        (raw(1, 1 << 63, 0, b""), "9223372036854775808 bytes"),
        (raw(1, u64::MAX, 0, b""), "18446744073709551615 bytes"),
        (raw(9, 7, 0, b""), "7 bytes"),
        (raw(9, 8, 0, b"1234"), "cut off"),
        (raw(9, 16, 0, &[0xFF; 8]), "8 bytes"),
        (raw(2, (1 << 20) + 1, 0, b""), "takes 1048576"),
        (half.clone(), "cut off"),
        (half[..19].to_vec(), "cut off"),
    ] {
        let error = describe(&bytes).expect_err("refused").to_string();
        assert!(error.contains(words), "{bytes:?}: {error}");
    }
    let mut reader = BackupReader::new(&half[..]);
    reader.next_stream().expect("read");
    assert!(matches!(reader.next_stream(), Err(BackupError::CutOff)), "what is skipped is there");
}

#[test]
fn a_stream_is_as_long_as_its_header_says() {
    let header = StreamHeader::new(StreamKind::Data, 3);
    let mut writer = BackupWriter::new(Vec::new());
    writer.begin(&header).expect("begun");
    assert_eq!(writer.write_all(b"abcd").expect_err("too long").kind(), io::ErrorKind::InvalidInput);
    writer.write_all(b"ab").expect("written");
    assert!(matches!(writer.begin(&header), Err(BackupError::CutOff)));
    assert!(matches!(writer.finish(), Err(BackupError::CutOff)));
    let long = StreamHeader::alternate(&"x".repeat(256), 0);
    assert!(matches!(long.encode(), Err(BackupError::NameLength(526))));
}

#[test]
fn many_gigabytes_are_read_without_being_held() {
    let size = 20 << 30;
    let head = StreamHeader::new(StreamKind::Data, size).encode().expect("a header");
    let tail = StreamHeader::new(StreamKind::ObjectId, 0).encode().expect("a header");
    let source = head.as_slice().chain(io::repeat(0).take(size)).chain(tail.as_slice());
    let mut reader = BackupReader::new(source);
    assert_eq!(reader.next_stream().expect("read").expect("a stream").size, size);
    let error = reader.whole(&StreamHeader::new(StreamKind::Data, size), 1 << 20).expect_err("too long");
    assert!(matches!(error, BackupError::TooLong { .. }));
    let skipped = reader.skip_by(|source, left| {
        // Reading all of it takes long, and nobody needs it.
        assert_eq!(left, size);
        *source = b"".chain(io::repeat(0).take(0)).chain(tail.as_slice());
        Ok(())
    });
    skipped.expect("skipped");
    let next = reader.next_stream().expect("read").expect("a stream");
    assert_eq!(next.kind, StreamKind::ObjectId);
}

#[test]
fn lists_of_extended_attributes_lead_forward_only() {
    let entry = |next: u32, name: &[u8], value: &[u8]| {
        let lengths =
            [0, u8::try_from(name.len()).expect("short"), u8::try_from(value.len()).expect("short"), 0];
        [&next.to_le_bytes()[..], &lengths, name, b"\0", value].concat()
    };
    for (list, error) in [
        (b"short".to_vec(), AttributeError::CutOff),
        (entry(0, b"A", b"value")[..12].to_vec(), AttributeError::CutOff),
        (entry(8, b"A", b"xy"), AttributeError::Next(8)),
        (entry(4, b"A", b"xy"), AttributeError::Next(4)),
        (entry(12, b"A", b"xy"), AttributeError::Next(12)),
        ([entry(13, b"A", b"xy"), b"\0".to_vec(), entry(0, b"B", b"")].concat(), AttributeError::Next(13)),
        (entry(0, b"", b"xy"), AttributeError::Name),
        (entry(0, b"A=B", b"xy"), AttributeError::Name),
        (entry(0, b"A\xFF", b"xy"), AttributeError::Name),
        (entry(0, b"A\0", b"xy"), AttributeError::Name),
        ([entry(12, b"A", b"xy"), entry(0, b"a", b"")].concat(), AttributeError::Twice),
    ] {
        assert_eq!(ExtendedAttribute::decode(&list), Err(error), "{list:?}");
    }
    assert_eq!(ExtendedAttribute::decode(b""), Ok(Vec::new()));
    let long = |name: usize, value: usize| ExtendedAttribute {
        flags: 0,
        name: "N".repeat(name),
        value: vec![0; value],
    };
    assert_eq!(ExtendedAttribute::encode(&[long(256, 0)]), Err(AttributeError::TooLong));
    assert_eq!(ExtendedAttribute::encode(&[long(1, 65_536)]), Err(AttributeError::TooLong));
}

#[test]
fn links_lead_where_archives_say() {
    for (target, is_mount_point, substitute, again) in [
        (r"C:\x", false, r"\??\C:\x", r"C:\x"),
        ("c:/x/y", true, r"\??\c:\x\y", r"c:\x\y"),
        (r"\??\C:\x", true, r"\??\C:\x", r"C:\x"),
        (r"\\?\Volume{1}\", true, r"\??\Volume{1}\", r"\\?\Volume{1}\"),
        (r"\\host\share", false, r"\??\UNC\host\share", r"\\host\share"),
        ("../x", false, r"..\x", r"..\x"),
        (r"\x", false, r"\x", r"\x"),
    ] {
        let point = ReparsePoint::to_target(target, is_mount_point).expect(target);
        assert_eq!((point.substitute.as_str(), point.target().as_str()), (substitute, again));
        let decoded = ReparsePoint::decode(&point.encode().expect("encoded")).expect("decoded");
        assert_eq!(decoded, point);
    }
    assert_eq!(ReparsePoint::to_target("..", true), Err(ReparseError::RelativeMountPoint));
    assert_eq!(ReparsePoint::to_target("", false), Err(ReparseError::Target));
    assert_eq!(ReparsePoint::to_target("a\0b", false), Err(ReparseError::Target));
    let long = ReparsePoint::to_target(&"x".repeat(5000), false).expect("a link");
    assert_eq!(long.encode(), Err(ReparseError::TooLong));
}

#[test]
fn reparse_points_with_parts_outside_are_refused() {
    let right = ReparsePoint::to_target("x", false).and_then(|point| point.encode()).expect("encoded");
    let with = |at: usize, byte: u8| {
        let mut bytes = right.clone();
        bytes[at] = byte;
        bytes
    };
    for (bytes, error) in [
        (right[..7].to_vec(), ReparseError::Malformed),
        (right[..right.len() - 1].to_vec(), ReparseError::Malformed),
        (with(4, 3), ReparseError::Malformed),
        (with(8, 200), ReparseError::Malformed),
        (with(10, 200), ReparseError::Malformed),
        (with(10, 1), ReparseError::Target),
        (with(10, 0), ReparseError::Target),
        (with(21, 0xD8), ReparseError::Target),
        (with(0, 0x1D), ReparseError::Tag(0xA000_001D)),
    ] {
        assert_eq!(ReparsePoint::decode(&bytes), Err(error), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_codec_panic(
        case in 0..4_usize,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = bytes_of([
            include_str!("../testdata/backup/whole-file/streams.hex"),
            include_str!("../testdata/backup/sparse-file/streams.hex"),
            include_str!("../testdata/backup/symbolic-link/streams.hex"),
            include_str!("../testdata/backup/mount-point/streams.hex"),
        ][case]);
        let index = at.index(bytes.len());
        bytes[index] = byte;
        bytes.extend(&tail);
        let mut reader = BackupReader::new(&bytes[..]);
        let mut again = BackupWriter::new(Vec::new());
        let mut is_whole = true;
        loop {
            match reader.next_stream() {
                Ok(Some(header)) => match reader.whole(&header, 1 << 16) {
                    Ok(content) => {
                        let _ = ExtendedAttribute::decode(&content);
                        let _ = ReparsePoint::decode(&content);
                        again.stream(&header, &content).expect("written again");
                    }
                    Err(_) => is_whole = false,
                },
                Ok(None) => break,
                Err(_) => {
                    is_whole = false;
                    break;
                }
            }
        }
        if is_whole {
            prop_assert_eq!(again.finish().expect("whole"), bytes);
        }
    }
}
