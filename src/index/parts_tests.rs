use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

/// A store and its folder, which is gone after the test.
fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    (folder, store)
}

fn put(store: &Store, media_type: &str, document: &Value) -> Descriptor {
    let bytes = document.to_string().into_bytes();
    let digest = store.put(&bytes).expect("stored");
    let size = bytes.len() as u64;
    Descriptor { media_type: media_type.into(), digest, size, annotations: BTreeMap::new() }
}

fn image(store: &Store, config: &Value) -> Descriptor {
    let config = put(store, media_type::CONFIG, config);
    put(store, media_type::MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": []}))
}

fn linux(store: &Store, architecture: &str) -> Descriptor {
    image(store, &json!({"os": "linux", "architecture": architecture}))
}

fn index(store: &Store, entries: &[&Descriptor]) -> Descriptor {
    let document = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": entries});
    put(store, media_type::INDEX, &document)
}

fn digests(parts: &[Part]) -> Vec<&Digest> {
    parts.iter().map(|part| &part.entry.descriptor.digest).collect()
}

#[test]
fn indexes_in_an_index_give_their_entries_in_their_place() {
    let (_folder, store) = store();
    let [a, b, c, d] = ["amd64", "arm64", "riscv64", "s390x"].map(|cpu| linux(&store, cpu));
    let inner = index(&store, &[&b, &c]);
    let root = index(&store, &[&a, &inner, &d]);
    let parts = parts_of(&store, &root, "one").expect("parts");
    assert_eq!(digests(&parts), [&a.digest, &b.digest, &c.digest, &d.digest]);
    let configs = parts.iter().map(|part| match &part.content {
        PartContent::Image(config) => config.architecture.as_str(),
        PartContent::Attestation(_) => "",
    });
    assert_eq!(configs.collect::<Vec<_>>(), ["amd64", "arm64", "riscv64", "s390x"]);
    assert!(parts.iter().all(|part| part.source == "one"));
}

#[test]
fn an_image_alone_is_one_part() {
    let (_folder, store) = store();
    let root = linux(&store, "amd64");
    assert_eq!(digests(&parts_of(&store, &root, "one").expect("parts")), [&root.digest]);
}

#[test]
fn an_attestation_says_what_it_is_about() {
    let (_folder, store) = store();
    let about = linux(&store, "amd64");
    let mut said = put(&store, media_type::MANIFEST, &json!({"anything": 1}));
    said.annotations.insert(REFERENCE_TYPE.into(), "attestation-manifest".into());
    said.annotations.insert(REFERENCE_DIGEST.into(), about.digest.to_string());
    let root = index(&store, &[&about, &said]);
    let parts = parts_of(&store, &root, "one").expect("parts");
    assert_eq!(parts[1].content, PartContent::Attestation(Some(about.digest)));
}

#[test]
fn what_is_no_image_is_refused() {
    let (_folder, store) = store();
    let chart = image(&store, &json!({"name": "a chart", "version": "1.0.0"}));
    let mut layer = put(&store, "application/vnd.oci.image.layer.v1.tar", &json!({}));
    layer.size = 2;
    let text = put(&store, media_type::MANIFEST, &json!("text"));
    let empty = put(&store, media_type::MANIFEST, &json!({}));
    let config = store.put(b"text").expect("stored");
    let config = Descriptor { digest: config, ..layer.clone() };
    let unreadable = put(&store, media_type::MANIFEST, &json!({"config": config, "layers": []}));
    for odd in [chart, layer, text, empty, unreadable] {
        for root in [index(&store, &[&odd]), odd.clone()] {
            let error = parts_of(&store, &root, "one").expect_err("no image");
            assert!(
                matches!(&error, IndexError::NotAnImage { digest, .. } if *digest == odd.digest),
                "{error}"
            );
        }
    }
}

#[test]
fn indexes_may_be_nested_eight_deep_and_no_deeper() {
    let (_folder, store) = store();
    let mut root = linux(&store, "amd64");
    for _ in 0..8 {
        root = index(&store, &[&root]);
    }
    assert_eq!(parts_of(&store, &root, "one").expect("parts").len(), 1);
    root = index(&store, &[&root]);
    let error = parts_of(&store, &root, "one").expect_err("too deep");
    assert!(matches!(error, IndexError::NotAnImage { .. }), "{error}");
}

#[test]
fn an_index_that_leads_to_more_manifests_than_anybody_needs_is_refused() {
    let (_folder, store) = store();
    let mut root = linux(&store, "amd64");
    for _ in 0..7 {
        root = index(&store, &[&root; 100]);
    }
    let error = parts_of(&store, &root, "one").expect_err("too many");
    assert!(matches!(error, IndexError::NotAnImage { .. }), "{error}");
}
