//! Connections with TLS, of either version of HTTP.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use polyarch::service::{Access, ServiceLimits, Tenant, Tls};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    connections::say,
    scene::{Scene, answered, client},
};
use crate::support::tools;

/// What a client of HTTP/2 says first, with settings as they are.
///
/// Source: RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A server with a certificate for `localhost`.
struct Encrypted {
    scene: Scene,
    folder: tempfile::TempDir,
}

impl Encrypted {
    /// Without openssl there is none.
    async fn with(change: impl FnOnce(&mut ServiceLimits)) -> Option<Self> {
        if !tools::require("openssl") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, key) = made(folder.path());
        let tls = Tls::read(&certificate, &key).expect("a certificate");
        let tenant = Arc::new(Tenant::new("default".parse().expect("a name")));
        let (data, none) = (tempfile::tempdir().expect("a folder"), String::new());
        let mut limits = ServiceLimits::default();
        change(&mut limits);
        let access = Access::ThisMachine(tenant);
        let scene = Scene::start(access, data, limits, none.clone(), none, Some(tls)).await;
        Some(Self { scene, folder })
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn port(&self) -> &str {
        self.scene.address.rsplit_once(':').expect("a port").1
    }

    /// A connection for a version of HTTP, if the server takes it.
    async fn connect(&self, version: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(self.certificate()).expect("readable") {
            roots.add(certificate.expect("a certificate")).expect("trusted");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![version.to_vec()];
        let stream = TcpStream::connect(&self.scene.address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// A certificate and its key.
fn made(folder: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}

#[tokio::test]
async fn connections_are_encrypted_and_whoever_means_others_is_hung_up_on() {
    let Some(encrypted) = Encrypted::with(|limits| limits.head = Duration::from_millis(500)).await else {
        return;
    };
    let (certificate, port) = (encrypted.certificate(), encrypted.port());
    let key = encrypted.folder.path().join("key.pem");
    let trusting = client(&fs::read(&certificate).expect("readable"));
    let answer = answered(trusting.get(format!("https://localhost:{port}/v1/queue"))).await;
    assert_eq!(answer.status, 200);
    assert!(client(&[]).get(format!("https://localhost:{port}/healthz")).send().await.is_err(), "no trust");
    let address = &encrypted.scene.address;
    let plain = say(address, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(!plain.contains("HTTP/1.1 200"), "{plain}");
    assert_eq!(say(address, b"").await, "", "who says nothing is hung up on");
    for (one, other, words) in [
        (&key, &key, "has no certificate"),
        (&certificate, &certificate, "has no private key"),
        (&encrypted.folder.path().join("none"), &key, "cannot read"),
    ] {
        let error = Tls::read(one, other).err().expect("unusable").to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn nobody_takes_the_connections_of_all() {
    let Some(encrypted) = Encrypted::with(|limits| limits.connections = 8).await else { return };
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(encrypted.connect(b"http/1.1").await.expect("taken"));
    }
    assert!(encrypted.connect(b"http/1.1").await.is_err(), "a quarter is for each address");
    held.pop();
    let mut tries = 0;
    while encrypted.connect(b"http/1.1").await.is_err() {
        tries += 1;
        assert!(tries < 100, "a place is free again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn whoever_asks_for_nothing_by_http_2_is_hung_up_on() {
    let Some(encrypted) = Encrypted::with(|limits| limits.head = Duration::from_millis(500)).await else {
        return;
    };
    let began = Instant::now();
    let mut connection = encrypted.connect(b"h2").await.expect("taken");
    connection.write_all(PREFACE).await.expect("sent");
    let mut said = Vec::new();
    let end = connection.read_to_end(&mut said);
    let _ = tokio::time::timeout(Duration::from_secs(10), end).await.expect("it ends");
    assert!(began.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn whoever_waits_for_events_by_http_2_is_not_hung_up_on() {
    let change = |limits: &mut ServiceLimits| {
        (limits.head, limits.heartbeat) = (Duration::from_millis(300), Duration::from_millis(50));
    };
    let Some(encrypted) = Encrypted::with(change).await else { return };
    let trusting = client(&fs::read(encrypted.certificate()).expect("readable"));
    let request = trusting.post(format!("https://localhost:{}/v1/builds", encrypted.port()));
    let document = json!({"context": {"git": "https://git.example.org/a.git"}}).to_string();
    let build = answered(request.header("Content-Type", "application/json").body(document)).await.json();
    let path = format!("/v1/builds/{}/events", build["id"].as_str().expect("an id"));
    let mut connection = encrypted.connect(b"h2").await.expect("taken");
    connection.write_all(PREFACE).await.expect("sent");
    // `:method: GET`, `:scheme: https`, `:authority: localhost` and the path, in the form of RFC 7541.
    let mut head = vec![0x82, 0x87, 0x01, 9];
    head.extend_from_slice(b"localhost\x04");
    head.push(u8::try_from(path.len()).expect("short"));
    head.extend_from_slice(path.as_bytes());
    let length = u8::try_from(head.len()).expect("short");
    // HEADERS, with END_STREAM and END_HEADERS, of the first stream.
    connection.write_all(&[0, 0, length, 1, 5, 0, 0, 0, 1]).await.expect("sent");
    connection.write_all(&head).await.expect("sent");
    let (began, mut buffer) = (Instant::now(), [0; 4096]);
    while began.elapsed() < Duration::from_millis(1500) {
        let read = tokio::time::timeout(Duration::from_secs(5), connection.read(&mut buffer)).await;
        assert!(read.expect("it is alive").expect("no failure") > 0, "after {:?}", began.elapsed());
    }
}
