//! The peer: `buildah build` processes that are all started at once, on one storage root.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use polyarch_actors::Platform;

use crate::storage::{Manner, Storage};

/// A storage root with the base image in it and nothing else.
pub(crate) struct Bare {
    storage: Storage,
    /// Whether each image is pushed to an OCI layout of its own after it is built.
    push: bool,
}

impl Bare {
    pub(crate) fn open(folder: PathBuf, manner: Manner, base: &str, push: bool) -> Self {
        fs::create_dir_all(folder.join("tmp")).expect("a folder");
        let bare = Self { storage: Storage { folder, manner }, push };
        run(bare
            .storage
            .buildah("pull")
            .args(["--quiet", "--tls-verify=false"])
            .arg(format!("docker://{base}")));
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
        let id_file = self.storage.folder.join(format!("id-{number}"));
        let mut build = self.storage.buildah("build");
        build.args(["--layers", "--jobs=1", "--format=oci", "--force-rm", "--pull=never", "--network=host"]);
        build.args([
            "--isolation",
            self.storage.manner.isolation(),
            "--platform",
            &Platform::host_linux().to_string(),
        ]);
        run(build.arg("--iidfile").arg(&id_file).arg(context));
        if self.push {
            let image = fs::read_to_string(&id_file).expect("an image id");
            let mut push = self.storage.buildah("push");
            push.args(["--quiet", "--format=oci", image.trim().trim_start_matches("sha256:")]);
            run(push.arg(format!("oci:{}", self.storage.folder.join(format!("layout-{number}")).display())));
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.storage.unmount();
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("buildah runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
