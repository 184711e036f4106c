//! Machines that know of each other through caches only.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{
    bases::busybox,
    command::{Desk, Ended, ready, runs_both},
};

/// The platforms of most builds.
pub(crate) const BOTH: &str = "linux/amd64,linux/arm64";

/// What a build said, and what it made.
pub(crate) struct Built {
    pub(crate) digest: String,
    pub(crate) events: Vec<Value>,
}

impl Built {
    /// The instructions that begin with `start`, each with whether its result was there; a step that was begun and not
    /// ended counts not.
    pub(crate) fn steps(&self, start: &str) -> Vec<(String, bool)> {
        let mut open = BTreeMap::new();
        let mut ended = Vec::new();
        for event in &self.events {
            let step = (event["platform"].to_string(), event["step"].to_string());
            match event["event"].as_str() {
                Some("step-started") => _ = open.insert(step, event["instruction"].as_str().expect("text")),
                Some("step-finished") => {
                    let text = open[&step];
                    if text.starts_with(start) {
                        ended.push((text.to_owned(), event["cached"].as_bool().expect("a switch")));
                    }
                }
                _ => {}
            }
        }
        ended
    }

    /// How many RUN steps were done.
    pub(crate) fn ran(&self) -> usize {
        self.steps("RUN").iter().filter(|(_, cached)| !cached).count()
    }

    pub(crate) fn warnings(&self) -> Vec<&str> {
        let warned = self.events.iter().filter(|event| event["event"] == "warned");
        warned.filter_map(|event| event["message"].as_str()).collect()
    }
}

/// Two machines, each with a store of its own, a context and a place for caches.
pub(crate) struct Machines {
    pub(crate) desk: Desk,
    context: String,
    platforms: &'static str,
}

impl Machines {
    /// A stage that another copies from, neither of which gives the same bytes twice.
    pub(crate) fn new(platforms: &'static str) -> Option<Self> {
        let base = (ready() && runs_both()).then(busybox).flatten()?;
        let desk = Desk::new();
        let dockerfile = format!(
            "FROM --platform=$BUILDPLATFORM {base} AS compile\nCOPY a.txt /a.txt\n\
             RUN cat /a.txt /proc/sys/kernel/random/uuid > /out; head -c 200000 /dev/urandom > /large\n\
             FROM {base}\nRUN cat /proc/sys/kernel/random/uuid > /id\nCOPY --from=compile /out /out\n\
             WORKDIR /work\nENV A=1\n"
        );
        let context = desk.context("app", dockerfile);
        Some(Self { desk, context, platforms })
    }

    pub(crate) fn command(&self, machine: &str, arguments: &[&str]) -> Command {
        let metadata = self.metadata(machine);
        let mut command = self.desk.command(["--store", machine, "build", "--progress", "rawjson"]);
        // It is what keeps steps; arguments may name another, or none.
        command.env("POLYARCH_BACKEND", "sandbox");
        command.args(["--platform", self.platforms, "--metadata-file"]).arg(metadata);
        command.args(arguments).arg(&self.context);
        command
    }

    /// Where the last build of a machine said what it built.
    fn metadata(&self, machine: &str) -> PathBuf {
        self.desk.path(&format!("{machine}.metadata"))
    }

    pub(crate) fn try_build(&self, machine: &str, arguments: &[&str]) -> Ended {
        Ended::of(&mut self.command(machine, arguments))
    }

    pub(crate) fn build(&self, machine: &str, arguments: &[&str]) -> Built {
        let ended = self.try_build(machine, arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let events = ended.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let metadata = fs::read(self.metadata(machine)).expect("read");
        let metadata: Value = serde_json::from_slice(&metadata).expect("json");
        let digest = metadata["containerimage.digest"].as_str().expect("a digest").to_owned();
        Built { digest, events }
    }

    /// The blobs of a machine's store.
    pub(crate) fn blobs(&self, machine: &str) -> Vec<PathBuf> {
        let blobs = self.desk.path(machine).join("blobs/sha256");
        fs::read_dir(blobs).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    /// The largest blob of a machine: the layer of the compiling RUN.
    pub(crate) fn has_the_large_layer(&self, machine: &str) -> bool {
        let size = |path: &PathBuf| fs::metadata(path).expect("there").len();
        self.blobs(machine).iter().any(|path| (200_000..400_000).contains(&size(path)))
    }

    /// Changes the Dockerfile.
    pub(crate) fn change(&self, from: &str, to: &str) {
        let path = self.desk.path(&self.context).join("Dockerfile");
        let text = fs::read_to_string(&path).expect("read");
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).expect("written");
    }
}

/// The manifest of the cache in a directory, as any reader of OCI layouts finds it.
pub(crate) fn manifest_of(folder: &Path) -> Value {
    let index: Value =
        serde_json::from_slice(&fs::read(folder.join("index.json")).expect("read")).expect("json");
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    read_blob(folder, digest)
}

/// Where a blob of a layout is.
pub(crate) fn blob(folder: &Path, digest: &str) -> PathBuf {
    folder.join("blobs/sha256").join(digest.strip_prefix("sha256:").expect("a digest"))
}

/// A document of a layout.
pub(crate) fn read_blob(folder: &Path, digest: &str) -> Value {
    serde_json::from_slice(&fs::read(blob(folder, digest)).expect("read")).expect("json")
}
