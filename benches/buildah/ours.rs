//! polyarch: one orchestrator in this process, or the command.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use futures::future::join_all;
use polyarch::{BuildSpec, Orchestrator};
use polyarch_actors::{Availability, BackendId, BackendReport, Platform};
use tokio::runtime::Runtime;

const BACKEND: &str = "buildah";

/// An orchestrator with the base image in its store and nothing else.
pub(crate) struct Ours<'a> {
    runtime: &'a Runtime,
    orchestrator: Orchestrator,
}

/// The same for the command, which starts an orchestrator each time.
pub(crate) struct Cli {
    program: PathBuf,
    store: PathBuf,
}

impl<'a> Ours<'a> {
    pub(crate) fn open(runtime: &'a Runtime, folder: &Path, base: &str) -> Self {
        let ours = Self { runtime, orchestrator: runtime.block_on(start(&folder.join("store"))) };
        ours.build(&[fetching(folder, base)]);
        ours
    }

    /// Builds all contexts at once.
    pub(crate) fn build(&self, contexts: &[PathBuf]) {
        let specs = contexts.iter().map(|context| BuildSpec {
            backend: Some(BackendId::new(BACKEND)),
            ..BuildSpec::new(context).platforms([Platform::host_linux()])
        });
        let builds = join_all(specs.map(|spec| self.orchestrator.build(spec)));
        for receipt in self.runtime.block_on(builds) {
            receipt.unwrap_or_else(|error| panic!("{error:?}"));
        }
    }
}

impl Drop for Ours<'_> {
    fn drop(&mut self) {
        self.runtime.block_on(self.orchestrator.shutdown(Duration::ZERO));
    }
}

impl Cli {
    pub(crate) fn open(program: &Path, folder: &Path, base: &str) -> Self {
        let cli = Self { program: program.to_owned(), store: folder.join("store") };
        cli.build(&fetching(folder, base));
        cli
    }

    pub(crate) fn build(&self, context: &Path) {
        let mut command = Command::new(&self.program);
        command.arg("--store").arg(&self.store).args(["build", "--backend", BACKEND, "--progress=quiet"]);
        let output = command.arg(context).output().expect("polyarch runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What polyarch says about buildah here; an error where it cannot use it.
pub(crate) async fn usable(store: &Path) -> Result<String, String> {
    let orchestrator = start(store).await;
    let reports = orchestrator.backends().await.map_err(|error| error.to_string())?;
    orchestrator.shutdown(Duration::ZERO).await;
    let ours = |report: &BackendReport| report.id.as_str() == BACKEND;
    match reports.into_iter().find(ours).map(|report| report.capabilities) {
        None => Err("this system has no buildah backend".into()),
        Some(can) if can.native.is_empty() => Err(can.advice.join(" ")),
        Some(can) => match can.availability {
            Availability::Usable(what) => Ok(what),
            Availability::Unusable(why) => Err(format!("buildah {why}")),
        },
    }
}

async fn start(store: &Path) -> Orchestrator {
    Orchestrator::builder().store(store).start().await.expect("an orchestrator")
}

/// A context whose build does no more than fetch the base.
fn fetching(folder: &Path, base: &str) -> PathBuf {
    let context = folder.join("fetching");
    fs::create_dir_all(&context).expect("a folder");
    fs::write(context.join("Dockerfile"), format!("FROM {base}\nENV FETCHED=1\n")).expect("written");
    context
}
