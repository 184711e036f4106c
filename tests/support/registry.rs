//! A real registry on a loopback port, for one test.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use polyarch::oci::Store;
use polyarch_actors::Digest;
use serde_json::{Value, json};

/// The login of a registry with a password.
pub(crate) const USER: &str = "builder";
pub(crate) const PASSWORD: &str = "correct horse";

/// A running `docker-registry`, which ends when dropped.
pub(crate) struct TestRegistry {
    /// Host and port, as in an image name.
    pub(crate) address: String,
    child: Child,
    folder: tempfile::TempDir,
}

impl TestRegistry {
    /// A registry that anybody may use.
    pub(crate) fn open() -> Self {
        Self::start("", "")
    }

    /// A registry that speaks HTTPS with a certificate that nobody trusts.
    pub(crate) fn with_tls() -> Self {
        Self::start("  tls:\n    certificate: FOLDER/cert.pem\n    key: FOLDER/key.pem\n", "")
    }

    /// A registry that wants [`USER`] and [`PASSWORD`].
    pub(crate) fn with_password() -> Self {
        Self::start("", "auth:\n  htpasswd:\n    realm: test\n    path: FOLDER/htpasswd\n")
    }

    /// The file of a blob or manifest that it has.
    pub(crate) fn file(&self, digest: &Digest) -> std::path::PathBuf {
        let hex = digest.hex();
        let place = format!("content/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
        self.folder.path().join(place)
    }

    /// A file of credentials with its login.
    pub(crate) fn authfile(&self, password: &str) -> std::path::PathBuf {
        let path = self.folder.path().join("auth.json");
        let entry = json!({"username": USER, "password": password});
        let file = json!({"auths": {&self.address: entry}});
        std::fs::write(&path, file.to_string()).expect("written");
        path
    }

    fn start(tls: &str, auth: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display().to_string();
        if !auth.is_empty() {
            let output = Command::new("htpasswd").args(["-Bbn", USER, PASSWORD]).output().expect("htpasswd");
            std::fs::write(folder.path().join("htpasswd"), output.stdout).expect("written");
        }
        if !tls.is_empty() {
            make_certificate(folder.path());
        }
        // Another process may take a free port before the registry does; then it is tried again.
        for _ in 0..5 {
            let address = format!("127.0.0.1:{}", free_port());
            let config = format!(
                "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
                 rootdirectory: FOLDER/content\n  delete:\n    enabled: true\nhttp:\n  addr: {address}\n{tls}\
                 validation:\n  manifests:\n    urls:\n      allow:\n        - ^https://example\\.com/\n{auth}"
            );
            let file = folder.path().join("config.yml");
            std::fs::write(&file, config.replace("FOLDER", &path)).expect("written");
            let mut child = serve(&file);
            if is_up(&address, &mut child) {
                return Self { address, child, folder };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("docker-registry did not start");
    }
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(config: &Path) -> Child {
    Command::new("docker-registry")
        .arg("serve")
        .arg(config)
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("docker-registry starts")
}

/// Makes `cert.pem` and `key.pem` for this machine.
fn make_certificate(folder: &Path) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .expect("openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn is_up(address: &str, child: &mut Child) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// A small image index in `store`: one image for each of `architectures`, with one layer that all share and
/// one of their own, each of `layer` bytes. `seed` tells indexes apart.
pub(crate) fn sample_index(store: &Store, architectures: &[&str], seed: &str, layer: usize) -> Digest {
    let shared = layer_of(store, &format!("{seed} shared"), layer);
    let images = architectures.iter().map(|architecture| {
        let own = layer_of(store, &format!("{seed} {architecture}"), layer);
        let mut image = put(store, OCI_MANIFEST, &image(store, architecture, &[shared.clone(), own]));
        image["platform"] = json!({"os": "linux", "architecture": architecture});
        image
    });
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": images.collect::<Vec<_>>()});
    digest_in(&put(store, OCI_INDEX, &index))
}

/// An image manifest over layers, with its config in the store.
pub(crate) fn image(store: &Store, architecture: &str, layers: &[Value]) -> Value {
    let diff_ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    let config = json!({"architecture": architecture, "os": "linux", "config": {}, "rootfs": rootfs});
    let config = put(store, "application/vnd.oci.image.config.v1+json", &config);
    json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers})
}

/// A layer of `size` bytes, described.
pub(crate) fn layer_of(store: &Store, seed: &str, size: usize) -> Value {
    let content: Vec<u8> = seed.bytes().cycle().take(size).collect();
    let digest = store.put(&content).expect("stored");
    json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest.as_str(), "size": size})
}

/// Stores a document and describes it.
pub(crate) fn put(store: &Store, media_type: &str, document: &Value) -> Value {
    let bytes = serde_json::to_vec(document).expect("json");
    let digest = store.put(&bytes).expect("stored");
    json!({"mediaType": media_type, "digest": digest.as_str(), "size": bytes.len()})
}

/// The digest in a descriptor.
pub(crate) fn digest_in(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().expect("a digest").parse().expect("a digest")
}

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
