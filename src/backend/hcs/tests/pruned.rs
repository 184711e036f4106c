//! Layers of Windows as `polyarch du` and `polyarch prune` treat them.

use std::{
    fs::{self, File},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

use super::{
    crashed::{dies, kept},
    scene::Scene,
};
use crate::{
    backend::hcs::{
        fake::{FakeWindows, Moment},
        fault::code,
        stored::{LayerRemoved, StoredLayers},
    },
    prune::{self, Kind, PruneOptions, PruneReport, UsageItem},
};

const HOUR: Duration = Duration::from_hours(1);
/// The base has two layers, and the second step needs that of the first.
const THREE_LAYERS: &str = "FROM base\nRUN write C:\\made.txt one\nRUN type C:\\made.txt\n";

fn stored(scene: &Scene) -> StoredLayers {
    StoredLayers::new(scene.windows.api(), scene.store.clone())
}

async fn prune(scene: &Scene, options: PruneOptions) -> PruneReport {
    prune::prune(&scene.store, Some(stored(scene)), options).await.expect("pruned")
}

fn all() -> PruneOptions {
    PruneOptions { all: true, ..PruneOptions::default() }
}

/// What is listed of layers, by their paths.
async fn listed(scene: &Scene) -> Vec<UsageItem> {
    let report = prune::usage(&scene.store, Some(stored(scene))).await.expect("looked");
    report.items.into_iter().filter(|item| item.id.contains("layers")).collect()
}

/// The folders of layers, each before those that it rests on.
fn layers(scene: &Scene) -> Vec<PathBuf> {
    stored(scene).list().into_iter().map(|layer| layer.path).collect()
}

/// As if no step had used them for so long, the topmost first.
fn age(scene: &Scene, hours: &[u32]) {
    for (layer, hours) in layers(scene).iter().zip(hours) {
        let mark = File::options().write(true).open(layer.with_extension("complete")).expect("a mark");
        mark.set_modified(SystemTime::now() - HOUR * *hours).expect("a time");
    }
}

fn folders(scene: &Scene) -> usize {
    let entries = fs::read_dir(scene.store.root().join("backends/hcs/layers"));
    entries.into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_are_listed_with_their_size_and_since_when_no_step_used_them() {
    let scene = Scene::new();
    assert_eq!(listed(&scene).await, []);
    scene.build(THREE_LAYERS).await.result.expect("an image");
    age(&scene, &[5, 5, 5]);
    let items = listed(&scene).await;
    assert_eq!(items.len(), 3);
    for item in &items {
        assert!(item.kind == Kind::Snapshot && item.size > 0 && item.reclaimable, "{item:?}");
        assert!(item.unused_for >= HOUR * 5, "{item:?}");
    }
    // A step on the base alone uses the base.
    scene.build("FROM base\nRUN echo x\n").await.result.expect("an image");
    let used = listed(&scene).await.iter().filter(|item| item.unused_for < HOUR).count();
    assert_eq!(used, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_uses_goes_by_windows_from_the_top_down_and_comes_again() {
    let scene = Scene::new();
    scene.build(THREE_LAYERS).await.result.expect("an image");
    assert_eq!(folders(&scene), 3);
    let kept = prune(&scene, PruneOptions::default()).await;
    assert!(kept.removed.iter().all(|item| item.kind != Kind::Snapshot), "it is no garbage");
    let calls = scene.windows.calls().len();
    let report = prune(&scene, all()).await;
    assert_eq!(report.kept, []);
    assert_eq!(report.removed.iter().filter(|item| item.kind == Kind::Snapshot).count(), 3);
    let since = scene.windows.calls().split_off(calls);
    assert_eq!(since.iter().filter(|call| *call == "DestroyLayer").count(), 3, "{since:?}");
    assert_eq!((scene.windows.imported(), folders(&scene)), (0, 0));
    let left = fs::read_dir(scene.store.root().join("backends/hcs/layers")).expect("a folder");
    let locks = left.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "lock"));
    assert_eq!(locks.count(), 3, "marks go, locks stay");
    scene.build(THREE_LAYERS).await.result.expect("an image");
    assert_eq!(folders(&scene), 3);
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_take_no_layer_before_those_that_rest_on_it() {
    let scene = Scene::new();
    scene.build(THREE_LAYERS).await.result.expect("an image");
    // The clock was wrong when the topmost was used.
    age(&scene, &[1, 5, 9]);
    let top = layers(&scene)[0].clone();
    let size = listed(&scene).await.iter().map(|item| item.size).sum::<u64>();
    let first = prune(&scene, PruneOptions { unused_for: Some(HOUR * 2), ..PruneOptions::default() }).await;
    assert_eq!((first.kept.len(), folders(&scene)), (0, 3), "the topmost was used an hour ago");
    let options = PruneOptions { max_used_space: Some(size - 1), ..PruneOptions::default() };
    let report = prune(&scene, options).await;
    assert_eq!(report.kept, []);
    let snapshots: Vec<_> = report.removed.iter().filter(|item| item.kind == Kind::Snapshot).collect();
    assert!(!snapshots.is_empty() && !top.exists(), "the topmost goes first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_below_a_living_one_stays() {
    let scene = Scene::new();
    scene.build(THREE_LAYERS).await.result.expect("an image");
    let layers = layers(&scene);
    let stored = stored(&scene);
    for below in &layers[1..] {
        assert_eq!(stored.remove(below).expect("asked"), LayerRemoved::Below);
    }
    assert_eq!(folders(&scene), 3);
    for layer in &layers {
        assert_eq!(stored.remove(layer).expect("asked"), LayerRemoved::Done);
    }
    assert_eq!(folders(&scene), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_running_step_uses_stays() {
    let scene = Scene::new();
    let backend = scene.backend();
    scene.windows.hold("HcsStartComputeSystem");
    let pruned = async {
        let windows = scene.windows.clone();
        let started = tokio::task::spawn_blocking(move || windows.wait_for("HcsStartComputeSystem"));
        started.await.expect("a step");
        let report = prune(&scene, all()).await;
        scene.windows.release();
        report
    };
    let request = scene.request("FROM base\nRUN type C:\\License.txt\n");
    let (built, report) = tokio::join!(scene.build_in(&backend, request, CancellationToken::new()), pruned);
    assert_eq!(built.printed, "of the update\r\n", "{:?}", built.result);
    let kept: Vec<_> = report.kept.iter().filter(|kept| kept.kind == Kind::Snapshot).collect();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|kept| kept.in_use), "{kept:?}");
    assert_eq!(prune(&scene, all()).await.kept, []);
    assert_eq!(folders(&scene), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_windows_does_not_remove_is_told_of_and_made_anew() {
    let scene = Scene::new();
    scene.build("FROM base\nRUN echo x\n").await.result.expect("an image");
    // Until nobody tries any more.
    scene.windows.fails("DestroyLayer", code::INVALID_LAYER, 0, 2);
    let report = prune(&scene, all()).await;
    let failed: Vec<_> = report.kept.iter().filter(|kept| !kept.in_use).collect();
    assert_eq!(failed.len(), 1, "{:?}", report.kept);
    scene.build("FROM base\nRUN type C:\\License.txt\n").await.result.expect("an image");
    assert_eq!(prune(&scene, all()).await.kept, []);
    assert_eq!(folders(&scene), 0);
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_used_and_made_goes() {
    let mut containers = 0;
    for call in (1..).step_by(3) {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = temporary.path().to_owned();
        let died = tokio::task::spawn_blocking(move || dies(&folder, Moment::After(call)));
        if !died.await.expect("a process") {
            break;
        }
        let scene = kept(temporary.path());
        containers += scene.windows.documents().len();
        let report = prune(&scene, all()).await;
        assert_eq!(report.kept, [], "after {call} calls");
        assert_eq!((scene.windows.imported(), folders(&scene)), (0, 0), "after {call} calls");
        scene.assert_clean();
    }
    assert!(containers > 0, "none died while a container was running");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_windows_its_layers_are_nobodys() {
    let scene = Scene::new();
    scene.build("FROM base\nRUN echo x\n").await.result.expect("an image");
    let options = all();
    let report = prune::prune(&scene.store, None, options).await.expect("pruned");
    assert!(report.removed.iter().all(|item| item.kind != Kind::Snapshot));
    assert_eq!(folders(&scene), 2);
    let unable = FakeWindows::new(super::scene::HOST);
    unable.fails("available", code::ACCESS_DENIED, 0, 9);
    let layers = StoredLayers::new(unable.api(), scene.store.clone());
    let report = prune::prune(&scene.store, Some(layers), all()).await.expect("pruned");
    assert!(report.kept.len() == 2 && report.kept.iter().all(|kept| !kept.in_use), "{:?}", report.kept);
    assert_eq!(folders(&scene), 2);
}
