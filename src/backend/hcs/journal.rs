//! What this process has made in Windows and nobody else would remove.
//!
//! A container, a layer or a writable disk outlives whoever made it. So a file says of each before it is made that it
//! is about to be, and goes when it is gone. The files of one process stand in one folder, beside a lock that the
//! process holds while it lives; whoever finds a lock without a holder undoes what is left.
//!
//! A file is synced before the call is made, so a crash of the machine loses none.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use polyarch_actors::BuildId;
use serde::{Deserialize, Serialize};

use super::guid::Guid;
use crate::{held::Lock, oci::digest_of, whole_file::sync_folder};

/// Who made the containers, as Windows is told.
pub(super) const OWNER: &str = "polyarch";

/// Something that has been made, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "made")]
pub(super) enum Made {
    /// A container. What depends on something stands before it.
    System {
        /// Its id.
        id: String,
    },
    /// What connects a container with a network, perhaps in a namespace.
    Endpoint {
        /// Its id.
        id: Guid,
        /// The id of the namespace.
        namespace: Option<Guid>,
    },
    /// What a container has of networks.
    Namespace {
        /// Its id.
        id: Guid,
    },
    /// A writable layer, perhaps active, perhaps prepared.
    Scratch {
        /// Its folder.
        path: PathBuf,
    },
    /// A layer that is being imported.
    Layer {
        /// Its folder.
        path: PathBuf,
    },
    /// A folder of ordinary files.
    Folder {
        /// It.
        path: PathBuf,
    },
}

/// The journal of this process.
#[derive(Debug)]
pub(super) struct Journal {
    /// The folder of all journals.
    pub(super) root: PathBuf,
    /// Which store it belongs to: others on this machine have journals of their own.
    pub(super) store: String,
    pub(super) owner: String,
    next: AtomicU64,
    _lock: Lock,
}

/// The note of one thing.
#[derive(Debug)]
pub(super) struct Note {
    path: PathBuf,
}

impl Note {
    /// Removes the note of a thing that is gone.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// The journal of a process that is gone.
#[derive(Debug)]
pub(super) struct Left {
    /// What it had made, in the order in which it is undone.
    pub(super) made: Vec<(Made, Note)>,
    folder: PathBuf,
    lock_file: PathBuf,
    _lock: Lock,
}

impl Left {
    /// Removes the journal, if nothing is left of it.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_dir(&self.folder)?;
        fs::remove_file(&self.lock_file)
    }
}

/// The right to look at the journals of others, and to begin one. It goes with the process that holds it.
#[derive(Debug)]
pub(super) struct Gate {
    _lock: Lock,
}

impl Journal {
    /// Begins a journal in the folder of all journals of a store.
    pub(super) fn open(root: &Path, store: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let _gate = Self::gate(root)?;
        let owner = BuildId::generate().to_string();
        let lock = Lock::wait(File::create(lock_file(root, &owner))?)?;
        fs::create_dir(root.join(&owner))?;
        let store = store_name(store);
        Ok(Self { root: root.to_owned(), store, owner, next: AtomicU64::new(1), _lock: lock })
    }

    /// Waits for the right to look at the journals of others.
    pub(super) fn gate(root: &Path) -> io::Result<Gate> {
        // Windows locks no file that is open for nothing but appending.
        let gate = File::options().create(true).read(true).append(true).open(root.join("gate"))?;
        Ok(Gate { _lock: Lock::wait(gate)? })
    }

    /// A number that nothing else of this process has.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A name for a folder or a part of an id that no other process gives.
    pub(super) fn unique(&self) -> String {
        format!("{}-{}", self.owner, self.number())
    }

    /// An id for a container, from which others can tell whose it is.
    pub(super) fn system_id(&self) -> String {
        format!("{OWNER}-{}-{}", self.store, self.unique())
    }

    /// Notes that something is about to be made.
    pub(super) fn note(&self, made: &Made) -> io::Result<Note> {
        let folder = self.root.join(&self.owner);
        let path = folder.join(format!("{:08}.json", self.number()));
        // Half a note cannot be read, and then nothing was made yet.
        let mut file = File::create_new(&path)?;
        file.write_all(&serde_json::to_vec(made)?)?;
        file.sync_all()?;
        sync_folder(&folder)?;
        Ok(Note { path })
    }

    /// What this process has noted and not undone.
    pub(super) fn own(&self) -> io::Result<Vec<(Made, Note)>> {
        read(&self.root.join(&self.owner))
    }

    /// The journals of processes that are gone.
    pub(super) fn left(&self, _gate: &Gate) -> io::Result<Vec<Left>> {
        let mut left = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let lock_file = entry?.path();
            if lock_file.extension().is_none_or(|extension| extension != "lock") {
                continue;
            }
            let owner = lock_file.file_stem().unwrap_or_default().to_owned();
            let Some(lock) = unheld(&lock_file)? else { continue };
            let folder = self.root.join(owner);
            // A process may have ended between its lock and its folder.
            fs::create_dir_all(&folder)?;
            left.push(Left { made: read(&folder)?, folder, lock_file, _lock: lock });
        }
        Ok(left)
    }

    /// Whether a container belongs to a process of this store that is gone.
    pub(super) fn is_left(&self, id: &str, _gate: &Gate) -> io::Result<bool> {
        let of_store = id.strip_prefix(OWNER).and_then(|rest| rest.strip_prefix('-'));
        let of_store = of_store.and_then(|rest| rest.strip_prefix(self.store.as_str()));
        let Some((owner, _)) = of_store.and_then(|rest| rest.strip_prefix('-')?.split_once('-')) else {
            return Ok(false);
        };
        if owner == self.owner {
            return Ok(false);
        }
        match unheld(&lock_file(&self.root, owner)) {
            Ok(lock) => Ok(lock.is_some()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Journal {
    /// An empty journal goes; one with notes is for whoever comes next.
    fn drop(&mut self) {
        if fs::remove_dir(self.root.join(&self.owner)).is_ok() {
            let _ = fs::remove_file(lock_file(&self.root, &self.owner));
        }
    }
}

fn lock_file(root: &Path, owner: &str) -> PathBuf {
    root.join(format!("{owner}.lock"))
}

/// The lock, if nobody holds it.
fn unheld(path: &Path) -> io::Result<Option<Lock>> {
    Lock::attempt(File::options().read(true).append(true).open(path)?)
}

/// A short name of a store in ids.
fn store_name(store: &Path) -> String {
    let path = store.canonicalize().unwrap_or_else(|_| store.to_owned());
    digest_of(path.as_os_str().as_encoded_bytes()).hex()[..12].to_owned()
}

fn read(folder: &Path) -> io::Result<Vec<(Made, Note)>> {
    let mut made = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match serde_json::from_slice::<Made>(&fs::read(&path)?) {
            Ok(one) => made.push((one, Note { path })),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "a note was not finished");
                fs::remove_file(&path)?;
            }
        }
    }
    made.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(made)
}
