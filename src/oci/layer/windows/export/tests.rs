use super::{
    super::support::{disk_of, exported},
    *,
};
use crate::{archive::Limits, oci::Store};

/// What comes of an export, in which every file is given as hexadecimal digits.
fn outcome(disk: &str, options: ExportOptions) -> Result<usize, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let done = exported(&store, &mut disk_of(disk), options);
    let records = done.map(|(_, records)| records.len());
    records.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    })
}

/// An ordinary file below `Files`.
fn file(streams: &str) -> String {
    format!("folder | Files\nplain | Files\\x | 0 | 0\n  20 00 00 00\n  {streams}\n")
}

/// A header in hexadecimal digits.
fn header(kind: u8, attributes: u8, size: u8) -> String {
    format!("{kind:02x} 00 00 00 {attributes:02x} 00 00 00 {size:02x} 00 00 00 00 00 00 00 00 00 00 00 ")
}

#[test]
fn what_no_layer_can_hold_is_refused() {
    let block = |size: u8, offset: u8| format!("{}{offset:02x} 00 00 00 00 00 00 00 ", header(9, 8, size));
    let sparse = header(1, 8, 0);
    let alternate = |attributes: u8, letter: &str| {
        format!(
            "04 00 00 00 {attributes:02x} 00 00 00 00 00 00 00 00 00 00 00 04 00 00 00 3a 00 {letter} 00 "
        )
    };
    let link = format!(
        "folder | Files\\l\nplain | Files\\l.$wcidirs$ | 0 | 0\n  10 04 00 00\n  {}\n",
        include_str!("../testdata/backup/mount-point/streams.hex").replace('\n', "\n  ")
    );
    let below = |rest: &str| format!("{}{link}{rest}", file(""));
    for (disk, words) in [
        ("folder | Files\nfolder | UtilityVM\n".to_owned(), "no part of a layer"),
        ("plain | Files | 0 | 0\n".to_owned(), "no part of a layer"),
        ("folder | Files\nplain | layout | 0 | 0\n".to_owned(), "no part of a layer"),
        ("folder | Files\nplain | Files\\x | 0 | 0\n  20 00\n".to_owned(), "cannot read Files\\x"),
        ("folder | Files\nfolder | Files\\d\n".to_owned(), "cannot read Files\\d"),
        (file("01"), "cut off"),
        (file(&format!("{}61", header(1, 0, 2))), "cannot read Files/x"),
        (file(&header(11, 0, 0)), "unknown kind 11"),
        (file(&format!("{}61 {}61", header(1, 0, 1), header(1, 0, 1))), "a stream twice"),
        (file(&format!("{s}{s}", s = header(3, 0, 0))), "a stream twice"),
        (file(&block(8, 0)), "out of their order"),
        (file(&format!("{sparse}{}61 {}", block(9, 4), block(8, 3))), "out of their order"),
        (file(&format!("{sparse}{}{}", block(8, 1), block(8, 2))), "out of their order"),
        (file(&format!("{sparse}{}61", block(9, 4))), "without an end"),
        (file(&format!("{sparse}{}61 {}", block(9, 4), header(3, 0, 0))), "without an end"),
        (file(&alternate(8, "73")), "a further stream that is sparse"),
        (file(&alternate(0, "2f")), "a name that no layer can hold"),
        (file(&format!("{}1d 00 00 a0 00 00 00 00", header(8, 0, 8))), "tag 0xA000001D"),
        (file(&format!("{}00", header(2, 0, 1))), "extended attributes that no layer can hold"),
        (
            "folder | Files\nfolder | Files\\d\nplain | Files\\d.$wcidirs$ | 0 | 0\n  20 00 00 00\n"
                .to_owned(),
            "attributes of a directory",
        ),
        (
            below("folder | Files\\l\\x\nplain | Files\\l\\x.$wcidirs$ | 0 | 0\n  10 00 00 00\n"),
            "below a link",
        ),
        (
            "folder | Files\nfolder | Files\\d\nplain | Files\\d.$wcidirs$ | 0 | 0\n  10 00 00 00\n\
             delete | Files\\D\n"
                .to_owned(),
            "deleted and made again",
        ),
    ] {
        let error = outcome(&disk, ExportOptions::default()).expect_err(words);
        assert!(error.contains(words), "{disk}: {error}");
    }
    let whole = file(&format!("{}61", header(1, 0, 1)));
    assert_eq!(outcome(&whole, ExportOptions::default()), Ok(1));
    assert_eq!(outcome(&below(""), ExportOptions::default()), Ok(2));
    assert_eq!(outcome(&format!("{}delete | Files\\X\n", file("")), ExportOptions::default()), Ok(1));
    let small =
        ExportOptions { limits: Limits { bytes: 0, ..Limits::default() }, ..ExportOptions::default() };
    assert!(outcome(&whole, small).expect_err("too large").contains("larger than any"));
}

#[test]
fn a_sparse_file_of_any_length_fills_no_disk() {
    let sparse = header(1, 8, 0);
    let end = format!("{}00 00 00 00 00 00 00 40", header(9, 8, 8));
    let error = outcome(&file(&format!("{sparse}{end}")), ExportOptions::default()).expect_err("too large");
    assert!(error.contains("larger than any"), "{error}");
}
