//! How polyarch uses buildah on this machine, so that a peer does the same.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

/// What polyarch found out about buildah.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manner {
    driver_flags: Vec<String>,
    isolation: Option<String>,
}

/// A storage root of buildah's in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub(crate) folder: PathBuf,
    pub(crate) manner: Manner,
}

impl Manner {
    /// What was found when an orchestrator was started on a store; nothing where buildah cannot be used.
    pub(crate) fn of_store(store: &Path) -> Option<Self> {
        let text = fs::read(store.join("backends/buildah/trial.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub(crate) fn isolation(&self) -> &str {
        self.isolation.as_deref().unwrap_or("chroot")
    }
}

impl Storage {
    pub(crate) fn buildah(&self, subcommand: &str) -> Command {
        // Where version 1 and 2 of control groups are mounted at once, crun works only if it does not see the second.
        // polyarch hides it as well.
        let unified = Path::new("/sys/fs/cgroup/unified");
        let mut command = if subcommand == "build" && self.manner.isolation() == "oci" && unified.is_dir() {
            let mut command = Command::new("unshare");
            let hide = format!("mount -t tmpfs none {} && exec \"$@\"", unified.display());
            command.args(["--mount", "sh", "-c", &hide, "sh", "buildah"]);
            command
        } else {
            Command::new("buildah")
        };
        command.arg("--root").arg(self.folder.join("root")).arg("--runroot").arg(self.folder.join("run"));
        command.env("TMPDIR", self.folder.join("tmp")).args(&self.manner.driver_flags).arg(subcommand);
        command
    }

    /// Unmounts what buildah leaves mounted: the folder of its layers, on itself.
    pub(crate) fn unmount(&self) {
        let _ = Command::new("umount").arg(self.folder.join("root/overlay")).output();
    }
}

/// Removes a folder, also what belongs to the other users of an ordinary user's namespace.
pub(crate) fn remove(folder: &Path) {
    if fs::remove_dir_all(folder).is_err() {
        let _ = Command::new("buildah").args(["unshare", "rm", "-rf"]).arg(folder).status();
    }
    assert!(!folder.exists(), "{} could not be removed", folder.display());
}
