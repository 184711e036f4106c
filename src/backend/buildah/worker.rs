//! Workers: storage roots that one build uses at a time.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{command::Storage, lock, storage, trial::Trial};
use crate::{
    guard::{Cleanup, CleanupCommand, Emptied},
    oci::digest_of,
};

/// The most workers of one platform: more builds at once than any machine has use for.
const MOST: u32 = 512;

/// The most workers of one platform that are kept each for a project of its own.
const KEPT: usize = 32;
/// The file of a worker that holds the last project it was used for.
const PROJECT: &str = "project";

/// A storage root that only this process uses while it holds the lock.
#[derive(Debug)]
pub(super) struct Worker {
    folder: PathBuf,
    lock: File,
    /// Whether a build here was cut off before the clean-up.
    pub(super) dirty: bool,
}

impl Worker {
    /// Takes a worker in `folder` that nobody uses, in this process or another.
    ///
    /// `project` tells builds apart that have no cache in common: a project gets the worker it had before, a new one
    /// otherwise, and from [`KEPT`] workers on the one that was not used for longest.
    pub(super) fn take(folder: &Path, project: &str) -> io::Result<Self> {
        let known = known(folder)?;
        let own = known.iter().filter(|known| known.project == project).map(|known| known.number);
        let unused = (0..MOST).filter(|number| known.iter().all(|known| known.number != *number));
        let others = known.iter().filter(|known| known.project != project).map(|known| known.number);
        let order: Vec<u32> = if known.len() < KEPT {
            own.chain(unused).collect()
        } else {
            own.chain(others).chain(unused).collect()
        };
        for number in order {
            let folder = folder.join(number.to_string());
            if let Some(lock) = lock::try_lock(&folder.join("lock"))? {
                let worker = Self { dirty: folder.join("dirty").exists(), folder, lock };
                for folder in [worker.root(), worker.run(), worker.tmp()] {
                    fs::create_dir_all(folder)?;
                }
                fs::write(worker.marker(), "")?;
                fs::write(worker.folder.join(PROJECT), project)?;
                return Ok(worker);
            }
        }
        Err(io::Error::other(format!("all {MOST} workers are in use")))
    }

    /// Another handle on the lock, which holds it as well.
    pub(super) fn held(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    pub(super) fn run(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// Where temporary files go, buildah's and our own. Emptied after each build, but for cache mounts.
    pub(super) fn tmp(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    /// The control group above those of the worker's containers.
    pub(super) fn cgroup(&self) -> String {
        let digest = digest_of(self.folder.as_os_str().as_encoded_bytes());
        format!("polyarch-{}", digest.short())
    }

    /// Exists while a clean-up is due.
    fn marker(&self) -> PathBuf {
        self.folder.join("dirty")
    }

    /// The storage, with the shared storages that its layers may rest on.
    pub(super) fn storage(&self, program: &Path, trial: &Trial, shared: Vec<PathBuf>) -> Storage {
        Storage {
            program: program.to_owned(),
            root: self.root(),
            run: self.run(),
            driver_flags: trial.driver_flags.clone(),
            driver: trial.driver.clone(),
            shared,
        }
    }

    /// What removes everything that a build leaves behind, however it ended.
    pub(super) fn cleanup(&self, storage: &Storage) -> Cleanup {
        let mut remove = storage.command();
        remove.args(["rm", "--all"]);
        Cleanup {
            cgroups: vec![self.cgroup()],
            empty: vec![
                Emptied {
                    folder: self.tmp(),
                    // buildah keeps the content of `RUN --mount=type=cache` there.
                    keep_prefix: Some("buildah-cache".into()),
                    only_after_kill: false,
                },
                // buildah counts mounts there, which is wrong after a kill, and remembers what the kernel can do,
                // which takes 0.1 s to find out.
                Emptied { folder: self.run(), keep_prefix: None, only_after_kill: true },
            ],
            commands: vec![CleanupCommand {
                if_listed: storage::containers(&self.root(), &storage.driver),
                command: remove,
                // buildah forgets containers whose own files are missing, as they are after a full disk. What is
                // lost then is a cache.
                otherwise: self.root(),
            }],
            layers: vec![storage::layers(&self.root(), &storage.driver)],
            markers: vec![self.marker()],
        }
    }

    /// Variables for everything that runs in the worker.
    pub(super) fn environment(&self) -> Vec<(String, OsString)> {
        let mut environment = vec![("TMPDIR".to_owned(), self.tmp().into_os_string())];
        let usable = std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|folder| Path::new(&folder).is_dir());
        if !usable {
            // buildah would make one in /tmp, and leave it there.
            environment.push(("XDG_RUNTIME_DIR".to_owned(), self.tmp().into_os_string()));
        }
        environment
    }

    /// Adds to the bases whose shared storages this worker uses, and returns all there ever were: a layer in
    /// the cache cannot be read without those that it rests on.
    pub(super) fn remember_shared(
        &self,
        bases: impl IntoIterator<Item = String>,
    ) -> io::Result<BTreeSet<String>> {
        let path = self.folder.join("shared");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut all: BTreeSet<String> = text.lines().map(str::to_owned).collect();
        let before = all.len();
        all.extend(bases);
        if all.len() > before {
            let lines = all.iter().fold(String::new(), |lines, base| lines + base + "\n");
            let new = self.folder.join("shared.new");
            fs::write(&new, lines)?;
            fs::rename(new, path)?;
        }
        Ok(all)
    }
}

/// A worker that was used before.
struct Known {
    number: u32,
    project: String,
    used: SystemTime,
}

/// The workers in a folder, the one first that was not used for longest.
fn known(folder: &Path) -> io::Result<Vec<Known>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut known: Vec<Known> = entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            // One that is just being made by another process has no project yet, and is locked.
            let path = entry.path().join(PROJECT);
            let used = fs::metadata(&path).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            Some(Known { number, project: fs::read_to_string(path).unwrap_or_default(), used })
        })
        .collect();
    known.sort_by_key(|known| (known.used, known.number));
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_used_once_at_a_time_and_stays_with_its_project() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Worker::take(folder.path(), "a").expect("a worker");
        let second = Worker::take(folder.path(), "a").expect("another");
        assert_ne!(first.root(), second.root());
        assert!(!first.dirty);
        let root = first.root();
        let held = first.held().expect("a handle");
        drop((first, second));
        assert_ne!(Worker::take(folder.path(), "b").expect("a third").root(), root);
        assert_ne!(Worker::take(folder.path(), "a").expect("the second").root(), root);
        drop(held);
        let again = Worker::take(folder.path(), "a").expect("the first");
        assert_eq!(again.root(), root);
        assert!(again.dirty, "nobody cleaned up");
    }

    #[test]
    fn from_a_number_on_the_worker_is_reused_that_rested_longest() {
        let folder = tempfile::tempdir().expect("a folder");
        for project in 0..KEPT {
            Worker::take(folder.path(), &project.to_string()).expect("a worker");
        }
        let busy = Worker::take(folder.path(), "0").expect("its worker");
        let reused = Worker::take(folder.path(), "new").expect("a worker");
        assert_ne!(reused.root(), busy.root());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), KEPT);
        drop(reused);
        assert_eq!(
            known(folder.path()).expect("workers").iter().filter(|known| known.project == "new").count(),
            1
        );
        assert_eq!(
            known(folder.path()).expect("workers").iter().filter(|known| known.project == "1").count(),
            0
        );
    }

    #[test]
    fn shared_storages_are_never_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let worker = Worker::take(folder.path(), "a").expect("a worker");
        worker.remember_shared(["linux-arm64/b".to_owned()]).expect("written");
        let all = worker.remember_shared(["linux-amd64/a".to_owned()]).expect("written");
        assert_eq!(all.into_iter().collect::<Vec<_>>(), ["linux-amd64/a", "linux-arm64/b"]);
        assert_eq!(worker.remember_shared([]).expect("read").len(), 2);
    }
}
