//! The router inside another program.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Router};
use polyarch::service::{Access, Service, ServiceLimits, Tenant, router, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    desk::MemoryDesk,
    scene::{GRACE, answered, client},
};

#[tokio::test]
async fn a_router_below_a_prefix_serves_whom_the_program_lets_in() {
    let data = tempfile::tempdir().expect("a folder");
    let desk = Arc::new(MemoryDesk::new());
    let service =
        Service::open(desk, Access::Embedder, data.path(), ServiceLimits::default()).expect("a service");
    let tenant = Arc::new(Tenant::new("web".parse().expect("a name")));
    let known = router(service.clone()).layer(Extension(tenant));
    let app = Router::new()
        .nest_service("/of/{id}/builder", known.clone())
        .nest_service("/builder", known)
        .nest("/strangers", router(service));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let client = client(&[]);
    let get = |path: &str| answered(client.get(format!("http://{address}{path}")));
    assert_eq!(get("/builder/v1/queue").await.status, 200);
    assert_eq!(get("/strangers/healthz").await.status, 200);
    get("/strangers/v1/queue").await.problem(403);
    get("/builder/none").await.problem(404);
    assert_eq!(get("/builder/page/page.js").await.status, 200);
    // The page names its files relative to its own address, which has to end in a slash for that.
    for path in ["/builder", "/builder/"] {
        let answer = client.get(format!("http://{address}{path}")).send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.url().path()), (200, "/builder/"), "{path}");
    }
    let document = serde_json::json!({"context": {"git": "https://git.example.org/a.git"}}).to_string();
    let post = client.post(format!("http://{address}/builder/v1/builds"));
    let answer = answered(post.header("Content-Type", "application/json").body(document)).await;
    assert_eq!(answer.status, 201);
    let place = reqwest::Url::parse(&format!("http://{address}/builder/v1/builds")).expect("an address");
    let place = place.join(answer.header("location")).expect("a place");
    assert_eq!(get(place.path()).await.json()["id"], answer.json()["id"]);
    // Names of a prefix are not taken for those of the service.
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(get(&format!("/of/web/builder/v1/builds/{id}")).await.json()["id"], id.as_str());
    assert_eq!(get("/of/web/builder/page/page.js").await.status, 200);
    get(&format!("/of/{id}/builder/v1/builds/none")).await.problem(404);
    server.abort();
}

#[tokio::test]
async fn a_server_that_is_dropped_lets_go_of_whatever_takes_the_builds() {
    let data = tempfile::tempdir().expect("a folder");
    let desk = Arc::new(MemoryDesk::new());
    let access = Access::ThisMachine(Arc::new(Tenant::new("web".parse().expect("a name"))));
    let service =
        Service::open(desk.clone(), access, data.path(), ServiceLimits::default()).expect("a service");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(serve(service, listener, None, CancellationToken::new(), GRACE));
    assert_eq!(answered(client(&[]).get(format!("http://{address}/healthz"))).await.status, 200);
    server.abort();
    let gone = async {
        while Arc::strong_count(&desk) > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(GRACE, gone).await.expect("nobody else has the desk");
}
