use super::*;
use crate::oci::digest_of;

struct Fixture {
    folder: tempfile::TempDir,
    exporter: Exporter,
}

fn fixture(platform: &str, based: bool) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("store")).expect("a store");
    let layout = Layout::new(folder.path().join("store/backends/buildah"));
    let platform = platform.parse().expect("platform");
    Fixture { exporter: Exporter { store, layout, platform, based }, folder }
}

impl Fixture {
    fn take(&self, image: &str, layout: &Path) -> Result<Exported, BuildError> {
        let stored = ImageConfig::parse(br#"{"os":"linux","architecture":"amd64"}"#).expect("a config");
        self.exporter.take(image, layout, &stored)
    }

    /// Does what `buildah push` does: skips layers whose uncompressed digest is the name of a file.
    fn push(&self, name: &str, architecture: &str, layers: &[&str]) -> (PathBuf, usize) {
        let layout = self.folder.path().join(name);
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| digest_of(layer.as_bytes())).collect();
        self.exporter.prepare(&layout, &diff_ids).expect("prepared");
        let put = |bytes: &[u8]| {
            let digest = digest_of(bytes);
            fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).expect("written");
            serde_json::json!({"mediaType": "x", "digest": digest, "size": bytes.len()})
        };
        let mut written = 0;
        let mut described = Vec::new();
        for (layer, diff_id) in layers.iter().zip(&diff_ids) {
            if layout.join("blobs/sha256").join(diff_id.hex()).exists() {
                described.push(serde_json::json!({"mediaType": "tar", "digest": diff_id, "size": 0}));
            } else {
                written += 1;
                described.push(put(format!("gzip of {layer}").as_bytes()));
            }
        }
        let mut config = serde_json::json!({"os": "linux", "rootfs": {"diff_ids": diff_ids}});
        let (arch, variant) = architecture.split_once('/').unwrap_or((architecture, ""));
        config["architecture"] = arch.into();
        config["variant"] = variant.into();
        let config = put(config.to_string().as_bytes());
        let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": described});
        let index = serde_json::json!({"manifests": [put(manifest.to_string().as_bytes())]});
        fs::write(layout.join("index.json"), index.to_string()).expect("written");
        (layout, written)
    }
}

#[test]
fn a_layer_is_compressed_once_and_the_manifest_is_the_same_with_and_without() {
    let fixture = fixture("linux/amd64", true);
    let (layout, written) = fixture.push("first", "amd64", &["base", "top"]);
    assert_eq!(written, 2);
    assert_eq!(fixture.exporter.known("image"), None);
    let first = fixture.take("image", &layout).expect("taken");
    assert_eq!(fixture.exporter.known("image"), Some(first.clone()));
    let (layout, written) = fixture.push("second", "amd64", &["base", "top"]);
    assert_eq!(written, 0);
    assert_eq!(fixture.take("image", &layout).expect("taken"), first);
    let (layout, written) = fixture.push("third", "amd64", &["base", "other"]);
    assert_eq!(written, 1);
    let third = fixture.take("image2", &layout).expect("taken");
    let manifest: Manifest =
        parse(&fixture.exporter.store.read_document(&third.manifest.digest).expect("read"), "")
            .expect("parsed");
    assert_eq!(manifest.layers[0].digest, digest_of(b"gzip of base"));
    assert_eq!(manifest.layers[1].size, "gzip of other".len() as u64);
}

#[test]
fn what_the_store_lost_is_pushed_again() {
    let fixture = fixture("linux/amd64", true);
    let (layout, _) = fixture.push("first", "amd64", &["base"]);
    fixture.take("image", &layout).expect("taken");
    fs::remove_file(fixture.exporter.store.blob_path(&digest_of(b"gzip of base"))).expect("removed");
    assert_eq!(fixture.exporter.known("image"), None);
    let (layout, written) = fixture.push("second", "amd64", &["base"]);
    assert_eq!(written, 1);
    fixture.take("image", &layout).expect("taken");
    assert!(fixture.exporter.known("image").is_some());
}

#[test]
fn an_image_for_another_platform_is_refused() {
    for (requested, built, based, fine) in [
        ("linux/arm64", "amd64", false, false),
        ("linux/arm64", "arm64", true, true),
        ("linux/arm/v7", "arm", true, true),
        ("linux/arm/v6", "arm/v7", true, false),
        ("linux/arm/v6", "arm/v7", false, true),
        ("linux/amd64/v3", "amd64", false, true),
    ] {
        let fixture = fixture(requested, based);
        let (layout, _) = fixture.push("pushed", built, &["x"]);
        match fixture.take("image", &layout) {
            Ok(exported) => {
                assert!(fine, "{requested} {built}");
                let config = fixture.exporter.store.read_document(&exported.config).expect("config");
                let config = ImageConfig::parse(&config).expect("parsed");
                assert_eq!(config.platform(), Some(fixture.exporter.platform.clone()));
            }
            Err(BuildError::WrongPlatform { .. }) => assert!(!fine, "{requested} {built}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_layer_that_is_not_what_it_says_never_enters() {
    let fixture = fixture("linux/amd64", true);
    let (layout, _) = fixture.push("pushed", "amd64", &["x"]);
    let blob = digest_of(b"gzip of x");
    fs::write(layout.join("blobs/sha256").join(blob.hex()), "something else").expect("written");
    assert!(fixture.take("image", &layout).is_err());
    assert!(!fixture.exporter.store.contains(&blob));
}

#[test]
fn what_only_dockers_form_says_stays_in_the_config() {
    let fixture = fixture("linux/amd64", false);
    let (layout, _) = fixture.push("first", "amd64", &["top"]);
    let stored = br#"{"os":"linux","architecture":"amd64","config":{"Shell":["sh"],"OnBuild":[],"Healthcheck":{"Test":["NONE"]}}}"#;
    let stored = ImageConfig::parse(stored).expect("a config");
    let taken = fixture.exporter.take("image", &layout, &stored).expect("taken");
    let config = fixture.exporter.store.read_document(&taken.config).expect("read");
    let config: serde_json::Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!(config["config"], serde_json::json!({"Shell": ["sh"], "Healthcheck": {"Test": ["NONE"]}}));
    assert_eq!(config["os"], "linux");
}
