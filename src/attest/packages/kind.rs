//! Which files name packages.

use super::{apk, composer, dpkg, found::Found, gems, go, npm, python, rpm, tables, yarn};

/// A file that names packages, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What dpkg has installed, in one file.
    Dpkg,
    /// What dpkg has installed, a file a package, as images without dpkg have it.
    DpkgPart,
    Apk,
    Rpm,
    /// What was written to rpm's database and is not in it yet, which is not read.
    RpmLog,
    /// An older database of rpm, which is not read.
    OldRpm,
    NpmLock,
    YarnLock,
    CargoLock,
    GoMod,
    Requirements,
    PoetryLock,
    PythonMetadata,
    GemLock,
    ComposerLock,
    /// What says which distribution it is.
    Release,
}

impl Kind {
    /// What a file of an image is; the path begins without a slash.
    pub(crate) fn of(path: &[u8]) -> Option<Self> {
        let path = std::str::from_utf8(path).ok()?;
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        Some(match (folder, name) {
            ("var/lib/dpkg", "status") => Self::Dpkg,
            ("var/lib/dpkg/status.d", name) if !name.contains(".md5sums") => Self::DpkgPart,
            ("lib/apk/db" | "usr/lib/apk/db", "installed") => Self::Apk,
            ("var/lib/rpm" | "usr/lib/sysimage/rpm" | "usr/share/rpm", name) => match name {
                "rpmdb.sqlite" => Self::Rpm,
                "rpmdb.sqlite-wal" => Self::RpmLog,
                "Packages" | "Packages.db" => Self::OldRpm,
                _ => return None,
            },
            ("etc" | "usr/lib", "os-release") => Self::Release,
            (_, "package-lock.json" | "npm-shrinkwrap.json" | ".package-lock.json") => Self::NpmLock,
            (_, "yarn.lock") => Self::YarnLock,
            (_, "Cargo.lock") => Self::CargoLock,
            (_, "go.mod") => Self::GoMod,
            (_, "requirements.txt") => Self::Requirements,
            (_, "poetry.lock") => Self::PoetryLock,
            (folder, "METADATA") if folder.ends_with(".dist-info") => Self::PythonMetadata,
            (_, "Gemfile.lock") => Self::GemLock,
            (_, "composer.lock") => Self::ComposerLock,
            _ => return None,
        })
    }

    /// How much of such a file is read, in bytes.
    pub(crate) fn largest(self) -> u64 {
        match self {
            Self::Rpm => 128 << 20,
            Self::Dpkg | Self::Apk => 32 << 20,
            Self::DpkgPart | Self::Release | Self::PythonMetadata | Self::Requirements | Self::GoMod => {
                1 << 20
            }
            _ => 8 << 20,
        }
    }

    /// Adds the packages that the bytes of such a file name.
    pub(crate) fn read(self, path: &str, bytes: &[u8], found: &mut Found) {
        match self {
            Self::Dpkg => dpkg::read(path, bytes, true, found),
            Self::DpkgPart => dpkg::read(path, bytes, false, found),
            Self::Apk => apk::read(path, bytes, found),
            Self::Rpm => rpm::read(path, bytes, found),
            Self::NpmLock => npm::read(path, bytes, found),
            Self::YarnLock => yarn::read(path, bytes, found),
            Self::CargoLock => tables::read("cargo", path, bytes, found),
            Self::PoetryLock => tables::read("pypi", path, bytes, found),
            Self::GoMod => go::read(path, bytes, found),
            Self::Requirements => python::read_requirements(path, bytes, found),
            Self::PythonMetadata => python::read_metadata(path, bytes, found),
            Self::GemLock => gems::read(path, bytes, found),
            Self::ComposerLock => composer::read(path, bytes, found),
            Self::RpmLog | Self::OldRpm | Self::Release => {}
        }
    }
}

/// The lines of a file, without what is no text in them.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &str> {
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    lines.map(|line| line.trim_end_matches('\r'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Kind; 16] = [
        Kind::Dpkg,
        Kind::DpkgPart,
        Kind::Apk,
        Kind::Rpm,
        Kind::RpmLog,
        Kind::OldRpm,
        Kind::NpmLock,
        Kind::YarnLock,
        Kind::CargoLock,
        Kind::GoMod,
        Kind::Requirements,
        Kind::PoetryLock,
        Kind::PythonMetadata,
        Kind::GemLock,
        Kind::ComposerLock,
        Kind::Release,
    ];

    #[test]
    fn files_are_known_by_where_they_are() {
        for (path, kind) in [
            ("var/lib/dpkg/status", Some(Kind::Dpkg)),
            ("var/lib/dpkg/status.d/base-files", Some(Kind::DpkgPart)),
            ("var/lib/dpkg/status.d/base-files.md5sums", None),
            ("srv/var/lib/dpkg/status", None),
            ("usr/lib/apk/db/installed", Some(Kind::Apk)),
            ("var/lib/rpm/rpmdb.sqlite", Some(Kind::Rpm)),
            ("usr/lib/sysimage/rpm/Packages.db", Some(Kind::OldRpm)),
            ("var/lib/rpm/.rpm.lock", None),
            ("package-lock.json", Some(Kind::NpmLock)),
            ("a/b.dist-info/METADATA", Some(Kind::PythonMetadata)),
            ("a/b/METADATA", None),
            ("etc/os-release", Some(Kind::Release)),
        ] {
            assert_eq!(Kind::of(path.as_bytes()), kind, "{path}");
        }
        assert_eq!(Kind::of(b"\xff/package-lock.json"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for kind in ALL {
                kind.read("x", &bytes, &mut Found::default());
            }
        }

        #[test]
        fn no_text_makes_a_reader_panic(
            text in "([\\[\\]{}\"':=@(). \t\nA-Za-z0-9/#;-]|Package: |version |\\[\\[package\\]\\]|\"packages\":){0,60}"
        ) {
            for kind in ALL {
                kind.read("x", text.as_bytes(), &mut Found::default());
            }
        }
    }
}
