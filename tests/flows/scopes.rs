//! Builds of different scopes have nothing in common.

use std::fs;

use futures::StreamExt as _;
use polyarch::{
    BuildSpec, Orchestrator, Receipt,
    actors::{BackendId, EventKind, queue::Tenant},
};

/// Builds for a scope and returns how many of the steps were done before.
async fn build(orchestrator: &Orchestrator, spec: &BuildSpec, scope: Option<&str>) -> (Receipt, usize) {
    let mut spec = spec.clone();
    spec.scope = scope.map(|scope| scope.parse().expect("a tenant"));
    let build = orchestrator.build(spec);
    let events = build.events();
    let receipt = build.await.expect("built");
    let cached = events.filter(|event| {
        let cached = matches!(event.kind, EventKind::StepFinished { cached: true, .. });
        async move { cached }
    });
    (receipt, cached.count().await)
}

#[tokio::test]
async fn a_scope_uses_nothing_that_another_has_left() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY file /\n").expect("written");
    fs::write(folder.path().join("file"), "secret").expect("written");
    let spec = BuildSpec::new(folder.path()).tag("app:1".parse().expect("a name"));
    let start = || {
        let builder = Orchestrator::builder().store(folder.path().join("store"));
        builder.only(BackendId::new("sandbox")).start()
    };
    let orchestrator = start().await.expect("it starts");
    for scope in [Some("one"), Some("other"), None] {
        let (receipt, cached) = build(&orchestrator, &spec, scope).await;
        assert_eq!(cached, 0, "{scope:?}");
        assert_eq!(build(&orchestrator, &spec, scope).await.1, 1, "{scope:?}");
        // What is built is the same.
        let store = orchestrator.store();
        let store = match scope {
            Some(scope) => store.scope(&scope.parse::<Tenant>().expect("a tenant")).expect("a store"),
            None => store.clone(),
        };
        let named = store.names().expect("names");
        assert_eq!(named.len(), 1);
        assert!(store.contains(&receipt.index.digest));
    }
    drop(orchestrator);
    let (_, cached) = build(&start().await.expect("it starts"), &spec, Some("one")).await;
    assert_eq!(cached, 1, "what a scope has stays when the process ends");
}
