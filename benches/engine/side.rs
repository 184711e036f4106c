//! Who builds: polyarch's own engine, buildah, and BuildKit.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use polyarch_actors::Platform;

use crate::{
    memory::run,
    storage::{Manner, Storage, remove},
};

/// One build.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) context: &'a Path,
    pub(crate) platforms: &'a [String],
    /// Whether an OCI layout is written, as a folder; else the image stays in the side's own store.
    pub(crate) exports: bool,
}

/// A program that builds.
pub(crate) enum Side {
    /// `polyarch build --backend sandbox`.
    Polyarch { program: PathBuf },
    /// `buildah build`, and `buildah push` for an OCI layout.
    Buildah { manner: Manner },
    /// `buildctl build`, with a daemon that runs all the time.
    BuildKit { address: String },
}

/// A side with a store that has the base image in it and nothing else. It is removed when it is dropped.
pub(crate) struct Opened<'a> {
    side: &'a Side,
    folder: PathBuf,
    written: AtomicUsize,
}

impl Side {
    /// BuildKit, where `buildctl` is here and its daemon answers.
    pub(crate) fn buildkit(address: Option<String>) -> Option<Self> {
        let address = address.or_else(|| env::var("BUILDKIT_HOST").ok())?;
        let answer = Command::new("buildctl").args(["--addr", &address, "debug", "workers"]).output();
        answer.is_ok_and(|output| output.status.success()).then_some(Self::BuildKit { address })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Polyarch { .. } => "polyarch",
            Self::Buildah { .. } => "buildah",
            Self::BuildKit { .. } => "BuildKit",
        }
    }

    /// Makes a store, and fetches the base for these platforms if the work is to use one.
    pub(crate) fn open(&self, folder: PathBuf, base: Option<(&str, &[String])>) -> Opened<'_> {
        fs::create_dir_all(folder.join("tmp")).expect("a folder");
        let opened = Opened { side: self, folder, written: AtomicUsize::new(0) };
        if let Self::BuildKit { address } = self {
            run(Command::new("buildctl").args(["--addr", address, "prune", "--all"]));
        }
        let Some((base, platforms)) = base else { return opened };
        if let Self::Buildah { .. } = self {
            let name = format!("docker://{base}");
            run(opened.storage().buildah("pull").args(["--quiet", "--tls-verify=false", &name]));
        }
        // The first build finds out about the machine, too.
        let context = opened.folder.join("fetching");
        fs::create_dir_all(&context).expect("a folder");
        fs::write(context.join("Dockerfile"), format!("FROM {base}\nRUN echo fetched\n")).expect("written");
        opened.build(Job { context: &context, platforms, exports: false });
        opened
    }
}

impl Opened<'_> {
    /// Builds all at once. Returns the most memory that one process had, in KiB, where that is known.
    pub(crate) fn build_all(&self, jobs: &[Job<'_>]) -> Option<u64> {
        thread::scope(|scope| {
            let builds: Vec<_> = jobs.iter().map(|job| scope.spawn(|| self.build(*job))).collect();
            builds.into_iter().filter_map(|build| build.join().expect("a build")).max()
        })
    }

    fn build(&self, job: Job<'_>) -> Option<u64> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let output = self.folder.join(format!("output-{number}"));
        match self.side {
            Side::Polyarch { program } => {
                let mut command = Command::new(program);
                command.arg("--store").arg(self.folder.join("store"));
                command.args(["build", "--backend=sandbox", "--progress=quiet", "--platform"]);
                command.arg(job.platforms.join(","));
                if job.exports {
                    command.arg("--output").arg(format!("type=oci,dest={},tar=false", output.display()));
                }
                run(command.arg(job.context))
            }
            Side::Buildah { manner } => self.buildah(job, manner, &format!("image-{number}"), &output),
            Side::BuildKit { address } => {
                let mut command = Command::new("buildctl");
                command.args(["--addr", address, "build", "--progress=quiet", "--frontend=dockerfile.v0"]);
                for local in ["context", "dockerfile"] {
                    command.arg("--local").arg(format!("{local}={}", job.context.display()));
                }
                command.arg("--opt").arg(format!("platform={}", job.platforms.join(",")));
                if job.exports {
                    command.arg("--output").arg(format!("type=oci,dest={},tar=false", output.display()));
                }
                run(&command)
            }
        }
    }

    fn buildah(&self, job: Job<'_>, manner: &Manner, name: &str, output: &Path) -> Option<u64> {
        let storage = self.storage();
        let many = job.platforms.len() > 1;
        let mut build = storage.buildah("build");
        build.args(["--layers", "--format=oci", "--tls-verify=false", "--network=host"]);
        // Without it, version 1.28 takes the image's platform for its own.
        build.arg("--build-arg").arg(format!("BUILDPLATFORM={}", Platform::host_linux()));
        if !many {
            // A name can stand for the image of one platform only, so that for more the others are fetched again.
            build.arg("--pull=never");
        }
        build.args(["--isolation", manner.isolation(), "--platform", &job.platforms.join(",")]);
        build.args([if many { "--manifest" } else { "--tag" }, name]);
        let built = run(build.arg(job.context));
        if !job.exports {
            return built;
        }
        let mut push = storage.buildah(if many { "manifest" } else { "push" });
        if many {
            push.args(["push", "--all"]);
        }
        push.args(["--quiet", "--format=oci", name]);
        built.max(run(push.arg(format!("oci:{}", output.display()))))
    }

    fn storage(&self) -> Storage {
        let Side::Buildah { manner } = self.side else { unreachable!("only buildah has such a storage") };
        Storage { folder: self.folder.clone(), manner: manner.clone() }
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        if let Side::Buildah { .. } = self.side {
            self.storage().unmount();
        }
        remove(&self.folder);
    }
}
