//! Runs every case with every backend.

use std::{
    env,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{
    base::base,
    build::{Bench, place, usable},
    case::Case,
    windows,
};
use crate::support::{
    buildah::{folder, skip},
    command::{is_root, runs_both},
    registry::TestRegistry,
    tools,
};

/// The backends that build Linux images; each is tested where `polyarch backends` calls it usable.
const BACKENDS: [&str; 2] = ["buildah", "sandbox"];
/// The one of them that puts Windows images together, too.
const FOR_WINDOWS: &str = "sandbox";
/// How many cases are built at once.
const AT_ONCE: usize = 3;
/// What the cases are made with.
const TOOLS: [&str; 8] = ["skopeo", "docker-registry", "timeout", "tar", "gzip", "bzip2", "xz", "zstd"];

#[test]
fn every_backend_builds_what_buildkit_builds() {
    if !TOOLS.into_iter().all(tools::require) {
        return;
    }
    let Some(base) = base() else { return };
    let (folder, registry) = (folder(), TestRegistry::open());
    let store = folder.path().join("store");
    let mut backends = usable(&BACKENDS, &store);
    if let Ok(only) = env::var("POLYARCH_TEST_BACKEND") {
        backends.retain(|backend| **backend == *only);
    }
    if backends.is_empty() {
        skip("no backend is usable here");
        return;
    }
    let update = env::var_os("POLYARCH_UPDATE_GOLDEN").is_some();
    let mut cases = Case::all();
    let is_foreign = |case: &Case| case.ask.platform.is_some() && !case.is_for_windows();
    if cases.iter().any(is_foreign) && !runs_both() {
        cases.retain(|case| !is_foreign(case));
    }
    let for_root = |case: &Case| {
        case.ask.setup.iter().any(|line| line.starts_with("owner ") || line.starts_with("xattr security."))
    };
    if cases.iter().any(for_root) && !is_root() {
        cases.retain(|case| !for_root(case));
    }
    let windows = windows::base(folder.path());
    let mut report = Vec::new();
    for backend in backends.into_iter().take(if update { 1 } else { usize::MAX }) {
        let place = place(folder.path(), backend);
        let bench = Bench {
            backend,
            base,
            windows: &windows,
            registry: &registry.address,
            store: &store,
            folder: &place,
            update,
        };
        let can = |case: &&Case| !case.is_for_windows() || backend == FOR_WINDOWS;
        report.extend(judge_all(&bench, &cases.iter().filter(can).collect::<Vec<_>>()));
    }
    assert!(report.is_empty(), "\n{}\n{} of {} cases failed", report.join("\n"), report.len(), cases.len());
}

#[test]
fn every_difference_has_a_reason_and_every_case_an_expectation() {
    for case in Case::all() {
        let fails = case.ask.fails.is_some();
        assert!(fails != case.golden().is_file(), "{}: neither or both of fails and expected.txt", case.name);
        for difference in &case.ask.differences {
            assert!(BACKENDS.contains(&&*difference.backend), "{}: {}", case.name, difference.backend);
            assert!(difference.reason.len() > 10, "{}: a difference without a reason", case.name);
            let says_how = !difference.expected.is_empty() || !difference.instead.is_empty();
            assert!(
                says_how || difference.fails.is_some() || difference.builds,
                "{}: a difference that is none",
                case.name
            );
        }
    }
}

/// The failed cases: a headline each, and what is wrong.
fn judge_all(bench: &Bench<'_>, cases: &[&Case]) -> Vec<String> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let problems = bench.judge(case);
                    if !problems.is_empty() {
                        let text = format!("FAILED {} {}\n{}", bench.backend, case.name, problems.join("\n"));
                        failed.lock().expect("no panic").push(text);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("no panic");
    failed.sort();
    failed
}
