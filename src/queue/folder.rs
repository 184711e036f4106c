//! Where records and logs are.
//!
//! ```text
//! DATA/queue.db            the records
//! DATA/logs/BUILD.jsonl    the events of a build, one a line
//! DATA/lock                held by the one process that runs builds, with its id in it
//! ```

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{private, run_lock::RunLock};

/// The folder of the records and logs of builds.
#[derive(Clone, Debug)]
pub struct DataFolder {
    path: PathBuf,
}

/// Why a folder cannot hold records and logs.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It, or something in it, cannot be made or opened.
    #[error("cannot use {}", path.display())]
    Unusable {
        /// What cannot be made or opened.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process runs the builds of this folder.
    #[error("the builds of {} are run by another process already{}", folder.display(), named(*process))]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The id of that process, where it is known.
        process: Option<u32>,
    },
}

impl DataFolder {
    /// Makes the folder where it is missing, for this user alone.
    ///
    /// # Errors
    /// [`FolderError::Unusable`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FolderError> {
        let folder = Self { path: path.into() };
        for path in [folder.path.clone(), folder.logs()] {
            private::make_folder(&path).map_err(|source| FolderError::unusable(&path, source))?;
        }
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database of the records.
    pub fn records(&self) -> PathBuf {
        self.path.join("queue.db")
    }

    /// The folder of the logs.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Makes this process the one that runs the builds of the folder, until the lock is dropped. Readers need none.
    ///
    /// # Errors
    /// [`FolderError::InUse`] while another process has it, and [`FolderError::Unusable`].
    pub fn lock(&self) -> Result<RunLock, FolderError> {
        RunLock::hold(&self.path.join("lock"))
    }
}

impl FolderError {
    pub(super) fn unusable(path: &Path, source: io::Error) -> Self {
        Self::Unusable { path: path.to_owned(), source }
    }
}

fn named(process: Option<u32>) -> String {
    process.map(|process| format!(" (process {process})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_runs_builds_and_a_second_one_is_told_which() {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = DataFolder::open(temporary.path().join("data")).expect("usable");
        let lock = folder.lock().expect("free");
        let error = folder.lock().expect_err("held").to_string();
        let expected = format!(
            "the builds of {} are run by another process already (process {})",
            folder.path().display(),
            std::process::id()
        );
        assert_eq!(error, expected);
        drop(lock);
        folder.lock().expect("free again");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_look_into_the_folder() {
        use std::os::unix::fs::PermissionsExt as _;
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = DataFolder::open(temporary.path().join("data")).expect("usable");
        let _lock = folder.lock().expect("free");
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&folder.logs())), (0o700, 0o700));
        assert_eq!(mode(&folder.path().join("lock")), 0o600);
    }

    #[test]
    fn a_folder_that_cannot_be_made_says_why() {
        let temporary = tempfile::tempdir().expect("a folder");
        let file = temporary.path().join("file");
        std::fs::write(&file, "").expect("written");
        let error = DataFolder::open(file.join("data")).expect_err("below a file").to_string();
        assert!(error.starts_with(&format!("cannot use {}", file.join("data").display())), "{error}");
    }
}
