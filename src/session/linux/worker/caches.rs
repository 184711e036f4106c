//! Cache mounts: directories of the store that steps share.

use std::{
    fs::{self, File, FileTimes, Permissions, TryLockError},
    io,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{copy, mounts::Preparing, within::within};
use crate::{
    oci::digest_of,
    removal::remove_folder,
    session::{
        error::Failure,
        step::{Cache, Sharing},
    },
};

/// The most directories of a cache that is private to each step.
const MOST: u32 = 1024;

/// The directory of a cache, and the lock that says that it is in use.
pub(super) fn take(preparing: &mut Preparing<'_, '_>, cache: &Cache) -> Result<(PathBuf, File), Failure> {
    let folder = preparing.folder.join("caches").join(digest_of(cache.id.as_bytes()).hex());
    let failed = || Failure::system::<io::Error>(format!("use the cache {}", cache.id));
    fs::create_dir_all(&folder).map_err(failed())?;
    let mut taken = None;
    match cache.sharing {
        Sharing::Shared | Sharing::Locked => {
            let lock = open(&folder.join("0.lock")).map_err(failed())?;
            let shared = cache.sharing == Sharing::Shared;
            if shared { lock.lock_shared() } else { lock.lock() }.map_err(failed())?;
            taken = Some((0, lock));
        }
        Sharing::Private => {
            for number in 0..MOST {
                let lock = open(&folder.join(format!("{number}.lock"))).map_err(failed())?;
                match lock.try_lock() {
                    Ok(()) => {
                        taken = Some((number, lock));
                        break;
                    }
                    Err(TryLockError::WouldBlock) => {}
                    Err(TryLockError::Error(error)) => return Err(failed()(error)),
                }
            }
        }
    }
    let full = || failed()(io::Error::other(format!("all its {MOST} directories are in use")));
    let (number, lock) = taken.ok_or_else(full)?;
    // Whoever makes room looks at this time.
    let _ = lock.set_times(FileTimes::new().set_modified(SystemTime::now()));
    let path = folder.join(number.to_string());
    let making = open(&folder.join("making.lock")).map_err(failed())?;
    making.lock().map_err(failed())?;
    if !path.exists() {
        let new = folder.join("new");
        if new.exists() {
            remove_folder(&new).map_err(failed())?;
        }
        make(preparing, cache, &new)?;
        fs::rename(&new, &path).map_err(failed())?;
    }
    Ok((path, lock))
}

/// Makes the directory of a new cache.
fn make(preparing: &mut Preparing<'_, '_>, cache: &Cache, path: &Path) -> Result<(), Failure> {
    let failed = || Failure::system::<io::Error>(format!("fill the cache {}", cache.id));
    fs::create_dir(path).map_err(failed())?;
    if let Some((layers, from)) = &cache.seed {
        let mut held = Vec::new();
        let name = format!("seed-{}", digest_of(cache.id.as_bytes()).short());
        let overlay = preparing.layers(&name, layers, false, &mut held)?;
        let from = Path::new("/").join(from);
        let target = File::open(path).map_err(failed())?;
        within(overlay.root(), || {
            if !from.is_dir() {
                return Ok(());
            }
            copy::directory(&File::open(&from)?, &target)
        })
        .and_then(|copied| copied)
        .map_err(failed())?;
    }
    chown(path, Some(cache.uid), Some(cache.gid)).map_err(failed())?;
    fs::set_permissions(path, Permissions::from_mode(cache.mode)).map_err(failed())
}

fn open(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}
