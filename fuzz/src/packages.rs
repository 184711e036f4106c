//! Files of images that name packages, and texts with addresses.

use polyarch::attest::fuzzing;

/// A file of each kind.
const PATHS: [&str; 13] = [
    "var/lib/dpkg/status",
    "var/lib/dpkg/status.d/a",
    "lib/apk/db/installed",
    "var/lib/rpm/rpmdb.sqlite",
    "package-lock.json",
    "yarn.lock",
    "Cargo.lock",
    "go.mod",
    "requirements.txt",
    "poetry.lock",
    "a.dist-info/METADATA",
    "Gemfile.lock",
    "composer.lock",
];

/// Reads the input as each kind of file, and takes the credentials out of it.
pub fn check(data: &[u8]) {
    for path in PATHS {
        let found = fuzzing::packages(path, data);
        assert!(found <= data.len(), "{path} names more packages than it has bytes");
        assert_eq!(found, fuzzing::packages(path, data), "{path} is read in one way");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert!(fuzzing::redacted(text).len() <= text.len(), "nothing is added");
    // Whatever stands around it, and whatever else the password has in it.
    let word: String =
        text.chars().filter(|letter| letter.is_ascii_graphic() && !"\"'`<>/".contains(*letter)).collect();
    let given = format!("{text} https://user:CANARY{word}@host/path {text}");
    let kept = fuzzing::redacted(&given).matches("CANARY").count();
    assert!(kept <= 2 * text.matches("CANARY").count(), "a password is left in {given:?}");
}
