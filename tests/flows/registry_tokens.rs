//! The token flow against a scripted registry: what is asked of the token server, and with which rights.

use polyarch::{
    oci::Reference,
    registry::{
        ClientOptions, CredentialSources, Credentials, RegistryClient, RegistryError, RetryLimits, TransferCx,
    },
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_string_contains, header, method, path, query_param},
};

const MANIFEST: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

/// A registry and a token server on one address.
struct Scene {
    server: MockServer,
    name: Reference,
}

impl Scene {
    async fn set() -> Self {
        let server = MockServer::start().await;
        let name = format!("{}/team/app:1", server.address()).parse().expect("a name");
        let scene = Self { server, name };
        let challenge = format!("Bearer realm=\"{}/token\",service=\"test\"", scene.server.uri());
        for (verb, place) in
            [("GET", "/v2/"), ("GET", "/v2/team/app/manifests/1"), ("PUT", "/v2/team/app/manifests/1")]
        {
            let refusal = ResponseTemplate::new(401).insert_header("WWW-Authenticate", challenge.as_str());
            Mock::given(method(verb))
                .and(path(place))
                .respond_with(refusal)
                .with_priority(9)
                .mount(&scene.server)
                .await;
        }
        scene
    }

    /// Shows the manifest to whoever has this token, so many times.
    async fn accept(&self, token: &str, times: u64) {
        let manifest = ResponseTemplate::new(200).set_body_raw(MANIFEST, "application/json");
        Mock::given(method("GET"))
            .and(path("/v2/team/app/manifests/1"))
            .and(header("Authorization", format!("Bearer {token}")))
            .respond_with(manifest)
            .up_to_n_times(times)
            .mount(&self.server)
            .await;
    }

    /// Gives out a token for a scope.
    async fn give(&self, token: &str, scope: &str, times: u64) {
        Mock::given(method("GET"))
            .and(path("/token"))
            .and(query_param("service", "test"))
            .and(query_param("scope", scope))
            .respond_with(
                ResponseTemplate::new(200).set_body_json(json!({"token": token, "expires_in": 300})),
            )
            .up_to_n_times(times)
            .expect(times)
            .mount(&self.server)
            .await;
    }

    fn client(&self, credentials: Option<Credentials>) -> RegistryClient {
        let sources = match credentials {
            Some(credentials) => CredentialSources::default().with(self.name.registry(), credentials),
            None => CredentialSources::default(),
        };
        RegistryClient::new(ClientOptions { credentials: sources, ..ClientOptions::default() })
    }

    async fn read(&self, client: &RegistryClient) -> Result<(), RegistryError> {
        let limits = RetryLimits { retries: 0, ..RetryLimits::default() };
        let cx = TransferCx::new(CancellationToken::new(), limits, |_| {});
        client.manifest(&self.name, &cx).await.map(|_| ())
    }
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_used_again() {
    let scene = Scene::set().await;
    scene.accept("one", 9).await;
    scene.give("one", "repository:team/app:pull", 1).await;
    let client = scene.client(None);
    for _ in 0..3 {
        scene.read(&client).await.expect("read");
    }
}

#[tokio::test]
async fn a_token_that_is_no_longer_taken_is_renewed_once() {
    let scene = Scene::set().await;
    scene.accept("old", 1).await;
    scene.accept("new", 1).await;
    scene.give("old", "repository:team/app:pull", 1).await;
    let client = scene.client(None);
    scene.read(&client).await.expect("read");
    scene.give("new", "repository:team/app:pull", 1).await;
    scene.read(&client).await.expect("read");
}

#[tokio::test]
async fn pushing_asks_for_the_right_to_push_with_the_password() {
    let scene = Scene::set().await;
    Mock::given(method("GET"))
        .and(path("/token"))
        .and(query_param("scope", "repository:team/app:pull,push"))
        .and(query_param("account", "ci"))
        .and(header("Authorization", "Basic Y2k6aHVudGVyMg=="))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"access_token": "push"})))
        .expect(1)
        .mount(&scene.server)
        .await;
    Mock::given(method("PUT"))
        .and(path("/v2/team/app/manifests/1"))
        .and(header("Authorization", "Bearer push"))
        .respond_with(ResponseTemplate::new(201))
        .expect(1)
        .mount(&scene.server)
        .await;
    let client = scene.client(Some(Credentials::password("ci", "hunter2", "test")));
    let kind = "application/vnd.oci.image.index.v1+json";
    let cx = TransferCx::unwatched();
    client.push_manifest(&scene.name, kind, MANIFEST.as_bytes(), &cx).await.expect("pushed");
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post() {
    let scene = Scene::set().await;
    scene.accept("access", 1).await;
    Mock::given(method("POST"))
        .and(path("/token"))
        .and(body_string_contains("grant_type=refresh_token"))
        .and(body_string_contains("refresh_token=identity"))
        .and(body_string_contains("service=test"))
        .and(body_string_contains("scope=repository%3Ateam%2Fapp%3Apull"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"access_token": "access"})))
        .expect(1)
        .mount(&scene.server)
        .await;
    let client = scene.client(Some(Credentials::identity_token("identity", "test")));
    scene.read(&client).await.expect("read");
}

#[tokio::test]
async fn no_wrong_and_insufficient_credentials_are_told_apart() {
    let scene = Scene::set().await;
    scene.give("weak", "repository:team/app:pull", 2).await;
    let error = scene.read(&scene.client(None)).await.expect_err("none");
    assert!(matches!(error, RegistryError::NoCredentials { .. }), "{error:?}");
    let password = Credentials::password("ci", "hunter2", "the settings");
    let error = scene.read(&scene.client(Some(password.clone()))).await.expect_err("weak");
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");

    let refusal =
        ResponseTemplate::new(401).set_body_json(json!({"details": "incorrect username or password"}));
    Mock::given(path("/token")).respond_with(refusal).mount(&scene.server).await;
    let error = scene.read(&scene.client(Some(password))).await.expect_err("wrong");
    let registry = scene.name.registry();
    assert_eq!(error.to_string(), format!("{registry} refused the credentials from the settings"));
    assert!(!format!("{error:?}").contains("hunter2"));
    let error = scene.read(&scene.client(None)).await.expect_err("none");
    assert_eq!(
        error.to_string(),
        format!(
            "{registry} gives no access to manifest {registry}/team/app:1 without credentials, or it does not exist; \
             no credentials for {registry} were found"
        )
    );
}

#[tokio::test]
async fn a_token_server_that_is_busy_is_asked_again() {
    let scene = Scene::set().await;
    Mock::given(path("/token"))
        .respond_with(ResponseTemplate::new(429).insert_header("Retry-After", "0"))
        .up_to_n_times(1)
        .mount(&scene.server)
        .await;
    scene.accept("one", 1).await;
    scene.give("one", "repository:team/app:pull", 1).await;
    let client = scene.client(None);
    client.manifest(&scene.name, &TransferCx::unwatched()).await.expect("read");
}
