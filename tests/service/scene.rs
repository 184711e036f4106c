//! A server on loopback, and whoever asks it.

use std::{sync::Arc, time::Duration};

use polyarch::service::{Access, Service, ServiceLimits, Tenant, Tenants, Tls, Token, serve};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::desk::MemoryDesk;

/// How long a server of a test may take to end.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// A server of two tenants, which ends with this.
pub(crate) struct Scene {
    pub(crate) desk: Arc<MemoryDesk>,
    pub(crate) service: Service,
    pub(crate) address: String,
    pub(crate) data: tempfile::TempDir,
    pub(crate) stop: CancellationToken,
    pub(crate) server: JoinHandle<()>,
    /// The token of the tenant `web`.
    pub(crate) web: String,
    /// The token of the tenant `other`.
    pub(crate) other: String,
    pub(crate) client: reqwest::Client,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Scene {
    pub(crate) async fn set() -> Self {
        Self::with(|_| {}).await
    }

    /// A server with other limits than usual.
    pub(crate) async fn with(change: impl FnOnce(&mut ServiceLimits)) -> Self {
        let (web, other) = (Token::generate().expect("a token"), Token::generate().expect("a token"));
        let data = tempfile::tempdir().expect("a folder");
        let root = data.path().canonicalize().expect("a path");
        for folder in ["src/app", "src-of-others"] {
            std::fs::create_dir_all(root.join(folder)).expect("made");
        }
        let file = format!(
            "[tenant.web]\ntokens = ['{}']\nmax_waiting = 3\nmax_pids = 4096\nmax_cpus = 8\npaths = ['{}']\nauthfile = '{}'\n\
             private_registries = ['registry.corp:5000']\n\
             secrets = {{ npm = {{ env = 'NPM_OF_THE_SERVER' }} }}\n\
             [tenant.other]\ntokens = ['{}']\nnetwork = false\nsecrets = {{ theirs = {{ file = '{}' }} }}\n",
            web.hash(),
            root.join("src").display(),
            root.join("auth.json").display(),
            other.hash(),
            root.join("secret").display(),
        );
        let tenants = Tenants::parse(&file, "tenants.toml".as_ref()).expect("tenants");
        let (web, other) = (web.as_str().to_owned(), other.as_str().to_owned());
        let mut limits = ServiceLimits::default();
        change(&mut limits);
        Self::start(Access::Tokens(tenants), data, limits, web, other, None).await
    }

    /// A server that asks for no token.
    pub(crate) async fn of_this_machine() -> Self {
        let tenant = Arc::new(Tenant::new("default".parse().expect("a name")));
        let data = tempfile::tempdir().expect("a folder");
        let none = String::new();
        Self::start(Access::ThisMachine(tenant), data, ServiceLimits::default(), none.clone(), none, None)
            .await
    }

    pub(crate) async fn start(
        access: Access,
        data: tempfile::TempDir,
        limits: ServiceLimits,
        web: String,
        other: String,
        tls: Option<Tls>,
    ) -> Self {
        let desk = Arc::new(MemoryDesk::new());
        let service = Service::open(desk.clone(), access, data.path(), limits).expect("a service");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(service.clone(), listener, tls, stop.clone(), GRACE));
        Self { desk, service, address, data, stop, server, web, other, client: client(&[]) }
    }

    /// A request of the tenant `web`.
    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        if self.web.is_empty() { request } else { request.bearer_auth(&self.web) }
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        answered(self.ask(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, document: &Value) -> Answered {
        let request = self.ask(Method::POST, path).header("Content-Type", "application/json");
        answered(request.body(document.to_string())).await
    }

    /// Sends a context.
    pub(crate) async fn send(&self, archive: Vec<u8>) -> Answered {
        let request = self.ask(Method::POST, "/v1/contexts").header("Content-Type", "application/x-tar");
        answered(request.body(archive)).await
    }

    /// A build that was taken: its id.
    pub(crate) async fn build(&self) -> String {
        let document = serde_json::json!({"context": {"git": "https://git.example.org/a.git#main"}});
        let answer = self.post("/v1/builds", &document).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().expect("an id").to_owned()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The only thing that is wrong with a document, after a look at whether it is said in the one form.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        let instance = format!("urn:polyarch:request:{}", self.header("x-request-id"));
        assert_eq!(problem["instance"], instance.as_str());
        problem["detail"].as_str().expect("a detail").to_owned()
    }

    /// The fields that are wrong.
    pub(crate) fn fields(&self) -> Vec<String> {
        self.problem(422);
        let errors = self.json()["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["pointer"].as_str().expect("a pointer").to_owned()).collect()
    }
}

pub(crate) async fn answered(request: RequestBuilder) -> Answered {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.expect("a whole answer").to_vec();
    assert!(!headers["x-request-id"].is_empty(), "every answer has an id");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    Answered { status, headers, body }
}

/// A client that trusts these certificates alone, in PEM form.
pub(crate) fn client(trusted: &[u8]) -> reqwest::Client {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(trusted) {
        roots.add(certificate.expect("a certificate")).expect("trusted");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client")
}
