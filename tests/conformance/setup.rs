//! Makes the copy of a case that is built, with what git cannot keep.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, lchown, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use crate::support::buildah::run;

/// The files of a case that are no part of its context.
const OURS: [&str; 2] = ["case.toml", "expected.txt"];

/// Copies the folder of a case, with the modes that git keeps, and changes the copy as the lines say.
pub(super) fn prepare(case: &Path, copy: &Path, lines: &[String]) {
    copy_folder(case, copy);
    for name in OURS {
        let _ = fs::remove_file(copy.join(name));
    }
    for line in lines {
        change(copy, line).unwrap_or_else(|error| panic!("{}: {line}: {error}", case.display()));
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).expect("a mode");
    for entry in fs::read_dir(from).expect("a folder") {
        let (from, to) = {
            let entry = entry.expect("an entry");
            (entry.path(), to.join(entry.file_name()))
        };
        let metadata = from.symlink_metadata().expect("metadata");
        if metadata.is_dir() {
            copy_folder(&from, &to);
        } else if metadata.is_symlink() {
            symlink(fs::read_link(&from).expect("a link"), &to).expect("linked");
        } else {
            fs::copy(&from, &to).expect("copied");
            let mode = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            fs::set_permissions(&to, fs::Permissions::from_mode(mode)).expect("a mode");
        }
    }
}

/// One line: a verb, and its words. `\xNN` in a word is a byte, so that `\x20` is a space in a name.
fn change(folder: &Path, line: &str) -> io::Result<()> {
    let words: Vec<Vec<u8>> = line.split_whitespace().map(unescape).collect();
    let text = |index: usize| String::from_utf8_lossy(&words[index]).into_owned();
    let path = |index: usize| -> PathBuf { folder.join(OsStr::from_bytes(&words[index])) };
    let number = |index: usize| text(index).parse::<u64>().map_err(io::Error::other);
    match text(0).as_str() {
        // folder PATH
        "folder" => fs::create_dir_all(path(1)),
        // file PATH TEXT
        "file" => fs::write(path(1), &words[2]),
        // zeros PATH SIZE: a sparse file.
        "zeros" => File::create(path(1))?.set_len(number(2)?),
        // bytes PATH SIZE: a file whose bytes count up.
        "bytes" => fs::write(path(1), (0..number(2)?).map(|at| (at % 251) as u8).collect::<Vec<_>>()),
        // mode MODE PATH
        "mode" => {
            let mode = u32::from_str_radix(&text(1), 8).map_err(io::Error::other)?;
            fs::set_permissions(path(2), fs::Permissions::from_mode(mode))
        }
        // owner UID GID PATH
        "owner" => {
            let id = |index| number(index).map(|id| u32::try_from(id).unwrap_or(u32::MAX));
            lchown(path(3), Some(id(1)?), Some(id(2)?))
        }
        // time SECONDS PATH
        "time" => File::open(path(2))?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(number(1)?)),
        // symlink TARGET PATH
        "symlink" => symlink(OsStr::from_bytes(&words[1]), path(2)),
        // hardlink PATH NEW
        "hardlink" => fs::hard_link(path(1), path(2)),
        // fifo PATH
        "fifo" => Ok(nix::unistd::mkfifo(&path(1), nix::sys::stat::Mode::from_bits_truncate(0o644))?),
        // xattr NAME VALUE PATH
        "xattr" => {
            let flags = rustix::fs::XattrFlags::empty();
            Ok(rustix::fs::lsetxattr(path(3), OsStr::from_bytes(&words[1]), &words[2], flags)?)
        }
        // remove PATH
        "remove" if path(1).is_dir() => fs::remove_dir_all(path(1)),
        "remove" => fs::remove_file(path(1)),
        // run PROGRAM WORD…: an archiver, in the folder.
        "run" => {
            let mut command = Command::new(OsStr::from_bytes(&words[1]));
            command.args(words[2..].iter().map(|word| OsStr::from_bytes(word))).current_dir(folder);
            run(&mut command);
            Ok(())
        }
        other => Err(io::Error::other(format!("{other:?} is no verb"))),
    }
}

fn unescape(word: &str) -> Vec<u8> {
    let mut parts = word.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two hexadecimal digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}
