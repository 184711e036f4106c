//! The record of a build, which other machines read: held against a golden file.
//!
//! `POLYARCH_UPDATE_GOLDEN=1 cargo test --test main -- receipts` writes the file anew.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use polyarch::{
    MissingPlatform, PushedReference, Receipt, ReceiptError,
    actors::{BackendId, BuildError, BuiltImage, Descriptor, Digest, Materials, ProtocolVersion, Timestamp},
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/receipt.json");

fn descriptor(kind: &str, byte: u8, size: u64) -> Descriptor {
    Descriptor {
        media_type: format!("application/vnd.oci.image.{kind}.v1+json"),
        digest: Digest::from_sha256(&[byte; 32]),
        size,
        annotations: BTreeMap::new(),
    }
}

fn image(platform: &str, byte: u8, emulated: bool) -> BuiltImage {
    BuiltImage {
        platform: platform.parse().expect("a platform"),
        manifest: descriptor("manifest", byte, 725),
        config: Digest::from_sha256(&[byte + 1; 32]),
        steps: None,
        based: None,
        materials: Materials::default(),
        backend: BackendId::new("sandbox"),
        emulated,
        retries: u32::from(emulated),
        duration: Duration::from_millis(1500),
    }
}

fn receipt() -> Receipt {
    let index = descriptor("index", 0x11, 491);
    let name = "ghcr.io/team/app:1";
    Receipt {
        version: ProtocolVersion,
        build: serde_json::from_str("\"19a8b3c4d5e0001f00dfeedbeef\"").expect("an id"),
        images: vec![image("linux/arm/v7", 0x22, true), image("windows(10.0.20348.1)/amd64", 0x33, false)],
        missing: vec![MissingPlatform {
            platform: "linux/riscv64".parse().expect("a platform"),
            error: BuildError::invalid("the base has no image for linux/riscv64"),
        }],
        tags: vec![name.parse().expect("a name")],
        pushed: vec![PushedReference {
            reference: name.parse().expect("a name"),
            digest: index.digest.clone(),
        }],
        exported: vec!["/srv/app.tar".into()],
        started: Timestamp(1_790_000_000_000),
        finished: Timestamp(1_790_000_002_500),
        timings: None,
        index,
    }
}

#[test]
fn a_receipt_is_written_in_its_golden_form_and_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("receipt.json");
    receipt().write(&path).expect("written");
    let written = fs::read_to_string(&path).expect("read");
    if std::env::var_os("POLYARCH_UPDATE_GOLDEN").is_some() {
        fs::write(GOLDEN, &written).expect("a golden file");
    }
    let golden = fs::read_to_string(GOLDEN).expect("the golden file");
    assert_eq!(written, golden, "receipts have another form now");
    assert_eq!(Receipt::read(Path::new(GOLDEN)).expect("read"), receipt());
}

#[test]
fn a_receipt_tells_where_the_time_went_and_one_that_does_not_is_read_too() {
    let timings = include_str!("golden/timings.json");
    let receipt =
        Receipt { timings: Some(serde_json::from_str(timings).expect("the golden timings")), ..receipt() };
    let mut value = serde_json::to_value(&receipt).expect("written");
    assert_eq!(value["timings"], serde_json::from_str::<serde_json::Value>(timings).expect("json"));
    assert_eq!(serde_json::from_value::<Receipt>(value.clone()).expect("read"), receipt);
    value.as_object_mut().expect("an object").remove("timings");
    assert_eq!(serde_json::from_value::<Receipt>(value).expect("read").timings, None);
}

#[test]
fn a_receipt_of_another_version_is_refused_by_its_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("receipt.json");
    let mut value = serde_json::to_value(receipt()).expect("written");
    value["version"] = 99.into();
    fs::write(&path, value.to_string()).expect("written");
    let error = Receipt::read(&path).expect_err("refused");
    assert!(matches!(error, ReceiptError::Malformed { .. }), "{error}");
    assert!(error.to_string().contains("version 99 is not known here"), "{error}");
}

#[test]
fn a_receipt_replaces_the_one_before_it_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("receipt.json");
    fs::write(&path, "old").expect("written");
    receipt().write(&path).expect("written");
    assert_eq!(Receipt::read(&path).expect("read"), receipt());
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").flatten().collect();
    assert_eq!(left.len(), 1, "a draft stayed");
}
