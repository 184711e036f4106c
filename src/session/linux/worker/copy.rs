//! Copies directory trees with everything that a layer keeps.

use std::{
    collections::HashMap,
    ffi::{CStr, CString},
    fs::File,
    io,
    os::fd::AsFd,
};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, RawMode, Stat, Timespec, Timestamps, Uid, XattrFlags, chmodat,
    chownat, fgetxattr, flistxattr, fsetxattr, ioctl_ficlone, linkat, mkdirat, mknodat, openat, readlinkat,
    statat, symlinkat, utimensat,
};

use crate::oci::layer::is_kept;

/// Copies what is in one directory into another, which is empty. Files share their content on disk where the file
/// system can do that.
pub(super) fn directory(from: &File, to: &File) -> io::Result<()> {
    let mut links = HashMap::new();
    Copying { links: &mut links, top: to }.directory(from.as_fd(), to.as_fd(), c"")
}

struct Copying<'c> {
    /// The files with several names by their numbers, and where the first copy is below the top.
    links: &'c mut HashMap<(u64, u64), CString>,
    top: &'c File,
}

impl Copying<'_> {
    fn directory(&mut self, from: impl AsFd, to: impl AsFd, path: &CStr) -> io::Result<()> {
        for entry in Dir::read_from(&from)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.entry(&from, &to, path, name)?;
        }
        Ok(())
    }

    fn entry(&mut self, from: impl AsFd, to: impl AsFd, path: &CStr, name: &CStr) -> io::Result<()> {
        let status = statat(&from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let here = [path.to_bytes(), b"/", name.to_bytes()].concat();
        let here = CString::new(here.strip_prefix(b"/").unwrap_or(&here))?;
        let kind = FileType::from_raw_mode(status.st_mode);
        if kind != FileType::Directory && status.st_nlink > 1 {
            let file = (status.st_dev, status.st_ino);
            if let Some(first) = self.links.get(&file) {
                return Ok(linkat(self.top, first, &to, name, AtFlags::empty())?);
            }
            self.links.insert(file, here.clone());
        }
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match kind {
            FileType::RegularFile => {
                let source = File::from(openat(&from, name, flags | OFlags::RDONLY, Mode::empty())?);
                let create = flags | OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
                let copy = File::from(openat(&to, name, create, Mode::from_raw_mode(0o600))?);
                if ioctl_ficlone(&copy, &source).is_err() {
                    io::copy(&mut &source, &mut &copy)?;
                }
                attributes(&to, name, &status)?;
                xattrs(&source, &copy)?;
            }
            FileType::Directory => {
                mkdirat(&to, name, Mode::from_raw_mode(0o700))?;
                let source = openat(&from, name, flags | OFlags::DIRECTORY, Mode::empty())?;
                let copy = openat(&to, name, flags | OFlags::DIRECTORY, Mode::empty())?;
                self.directory(&source, &copy, &here)?;
                xattrs(&source, &copy)?;
                attributes(&to, name, &status)?;
            }
            FileType::Symlink => {
                let target = readlinkat(&from, name, Vec::new())?;
                symlinkat(&target, &to, name)?;
                attributes(&to, name, &status)?;
            }
            FileType::Socket => {}
            kind => {
                let permissions = Mode::from_raw_mode(status.st_mode & 0o7777);
                match mknodat(&to, name, kind, permissions, status.st_rdev) {
                    // A user namespace can make no devices, and nothing in an image needs them.
                    Err(rustix::io::Errno::PERM) => return Ok(()),
                    made => made?,
                }
                attributes(&to, name, &status)?;
            }
        }
        Ok(())
    }
}

fn attributes(to: impl AsFd, name: &CStr, status: &Stat) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(status.st_uid), Gid::from_raw(status.st_gid));
    chownat(&to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::Symlink {
        let mode: RawMode = status.st_mode & 0o7777;
        chmodat(&to, name, Mode::from_raw_mode(mode), AtFlags::empty())?;
    }
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    let times = Timestamps {
        last_access: time(status.st_atime, status.st_atime_nsec),
        last_modification: time(status.st_mtime, status.st_mtime_nsec),
    };
    Ok(utimensat(&to, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Copies the extended attributes that a layer keeps.
fn xattrs(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    use rustix::io::Errno;
    let mut names = vec![0; 64 << 10];
    let length = match flistxattr(&from, names.as_mut_slice()) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        length => length?,
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| is_kept(name)) {
        let name = CString::new(name)?;
        let mut value = vec![0; 64 << 10];
        let length = fgetxattr(&from, &name, value.as_mut_slice())?;
        match fsetxattr(&to, &name, &value[..length], XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            set => set?,
        }
    }
    Ok(())
}
