//! The peer: `buildah build` processes that are all started at once, on one storage root.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use polyarch_actors::Platform;
use serde::Deserialize;

/// How polyarch uses buildah on this machine, so that the peer does the same.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manner {
    driver_flags: Vec<String>,
    isolation: Option<String>,
}

/// A storage root with the base image in it and nothing else.
pub(crate) struct Bare {
    folder: PathBuf,
    manner: Manner,
    /// Whether each image is pushed to an OCI layout of its own after it is built.
    push: bool,
}

impl Manner {
    /// What polyarch found out when it was started on a store.
    pub(crate) fn of_store(store: &Path) -> Self {
        let path = store.join("backends/buildah/trial.json");
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&text).expect("the manner of polyarch")
    }

    pub(crate) fn isolation(&self) -> &str {
        self.isolation.as_deref().unwrap_or("chroot")
    }
}

impl Bare {
    pub(crate) fn open(folder: PathBuf, manner: Manner, base: &str, push: bool) -> Self {
        fs::create_dir_all(folder.join("tmp")).expect("a folder");
        let bare = Self { folder, manner, push };
        run(bare.buildah("pull").args(["--quiet", "--tls-verify=false"]).arg(format!("docker://{base}")));
        bare
    }

    /// Builds all contexts at once.
    pub(crate) fn build(&self, contexts: &[PathBuf]) {
        thread::scope(|scope| {
            for (number, context) in contexts.iter().enumerate() {
                scope.spawn(move || self.build_one(number, context));
            }
        });
    }

    fn build_one(&self, number: usize, context: &Path) {
        let id_file = self.folder.join(format!("id-{number}"));
        let mut build = self.buildah("build");
        build.args(["--layers", "--jobs=1", "--format=oci", "--force-rm", "--pull=never", "--network=host"]);
        build.args([
            "--isolation",
            self.manner.isolation(),
            "--platform",
            &Platform::host_linux().to_string(),
        ]);
        run(build.arg("--iidfile").arg(&id_file).arg(context));
        if self.push {
            let image = fs::read_to_string(&id_file).expect("an image id");
            let mut push = self.buildah("push");
            push.args(["--quiet", "--format=oci", image.trim().trim_start_matches("sha256:")]);
            run(push.arg(format!("oci:{}", self.folder.join(format!("layout-{number}")).display())));
        }
    }

    fn buildah(&self, subcommand: &str) -> Command {
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
}

impl Drop for Bare {
    fn drop(&mut self) {
        // buildah mounts the folder of its layers on itself, and leaves it so.
        let _ = Command::new("umount").arg(self.folder.join("root/overlay")).output();
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("buildah runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
