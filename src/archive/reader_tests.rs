use super::*;
use crate::archive::{decompress, decompress_within};

fn member(name: &[u8], kind: u8, link: &[u8], body: &[u8]) -> Vec<u8> {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(b"0000644");
    block[108..115].copy_from_slice(b"0000001");
    block[116..123].copy_from_slice(b"0000002");
    block[124..135].copy_from_slice(format!("{:011o}", body.len()).as_bytes());
    block[136..147].copy_from_slice(b"00000000007");
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..263].copy_from_slice(b"ustar\0");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut bytes = block.to_vec();
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn read(bytes: &[u8]) -> io::Result<Vec<Member>> {
    let mut archive = Archive::new(bytes);
    let mut members = Vec::new();
    while let Some(member) = archive.next_member()? {
        members.push(member);
    }
    Ok(members)
}

fn paths(bytes: &[u8]) -> Vec<String> {
    read(bytes).expect("an archive").iter().map(|member| member.path.to_string()).collect()
}

#[test]
fn names_cannot_lead_out() {
    let mut bytes = Vec::new();
    for name in ["/etc/passwd", "../../outside", "./a//b/../c", "..", "/"] {
        bytes.extend(member(name.as_bytes(), b'0', b"", b""));
    }
    assert_eq!(paths(&bytes), ["etc/passwd", "outside", "a/c", ".", "."]);
    let link = read(&member(b"l", b'1', b"../../etc/shadow", b"")).expect("an archive");
    assert_eq!(link[0].kind, MemberKind::Hardlink(RelPath::clean(b"etc/shadow")));
}

#[test]
fn an_archive_may_end_with_or_without_empty_blocks() {
    let mut bytes = member(b"a", b'0', b"", b"text");
    assert_eq!(paths(&bytes), ["a"]);
    assert_eq!(paths(&bytes[..BLOCK + 4]), ["a"], "umoci leaves the last padding out");
    bytes.extend([0; 2 * BLOCK]);
    bytes.extend(member(b"behind", b'0', b"", b""));
    assert_eq!(paths(&bytes), ["a"]);
    assert_eq!(read(&bytes).expect("an archive")[0].offset, BLOCK as u64);
}

#[test]
fn long_names_come_from_gnu_and_from_pax() {
    let long = "d/".repeat(100) + "end";
    let mut bytes = member(b"././@LongLink", b'L', b"", long.as_bytes());
    bytes.extend(member(b"cut", b'0', b"", b""));
    let record = format!("path={long}\n");
    let length = record.len() + 4;
    let pax = format!("{length} {record}20 SCHILY.xattr.a=b\n13 mtime=9.5\n");
    bytes.extend(member(b"pax", b'x', b"", pax.as_bytes()));
    bytes.extend(member(b"cut", b'0', b"", b"x"));
    let members = read(&bytes).expect("an archive");
    assert!(members.iter().all(|member| member.path.as_bytes() == long.as_bytes()));
    assert_eq!((members[0].modified, members[1].modified), (7, 9));
    assert_eq!((members[0].nanoseconds, members[1].nanoseconds), (0, 500_000_000));
    assert_eq!(members[1].xattrs, [(b"a".to_vec(), b"b".to_vec())]);
}

#[test]
fn what_is_cut_wrong_or_without_measure_is_refused() {
    let whole = member(b"a", b'0', b"", b"text");
    let mut odd = whole.clone();
    odd[3] ^= 1;
    let mut many = member(b"a", b'x', b"", b"");
    many[124..135].copy_from_slice(b"77777777777");
    for (bytes, reason) in [
        (whole[..BLOCK + 3].to_vec(), "end of file"),
        (whole[..100].to_vec(), "end of file"),
        (odd, "checksum"),
        (many, "checksum"),
        (member(b"a", b'S', b"", b""), "unknown kind"),
        (member(b"x", b'x', b"", b"22 GNU.sparse.major=1\n"), "sparse"),
        (member(b"x", b'x', b"", b"99 path=x\n"), "malformed"),
        (member(b"x", b'x', b"", &vec![0; 1 << 21]), "too long"),
        (
            member(b"L", b'L', b"", &[b'n'; 300]).into_iter().chain(member(b"a", b'0', b"", b"")).collect(),
            "longer",
        ),
        (
            member(b"L", b'L', b"", "d/".repeat(600).as_bytes())
                .into_iter()
                .chain(member(b"a", b'0', b"", b""))
                .collect(),
            "longer",
        ),
    ] {
        let error = read(&bytes).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error} {reason}");
    }
}

#[test]
fn compressed_archives_are_read_in_one_or_many_pieces() {
    use std::io::Write as _;
    let plain = [member(b"a", b'0', b"", b"one"), member(b"b", b'0', b"", b"two")].concat();
    let mut gzip = Vec::new();
    for part in plain.chunks(700) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(part).expect("written");
        gzip.extend(encoder.finish().expect("finished"));
    }
    let zstd = zstd::bulk::compress(&plain, 1).expect("compressed");
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&plain).expect("written");
    let bzip2 = bzip2.finish().expect("finished");
    for bytes in [plain, gzip, zstd, bzip2] {
        let mut source = decompress(io::Cursor::new(bytes)).expect("a reader");
        let mut text = Vec::new();
        source.read_to_end(&mut text).expect("read");
        assert_eq!(paths(&text), ["a", "b"]);
        assert_eq!(source.read(&mut [0]).expect("the end stays"), 0);
    }
    let mut broken = decompress(&b"BZh91AY"[..]).expect("a reader");
    assert!(broken.read(&mut [0; 9]).is_err());
}

#[test]
fn the_bytes_of_a_member_can_be_read_in_part() {
    let bytes = [member(b"a", b'0', b"", b"hello"), member(b"b", b'0', b"", b"bye")].concat();
    let mut archive = Archive::new(bytes.as_slice());
    let mut start = [0; 2];
    assert_eq!(archive.next_member().expect("read").map(|member| member.offset), Some(512));
    archive.read_exact(&mut start).expect("its bytes");
    assert_eq!(&start, b"he");
    assert_eq!(archive.next_member().expect("read").map(|member| member.offset), Some(1536));
    let mut text = String::new();
    archive.read_to_string(&mut text).expect("its bytes");
    assert_eq!(text, "bye");
    assert_eq!(archive.next_member().expect("read"), None);
}

/// Extended headers with these records, and a file.
fn with_records(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let length =
            (rest.len()..rest.len() + 9).find(|length| length.to_string().len() + rest.len() == *length);
        let record = [length.expect("a length").to_string().into_bytes(), rest].concat();
        bytes.extend(member(b"pax", b'x', b"", &record));
    }
    bytes.extend(member(b"a", b'0', b"", b""));
    bytes
}

#[test]
fn what_is_said_of_members_has_a_limit_however_it_is_split() {
    let value = vec![b'v'; 60 << 10];
    let names: Vec<String> = (0..20).map(|number| format!("SCHILY.xattr.user.{number}")).collect();
    let records: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), value.as_slice())).collect();
    let few = read(&with_records(&records[..10])).expect("few");
    assert_eq!(few[0].xattrs.len(), 10);
    let error = read(&with_records(&records)).expect_err("more than a MiB for one member").to_string();
    assert!(error.contains("too long"), "{error}");
    for (key, value) in [
        ("SCHILY.xattr.user.a".to_owned(), vec![b'v'; (64 << 10) + 1]),
        (format!("SCHILY.xattr.user.{}", "n".repeat(255)), vec![b'v']),
    ] {
        let error = read(&with_records(&[(&key, &value)])).expect_err("longer than Linux takes").to_string();
        assert!(error.contains("extended attribute"), "{error}");
    }
    // The limit of one member holds again for the next, and all together have one too.
    let two = [with_records(&records[..10]), with_records(&records[..10])].concat();
    let names = Limits { names: 1 << 20, ..Limits::default() };
    let members = |limits| {
        let mut archive = Archive::within(two.as_slice(), limits);
        archive.next_member()?;
        archive.next_member()
    };
    assert!(members(Limits::default()).expect("within the limits").is_some());
    assert!(members(names).expect_err("too much").to_string().contains("more memory"));
}

#[test]
fn directories_that_only_names_mention_count() {
    let deep = |number: usize| {
        let name = format!("{number}/{}f", "d/".repeat(40));
        member(name.as_bytes(), b'0', b"", b"")
    };
    let apart: Vec<u8> = (0..50).flat_map(deep).collect();
    let together: Vec<u8> = std::iter::repeat_n(deep(0), 50).flatten().collect();
    let limits = Limits { names: 64 << 10, ..Limits::default() };
    let mixed: Vec<u8> = (0..50).flat_map(|number| deep(number % 2)).collect();
    let read = |bytes: &[u8]| {
        let mut archive = Archive::within(bytes, limits);
        while archive.next_member()?.is_some() {}
        io::Result::Ok(())
    };
    read(&together).expect("one folder");
    read(&mixed).expect("two folders, in whatever order");
    assert!(read(&apart).expect_err("fifty times forty folders").to_string().contains("more memory"));
}

/// Reads all that comes out of a gzip archive of these bytes.
fn inflated(bytes: &[u8], limits: Limits) -> io::Result<u64> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("written");
    let stored = encoder.finish().expect("finished");
    io::copy(&mut decompress_within(io::Cursor::new(stored), limits)?, &mut io::sink())
}

#[test]
fn what_grows_without_measure_is_given_up_while_it_is_read() {
    let limits = Limits { allowance: 1 << 20, ratio: 50, ..Limits::default() };
    let same = vec![b'x'; 4 << 20];
    let error = inflated(&same, limits).expect_err("a bomb").to_string();
    assert_eq!(error, "it holds more than 50 times its own size");
    // As much as fits anywhere, and zeros, which take no disk.
    assert_eq!(inflated(&same[..1 << 20], limits).expect("little"), 1 << 20);
    assert_eq!(inflated(&vec![0; 8 << 20], limits).expect("zeros"), 8 << 20);
    let most = Limits { bytes: 4 << 20, ..limits };
    assert_eq!(
        inflated(&vec![0; 8 << 20], most).expect_err("too much").to_string(),
        "it holds more than 4194304 bytes"
    );
    // What no program can make smaller is never a bomb.
    let mut noise = Vec::new();
    let mut state = 1_u32;
    while noise.len() < 4 << 20 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.extend(state.to_be_bytes());
    }
    assert_eq!(inflated(&noise, limits).expect("honest"), 4 << 20);
}
