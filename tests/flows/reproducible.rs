//! The same inputs give the same index: whatever the order in which platforms end, the number of builds at once, the
//! number of threads, the store and what it holds already, and whatever times and order the files have.

use std::{fs, path::Path, sync::Arc, thread, time::Duration};

use futures::future::BoxFuture;
use polyarch::{
    BuildSpec, Orchestrator,
    backend::sandbox::{SandboxBackend, SandboxOptions},
    oci::Store,
};
use polyarch_actors::{
    BackendId, BuildBackend, BuildCx, BuildError, BuildRequest, BuiltImage, CachePolicy, Capabilities,
};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::support::buildah::helper;

const ROUNDS: u64 = 20;
const PLATFORMS: [&str; 5] = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64", "linux/s390x"];
const DOCKERFILE: &str = "\
FROM scratch AS files-amd64
COPY small /data/
FROM files-amd64 AS files-arm64
COPY large /data/
FROM scratch AS files-arm
COPY large small /data/
FROM scratch AS files-riscv64
FROM files-riscv64 AS files-s390x
COPY --from=files-arm /data/small /
ARG TARGETARCH
FROM files-$TARGETARCH
ARG TARGETPLATFORM
ENV PLATFORM=$TARGETPLATFORM
WORKDIR /work
COPY --chown=1:2 --chmod=640 tree ./tree/
COPY tree/*.txt small /texts/
LABEL one=1 two=$TARGETPLATFORM
CMD [\"/data/small\"]
";

/// The next of a row of numbers that look like chance and are the same every time.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Writes the same context as always, in another order.
fn context(folder: &Path, turn: usize) {
    let bytes = |length: usize, seed: u64| {
        let mut state = seed;
        (0..length).map(|_| next(&mut state).to_le_bytes()[0] % 16).collect::<Vec<u8>>()
    };
    let mut files: Vec<(String, Vec<u8>)> =
        (0..20).map(|number| (format!("tree/{number}.txt"), bytes(100 * number, 7))).collect();
    files.push(("small".into(), bytes(1000, 11)));
    // More than one block of a layer, so that several threads have something to do.
    files.push(("large".into(), bytes((1 << 20) + 70_000, 13)));
    files.push(("Dockerfile".into(), DOCKERFILE.into()));
    let places = files.len();
    files.rotate_left(turn * 5 % places);
    fs::create_dir_all(folder.join("tree")).expect("a folder");
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).expect("written");
    }
}

/// The native engine, each build of which is held back for some other time.
struct Unsteady {
    inner: SandboxBackend,
    seed: u64,
}

impl BuildBackend for Unsteady {
    fn id(&self) -> BackendId {
        self.inner.id()
    }

    fn probe(&self) -> BoxFuture<'_, Capabilities> {
        self.inner.probe()
    }

    fn build(&self, request: BuildRequest, cx: BuildCx) -> BoxFuture<'_, Result<BuiltImage, BuildError>> {
        let place = PLATFORMS.iter().position(|platform| *platform == request.platform.to_string());
        let mut state = (self.seed + 1) * 1_000_003 + 7919 * place.expect("a platform") as u64;
        // Nearby seeds begin alike.
        (0..8).for_each(|_| _ = next(&mut state));
        let mut wait = move || Duration::from_millis(next(&mut state) % 40);
        Box::pin(async move {
            tokio::time::sleep(wait()).await;
            let built = self.inner.build(request, cx).await;
            tokio::time::sleep(wait()).await;
            built
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

/// A backend that finds one CPU where `alone`, else all there are.
fn backend(store: &Path, slots: usize, alone: bool) -> SandboxBackend {
    let store = Store::open(store).expect("a store");
    let options = SandboxOptions { slots: Some(slots), helper: Some(helper()), ..SandboxOptions::default() };
    let make = move || {
        if alone {
            let mut cpus = sched_getaffinity(None).expect("the CPUs");
            let first = (0..CpuSet::MAX_CPU).find(|cpu| cpus.is_set(*cpu)).expect("a CPU");
            cpus.clear();
            cpus.set(first);
            sched_setaffinity(None, &cpus).expect("one CPU");
        }
        SandboxBackend::new(store, options)
    };
    thread::spawn(make).join().expect("a backend")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_inputs_give_the_same_index_twenty_times() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut digests = Vec::new();
    for round in 0..ROUNDS {
        let turn = usize::try_from(round).expect("a number");
        let (store, files) = (format!("store-{}", turn % 2), format!("context-{}", turn % 3));
        let (store, files) = (folder.path().join(store), folder.path().join(files));
        context(&files, turn);
        let inner = backend(&store, 1 + turn % PLATFORMS.len(), turn % 3 == 0);
        let unsteady = Arc::new(Unsteady { inner, seed: round });
        let orchestrator = Orchestrator::builder().store(&store).helper(helper()).backend(unsteady);
        let orchestrator = orchestrator.start().await.expect("it starts");
        let mut spec =
            BuildSpec::new(&files).platforms(PLATFORMS.map(|platform| platform.parse().expect("a platform")));
        spec.build_args.insert("SOURCE_DATE_EPOCH".into(), "1700000000".into());
        // Some find what others left, and some do everything again.
        spec.cache = if turn % 4 < 3 { CachePolicy::Ignore } else { CachePolicy::Use };
        let receipt = orchestrator.build(spec).await.expect("built");
        orchestrator.shutdown(Duration::from_secs(10)).await;
        digests.push(receipt.index.digest);
    }
    let others: Vec<_> = digests.iter().filter(|digest| **digest != digests[0]).collect();
    assert!(others.is_empty(), "{digests:#?}");
}
