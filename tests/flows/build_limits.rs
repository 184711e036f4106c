//! Builds whose steps share limits, on the backends that hold them to those on Linux.

use std::path::PathBuf;

use futures::StreamExt as _;
use polyarch::{
    backend::sandbox::{SandboxBackend, SandboxOptions},
    oci::Store,
};
use polyarch_actors::{
    BuildBackend, BuildCx, BuildError, BuildId, BuildRequest, EventKind, EventSink, Platform, StepNeed,
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    buildah::{Registry, backend, folder, helper, ready, request, skip, with_bases},
    groups,
};

/// Keeps about 40 MB in memory for some seconds.
const GREEDY: &str =
    "RUN timeout 3 dd if=/dev/zero of=/dev/null bs=40000000 count=1000000; [ $? = 143 ] || exit 137";

/// Builds, and returns the error with everything that was printed.
async fn build(
    backend: &dyn BuildBackend,
    request: BuildRequest,
) -> Result<(), (BuildError, Vec<EventKind>)> {
    let (events, cancel) = (EventSink::new(request.build.clone()), CancellationToken::new());
    let cx = BuildCx { events: events.for_platform(&request.platform), cancel, emulated: false };
    let result = backend.build(request, cx).await;
    events.emit(EventKind::Finished { error: None });
    match result {
        Ok(_) => Ok(()),
        Err(error) => Err((error, events.subscribe().map(|event| event.kind.clone()).collect().await)),
    }
}

#[tokio::test]
async fn two_platforms_of_a_build_share_its_memory_and_who_is_killed_for_it_is_told_so() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let host = Platform::host_linux();
    let Some(base) = registry.busybox(&[host.arch()]) else { return };
    let (_, buildah) = backend(folder.path());
    let store = Store::open(folder.path().join("sandbox")).expect("a store");
    let options = SandboxOptions { helper: Some(helper()), ..SandboxOptions::default() };
    let sandbox = SandboxBackend::new(store, options);
    for backend in [&sandbox as &dyn BuildBackend, &buildah] {
        let id = backend.id();
        if !backend.probe().await.gives.contains(&StepNeed::SharedMemory) {
            skip(&format!("{id} cannot hold all steps of a build together here"));
            continue;
        }
        let platform = host.to_string();
        // Two steps that are not the same one.
        let ask = |build: &BuildId, memory, number: u32| {
            let dockerfile = format!("FROM {base}\nENV NUMBER={number}\n{GREEDY}\n");
            let mut request = with_bases(request(folder.path(), &platform, &dockerfile), &base, &[&platform]);
            request.build = build.clone();
            request.resources.memory = Some(memory);
            request
        };
        let (tight, wide) = (BuildId::generate(), BuildId::generate());
        let both = async |id: &BuildId, memory: u64, number| {
            let one = build(backend, ask(id, memory, number));
            let other = build(backend, ask(id, memory, number + 1));
            futures::join!(one, other)
        };
        let (one, other) = both(&tight, 60 << 20, 1).await;
        let (error, _) = one.err().or(other.err()).unwrap_or_else(|| panic!("{id}: both had enough"));
        let BuildError::StepFailed { exit_code: 137, output, .. } = &error else { panic!("{id}: {error}") };
        let said = output.join("\n");
        assert!(
            said.contains(&format!("together took more than its {} bytes of memory", 60 << 20)),
            "{said}"
        );
        let ended = both(&wide, 200 << 20, 3).await;
        assert!(matches!(ended, (Ok(()), Ok(()))), "{id}: {ended:?}");
        for build in [tight, wide] {
            assert_eq!(groups::of_build(&build), Vec::<PathBuf>::new(), "{id}");
        }
    }
}
