//! Who gets an answer, and about what.

use std::sync::Arc;

use polyarch::service::{Access, Tenants};
use polyarch_actors::Fetching;
use reqwest::Method;

use super::scene::{Scene, answered};

/// Every route that only tenants may ask for.
const OF_TENANTS: [(&str, &str); 10] = [
    ("POST", "/v1/contexts"),
    ("POST", "/v1/builds"),
    ("GET", "/v1/builds"),
    ("GET", "/v1/builds/ID"),
    ("POST", "/v1/builds/ID/cancel"),
    ("GET", "/v1/builds/ID/events"),
    ("GET", "/v1/builds/ID/log"),
    ("GET", "/v1/builds/ID/receipt"),
    ("GET", "/v1/queue"),
    ("GET", "/v1/backends"),
];

#[tokio::test]
async fn nobody_without_a_token_learns_or_does_anything() {
    let scene = Scene::set().await;
    let id = scene.build().await;
    let swapped = scene.web.to_ascii_uppercase();
    let hash = polyarch::service::TokenHash::of(&scene.web).to_string();
    let headers = [
        None,
        Some(String::new()),
        Some("Bearer".into()),
        Some("Bearer ".into()),
        Some(format!("Bearer {swapped}")),
        Some(format!("Bearer {hash}")),
        Some(format!("Bearer {}x", scene.web)),
        Some(format!("Basic {}", scene.web)),
        Some(scene.web.clone()),
    ];
    for (method, path) in OF_TENANTS {
        for header in &headers {
            let url = format!("http://{}{}", scene.address, path.replace("ID", &id));
            let mut request = scene.client.request(method.parse().expect("a method"), url);
            if let Some(header) = header {
                request = request.header("Authorization", header);
            }
            let answer = answered(request).await;
            let detail = answer.problem(401);
            assert!(answer.header("www-authenticate").starts_with("Bearer realm=\"polyarch\""), "{path}");
            assert!(!detail.contains(&id) && !detail.contains(&scene.web), "{detail}");
        }
    }
    assert_eq!(scene.desk.count(), 1);
    let twice = scene.ask(Method::GET, "/v1/queue").header("Authorization", "Bearer x");
    assert!(answered(twice).await.problem(401).contains("no bearer token"), "two headers are none");
    assert_eq!(scene.get("/v1/queue").await.status, 200);
}

#[tokio::test]
async fn what_tells_of_no_tenant_needs_no_token() {
    let scene = Scene::set().await;
    scene.build().await;
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/", "/page/page.css"] {
        let answer = answered(scene.client.get(format!("http://{}{path}", scene.address))).await;
        assert_eq!(answer.status, 200, "{path}");
        let text = String::from_utf8(answer.body).expect("text");
        assert!(!text.contains("other") || path != "/metrics", "{text}");
    }
}

#[tokio::test]
async fn the_build_of_another_tenant_is_like_none() {
    let scene = Scene::set().await;
    let id = scene.build().await;
    let unknown = format!("{}{}", if id.starts_with('0') { '1' } else { '0' }, &id[1..]);
    for (method, path) in OF_TENANTS.iter().filter(|(_, path)| path.contains("ID")) {
        let mut details = Vec::new();
        for id in [&id, &unknown, &"x".to_owned(), &"..%2f..".to_owned()] {
            let url = format!("http://{}{}", scene.address, path.replace("ID", id));
            let request =
                scene.client.request(method.parse().expect("a method"), url).bearer_auth(&scene.other);
            details.push(answered(request).await.problem(404));
        }
        assert_eq!(details[0], details[1], "{path}");
    }
    let list = scene.client.get(format!("http://{}/v1/builds", scene.address)).bearer_auth(&scene.other);
    assert_eq!(answered(list).await.json()["builds"], serde_json::json!([]));
    assert_eq!(scene.get(&format!("/v1/builds/{id}")).await.json()["cancelling"], false);
}

#[tokio::test]
async fn only_this_machine_has_the_registry_credentials_of_the_server() {
    let scene = Scene::set().await;
    let document = serde_json::json!({"context": {"git": "https://git.example.org/a.git"}}).to_string();
    let theirs = scene.client.post(format!("http://{}/v1/builds", scene.address)).bearer_auth(&scene.other);
    let answer = answered(theirs.header("Content-Type", "application/json").body(document)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let file = scene.desk.only().0.registry.authfile.expect("a file of their own");
    assert_eq!(std::fs::read_to_string(file).expect("readable"), "{}\n");
    assert_eq!(scene.desk.only().0.fetching, Fetching::Public);
    let scene = Scene::of_this_machine().await;
    scene.build().await;
    let spec = scene.desk.only().0;
    assert_eq!((spec.registry.authfile, spec.fetching), (None, Fetching::Own));
}

#[tokio::test]
async fn tenants_that_are_read_again_count_at_once() {
    let scene = Scene::set().await;
    let hash = polyarch::service::TokenHash::of(&scene.other);
    let file = format!("[tenant.other]\ntokens = ['{hash}']\n");
    let tenants = Tenants::parse(&file, "tenants.toml".as_ref()).expect("tenants");
    scene.service.let_in(Access::Tokens(tenants));
    scene.get("/v1/queue").await.problem(401);
    let request = scene.client.get(format!("http://{}/v1/queue", scene.address)).bearer_auth(&scene.other);
    assert_eq!(answered(request).await.status, 200);
}

#[tokio::test]
async fn without_tokens_only_this_machine_is_served() {
    let scene = Scene::of_this_machine().await;
    assert_eq!(scene.get("/v1/queue").await.status, 200);
    let own = format!("http://{}", scene.address);
    let same = scene.ask(Method::POST, "/v1/builds").header("Origin", &own);
    answered(same).await.problem(415);
    for (name, value) in [
        ("Host", "evil.example.org"),
        ("Host", "localhost.evil.example.org:80"),
        ("Origin", "http://evil.example.org"),
        ("Origin", "null"),
        ("Origin", "http://localhost:1"),
    ] {
        for path in ["/v1/queue", "/", "/openapi.json", "/none"] {
            let answer = answered(scene.ask(Method::GET, path).header(name, value)).await;
            assert!(!answer.problem(403).contains("example"), "{name} {value} {path}");
        }
    }
    let id = scene.build().await;
    let cancel = scene.ask(Method::POST, &format!("/v1/builds/{id}/cancel")).header("Origin", "http://evil");
    answered(cancel).await.problem(403);
    assert_eq!(scene.get(&format!("/v1/builds/{id}")).await.json()["cancelling"], false);
    let tenant = Arc::new(polyarch::service::Tenant::new("new".parse().expect("a name")));
    scene.service.let_in(Access::ThisMachine(tenant));
    scene.get(&format!("/v1/builds/{id}")).await.problem(404);
}
