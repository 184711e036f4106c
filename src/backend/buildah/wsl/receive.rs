//! The image, as it comes out of the distribution.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use polyarch_actors::Digest;

/// The config of the image as buildah keeps it.
pub(super) const CONFIG: &str = "config.json";
/// The folder of the layout.
pub(super) const LAYOUT: &str = "image";

/// Writes what an archive holds into `folder`. It blocks.
///
/// Only files that an image can have are taken, under names that are made here, so nothing in the archive can be written
/// anywhere else.
pub(super) fn receive(archive: impl Read, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join(LAYOUT).join("blobs/sha256"))?;
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let place = place(&name).filter(|_| entry.header().entry_type().is_file());
        let place = place.ok_or_else(|| io::Error::other(format!("{name:?} is no part of an image")))?;
        io::copy(&mut entry, &mut File::create_new(folder.join(place))?)?;
    }
    Ok(())
}

/// Where a member goes; `None` for one that no image has.
fn place(name: &str) -> Option<PathBuf> {
    let name = name.strip_prefix("./").unwrap_or(name);
    if name == CONFIG {
        return Some(CONFIG.into());
    }
    let inside = name.strip_prefix(LAYOUT)?.strip_prefix('/')?;
    if matches!(inside, "index.json" | "oci-layout") {
        return Some(Path::new(LAYOUT).join(inside));
    }
    let digest: Digest = format!("sha256:{}", inside.strip_prefix("blobs/sha256/")?).parse().ok()?;
    Some(Path::new(LAYOUT).join("blobs/sha256").join(digest.hex()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(name: &str, kind: tar::EntryType) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().expect("a header").name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_cksum();
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&header, io::empty()).expect("written");
        archive.into_inner().expect("whole")
    }

    #[test]
    fn nothing_but_the_parts_of_an_image_is_written() {
        let blob = format!("./image/blobs/sha256/{}", "a".repeat(64));
        for (name, kind, taken) in [
            ("./config.json", tar::EntryType::Regular, true),
            ("./image/index.json", tar::EntryType::Regular, true),
            ("./image/oci-layout", tar::EntryType::Regular, true),
            (&*blob, tar::EntryType::Regular, true),
            ("./image/", tar::EntryType::Directory, true),
            (&*blob, tar::EntryType::Symlink, false),
            ("./image/blobs/sha256/../../../x", tar::EntryType::Regular, false),
            ("/etc/passwd", tar::EntryType::Regular, false),
            ("./image/index.json/x", tar::EntryType::Regular, false),
            ("./x", tar::EntryType::Regular, false),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let received = receive(&archive(name, kind)[..], &folder.path().join("in"));
            assert_eq!(received.is_ok(), taken, "{name} {kind:?}: {received:?}");
            assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        }
    }

    #[test]
    fn an_archive_that_is_cut_off_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut archive = archive("./config.json", tar::EntryType::Regular);
        archive.truncate(300);
        assert!(receive(&archive[..], folder.path()).is_err());
    }
}
