//! Contexts that are large enough to be read once only, where nothing like them was ever built.

use std::{collections::BTreeSet, fs, path::Path};

use polyarch::oci::Store;
use polyarch_actors::{BuildRequest, BuiltImage, CachePolicy, ContextSource, EventKind};

use super::{build, files, sandbox, steps::ran};
use crate::support::{
    buildah::{self, folder, layout},
    tools,
};

/// The size of each file in bytes, and how many there are.
const SIZE: usize = 100_000;
const FILES: usize = 60;

/// Fills a context; what its files hold depends on `kind`, what can be seen of them otherwise does not.
fn fill(context: &Path, kind: u8) {
    fs::create_dir_all(context.join("dir")).expect("a folder");
    for number in 0..FILES {
        let mut content = vec![kind; SIZE];
        content[..8].copy_from_slice(&number.to_le_bytes());
        fs::write(context.join(format!("dir/{number:02}")), content).expect("written");
    }
    let link = context.join("linked");
    if !link.exists() {
        fs::hard_link(context.join("dir/00"), link).expect("linked");
    }
}

fn request(folder: &Path, context: &Path, platform: &str) -> BuildRequest {
    let text = "FROM scratch\nARG TARGETARCH\nENV A=$TARGETARCH\n\
                COPY --exclude=07 dir /dir/\nCOPY dir/07 linked /more/\n";
    let mut request = buildah::request(folder, platform, text);
    request.context = ContextSource::Directory(context.to_owned());
    request
}

fn layers(store: &Store, image: &BuiltImage) -> Vec<String> {
    let manifest = store.read_document(&image.manifest.digest).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers").iter();
    layers.map(|layer| layer["digest"].to_string()).collect()
}

#[tokio::test]
async fn a_large_context_gives_the_same_layers_however_it_was_read() {
    let folder = folder();
    let [context, elsewhere] = ["one", "two"].map(|name| folder.path().join(name));
    fill(&context, b'a');
    let (store, backend) = sandbox(folder.path());
    let built = |request| async {
        let (image, events) = build(&backend, request).await;
        let image = image.unwrap_or_else(|error| panic!("{error}"));
        (layers(&store, &image), ran(&events, "COPY"))
    };
    let request = |context: &Path| request(folder.path(), context, "linux/amd64");
    let once = built(request(&context)).await;
    assert_eq!(once.1, (2, 0));
    assert_eq!(built(request(&context)).await, (once.0.clone(), (0, 2)), "nothing changed");
    // In another place, nothing is remembered of the files.
    fill(&elsewhere, b'a');
    assert_eq!(built(request(&elsewhere)).await, (once.0.clone(), (0, 2)), "the same files");
    // Something of this shape is known by now, so these are read for the key first.
    fill(&context, b'b');
    let changed = built(request(&context)).await;
    assert_eq!(changed.1, (2, 0), "other files of the same shape");
    assert!(changed.0.iter().all(|layer| !once.0.contains(layer)), "no layer is an old one");
    let mut anew = request(&context);
    anew.cache = CachePolicy::Ignore;
    assert_eq!(built(anew).await, (changed.0.clone(), (2, 0)), "read once again");
    let other = buildah::folder();
    let (fresh, backend) = sandbox(other.path());
    let (image, _) = build(&backend, request(&context)).await;
    assert_eq!(layers(&fresh, &image.expect("built")), changed.0, "read once in a fresh store");
}

#[tokio::test]
async fn contexts_that_look_alike_and_are_built_at_once_are_told_apart() {
    if !tools::require("umoci") {
        return;
    }
    let folder = folder();
    let (store, backend) = sandbox(folder.path());
    let builds = [b'a', b'b', b'c'].map(|kind| {
        let context = folder.path().join(char::from(kind).to_string());
        fill(&context, kind);
        build(&backend, request(folder.path(), &context, "linux/amd64"))
    });
    for (kind, (image, _)) in [b'a', b'b', b'c'].into_iter().zip(futures::future::join_all(builds).await) {
        let layout = layout(folder.path(), &store, &image.expect("built"));
        let files = files(&layout);
        for name in ["dir/01", "dir/59", "more/07", "more/linked"] {
            let content = files.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", files.keys()));
            assert!(content.ends_with(char::from(kind)), "{name} is not that of {}", char::from(kind));
        }
        fs::remove_dir_all(layout).expect("removed");
    }
}

#[tokio::test]
async fn platforms_that_need_the_same_large_context_make_one_layer_of_it() {
    let folder = folder();
    let context = folder.path().join("context-of-all");
    fill(&context, b'a');
    let (store, backend) = sandbox(folder.path());
    let builds = ["linux/amd64", "linux/arm64", "linux/riscv64"]
        .map(|platform| build(&backend, request(folder.path(), &context, platform)));
    let ended = futures::future::join_all(builds).await;
    let copies: Vec<_> = ended.iter().map(|(_, events): &(_, Vec<EventKind>)| ran(events, "COPY")).collect();
    let done: usize = copies.iter().map(|(done, _)| done).sum();
    assert_eq!(done, 2, "each COPY is done once: {copies:?}");
    let all: BTreeSet<String> =
        ended.into_iter().flat_map(|(image, _)| layers(&store, &image.expect("built"))).collect();
    assert_eq!(all.len(), 2);
}
