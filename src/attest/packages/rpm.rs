//! What rpm has installed, in a database of SQLite.
//!
//! Source: rpm, `docs/manual/format_header.md`, `lib/backend/sqlite.c`, `include/rpm/rpmtag.h`.

use super::{
    found::{Found, Package},
    sqlite::Database,
};

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const ARCHITECTURE: u32 = 1022;
/// The kinds of values of a header.
const INT32: u32 = 4;
const STRING: u32 = 6;
/// What keys are recorded as, which are no packages.
const KEY: &str = "gpg-pubkey";

/// Reads the header of each package.
pub(super) fn read(path: &str, bytes: &[u8], found: &mut Found) {
    let Some(database) = Database::open(bytes) else {
        found.left_out = true;
        return;
    };
    let mut odd = false;
    let whole = database.blobs("Packages", |header| match package(header) {
        Some(package) if package.name == KEY => {}
        Some(package) => found.add(Package { path: path.to_owned(), ..package }),
        None => odd = true,
    });
    found.left_out |= odd || !whole;
}

/// What a header says of a package. The version has the epoch before it.
fn package(header: &[u8]) -> Option<Package> {
    let count = usize::try_from(word(header, 0)?).ok()?;
    let entries = header.get(8..8_usize.checked_add(count.checked_mul(16)?)?)?;
    let data = &header[8 + entries.len()..];
    let place = |tag: u32, kind: u32| {
        let entry = entries.chunks_exact(16).find(|entry| word(entry, 0) == Some(tag))?;
        (word(entry, 4) == Some(kind))
            .then(|| word(entry, 8).and_then(|at| usize::try_from(at).ok()))
            .flatten()
    };
    let text = |tag: u32| {
        let rest = data.get(place(tag, STRING)?..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&rest[..end]).ok()
    };
    let epoch = place(EPOCH, INT32).and_then(|at| word(data, at));
    let epoch = epoch.filter(|epoch| *epoch > 0).map(|epoch| format!("{epoch}:")).unwrap_or_default();
    Some(Package {
        kind: "rpm",
        name: text(NAME)?.to_owned(),
        version: format!("{epoch}{}-{}", text(VERSION)?, text(RELEASE)?),
        architecture: text(ARCHITECTURE).unwrap_or_default().to_owned(),
        ..Package::default()
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(bytes.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by SQLite 3.40: pages of 512 bytes, a tree of several levels, and rows on several pages. Names are `package0`
    /// to `package59`; the last one has an epoch and a long description, and there is a key.
    const DATABASE: &[u8] = include_bytes!("testdata/rpmdb.sqlite");

    #[test]
    fn every_package_of_a_database_is_listed() {
        let mut found = Found::default();
        read("rpmdb.sqlite", DATABASE, &mut found);
        assert!(!found.left_out);
        let mut names: Vec<_> = found.packages.iter().map(|it| it.name.clone()).collect();
        names.sort();
        let mut expected: Vec<_> = (0..60).map(|number| format!("package{number}")).collect();
        expected.sort();
        assert_eq!(names, expected);
        let last = found.packages.iter().find(|it| it.name == "package59").expect("the last");
        assert_eq!((last.version.as_str(), last.architecture.as_str()), ("2:1.59-1.fc40", "x86_64"));
    }

    #[test]
    fn a_database_that_is_damaged_is_read_as_far_as_it_goes_and_that_is_known() {
        for cut in (0..DATABASE.len()).step_by(97) {
            let mut found = Found::default();
            read("rpmdb.sqlite", &DATABASE[..cut], &mut found);
            assert!(found.left_out, "{cut}");
        }
        for at in 0..DATABASE.len() {
            let mut damaged = DATABASE.to_vec();
            damaged[at] = damaged[at].wrapping_add(127);
            let mut found = Found::default();
            read("rpmdb.sqlite", &damaged, &mut found);
            assert!(found.packages.len() <= 61, "{at}");
        }
    }
}
