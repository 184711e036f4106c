//! The base image of all builds: this machine's static busybox, served by a registry on loopback, so that the
//! benchmark needs no network. It says of itself that it is for this machine's CPU, and for a second platform whose
//! programs the same CPU runs, so that two platforms can be built without emulation.

use std::{
    io,
    path::{Path, PathBuf},
};

use polyarch::oci::digest_of;
use polyarch_actors::Platform;
use serde_json::json;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

/// The commands that the Dockerfile uses.
const COMMANDS: [&str; 4] = ["sh", "cat", "mkdir", "sha256sum"];

const BLOB: &str = "application/octet-stream";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

const CREATED: &str = "2026-01-01T00:00:00Z";

/// A registry with one image. It ends when it is dropped.
pub(crate) struct Base {
    _server: MockServer,
    /// What a FROM line calls the image.
    pub(crate) reference: String,
}

impl Base {
    /// Where busybox is, if it is here.
    pub(crate) fn busybox() -> Option<PathBuf> {
        ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|program| program.is_file())
    }

    pub(crate) async fn serve(busybox: &Path) -> Self {
        let layer = layer(busybox).expect("a layer");
        let mut content = vec![(format!("blobs/{}", digest_of(&layer)), layer.clone(), BLOB)];
        let mut listed = Vec::new();
        for platform in Self::platforms() {
            let (config, manifest) = image(&platform, &layer);
            content.push((format!("blobs/{}", digest_of(&config)), config, BLOB));
            listed.push(json!({
                "mediaType": MANIFEST,
                "digest": digest_of(&manifest),
                "size": manifest.len(),
                "platform": {"os": "linux", "architecture": platform.arch(), "variant": platform.variant()},
            }));
            content.push((format!("manifests/{}", digest_of(&manifest)), manifest, MANIFEST));
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed});
        let index = index.to_string().into_bytes();
        content.push((format!("manifests/{}", digest_of(&index)), index.clone(), INDEX));
        content.push(("manifests/latest".into(), index, INDEX));
        let server = MockServer::start().await;
        for (place, content, kind) in content {
            let answer = ResponseTemplate::new(200).set_body_raw(content, kind);
            Mock::given(path(format!("/v2/busybox/{place}"))).respond_with(answer).mount(&server).await;
        }
        Mock::given(path("/v2/")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
        let reference = format!("{}/busybox:latest", server.address());
        Self { _server: server, reference }
    }

    /// What it is for: this machine's platform first.
    pub(crate) fn platforms() -> [Platform; 2] {
        let host = Platform::host_linux();
        let sibling = if host.arch() == "amd64" { "linux/386" } else { "linux/arm/v7" };
        [host, sibling.parse().expect("a platform")]
    }
}

/// The config and the manifest for one platform.
fn image(platform: &Platform, layer: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let config = json!({
        "architecture": platform.arch(),
        "variant": platform.variant(),
        "os": "linux",
        "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        "created": CREATED,
        // buildah refuses to build on an image whose history has fewer entries than it has layers, and in one
        // of its two formats finds nothing in its cache for a base whose history has no dates.
        "history": [{"created": CREATED, "created_by": "busybox"}],
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(&config),
            "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": digest_of(layer),
            "size": layer.len(),
        }],
    });
    (config, manifest.to_string().into_bytes())
}

/// A layer with busybox and its commands.
fn layer(busybox: &Path) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut entry = |name: &str, kind: tar::EntryType, link: Option<&str>, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        match link {
            Some(target) => archive.append_link(&mut header, name, target),
            None => archive.append_data(&mut header, name, content),
        }
    };
    for folder in ["bin/", "etc/", "tmp/"] {
        entry(folder, tar::EntryType::Directory, None, b"")?;
    }
    entry("bin/busybox", tar::EntryType::Regular, None, &std::fs::read(busybox)?)?;
    for command in COMMANDS {
        entry(&format!("bin/{command}"), tar::EntryType::Symlink, Some("busybox"), b"")?;
    }
    archive.into_inner()
}
