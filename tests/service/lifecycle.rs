//! From asking for a build to its receipt.

use std::time::{Duration, Instant};

use polyarch::actors::{BuildError, EventKind};
use reqwest::Method;
use serde_json::{Value, json};

use super::scene::{Scene, answered};

fn cancelled() -> EventKind {
    EventKind::Finished { error: Some(BuildError::Cancelled) }
}

#[tokio::test]
async fn a_build_is_found_listed_and_has_a_receipt_when_it_succeeded() {
    let scene = Scene::set().await;
    let document = json!({"context": {"git": "https://git.example.org/a.git"}, "tags": ["app:1"]});
    let answer = scene.post("/v1/builds", &document).await;
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(answer.header("location"), format!("builds/{id}"));
    let build = scene.get(&format!("/v1/builds/{id}")).await.json();
    assert_eq!(build["name"], "docker.io/library/app:1");
    assert_eq!(build["waiting"], json!({"ahead": 0, "reason": "every slot is taken"}));
    assert_eq!(
        (&build["started"], &build["error"], &build["index"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert!(build["submitted"].as_u64().is_some_and(|time| time > 1_700_000_000_000));
    scene.get(&format!("/v1/builds/{id}/receipt")).await.problem(404);
    scene.desk.tell(&id, EventKind::Started);
    scene.desk.tell(&id, EventKind::Finished { error: None });
    let receipt = scene.get(&format!("/v1/builds/{id}/receipt")).await.json();
    assert_eq!(receipt["version"], 1);
    assert_eq!(receipt["exported"].as_array().map(Vec::len), Some(0), "no path of the server is told");
    let log = scene.get(&format!("/v1/builds/{id}/log")).await;
    assert_eq!(log.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(log.body, b"\xff\n#1 gr\xc3\xb6\xc3\x9fe\n");
    let metrics = String::from_utf8(scene.get("/metrics").await.body).expect("text");
    assert!(metrics.contains("polyarch_builds{state=\"queued\"} 0"), "{metrics}");
    let counted =
        "polyarch_http_requests_total{method=\"GET\",route=\"/v1/builds/{id}/receipt\",status=\"404\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    let backends = scene.get("/v1/backends").await.json();
    assert_eq!((&backends[0]["id"], &backends[0]["running"]), (&json!("memory"), &json!(1)));
}

#[tokio::test]
async fn lists_are_read_page_by_page_and_by_state() {
    let scene = Scene::set().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(scene.build().await);
    }
    let full = scene.post("/v1/builds", &json!({"context": {"git": "https://git.example.org/a.git"}})).await;
    assert_eq!(
        (full.problem(429).as_str(), full.header("retry-after")),
        ("3 builds of the tenant wait already", "7")
    );
    scene.desk.tell(&ids[1], EventKind::Started);
    let page = scene.get("/v1/builds?limit=2").await.json();
    assert_eq!((&page["builds"][0]["id"], &page["builds"][1]["id"]), (&json!(ids[2]), &json!(ids[1])));
    let next = page["next"].as_str().expect("there is more");
    let page = scene.get(&format!("/v1/builds?limit=2&before={next}")).await.json();
    assert_eq!((&page["builds"][0]["id"], &page["next"]), (&json!(ids[0]), &Value::Null));
    let running = scene.get("/v1/builds?state=running").await.json();
    assert_eq!(
        (running["builds"].as_array().map(Vec::len), &running["builds"][0]["id"]),
        (Some(1), &json!(ids[1]))
    );
    let queue = scene.get("/v1/queue").await.json();
    assert_eq!((&queue["running"], &queue["waiting"]), (&json!(1), &json!(2)));
    assert_eq!(queue["builds"][1], json!({"id": ids[2], "ahead": 1, "reason": "every slot is taken"}));
    assert_eq!(queue["tenants"], json!([{"tenant": "web", "weight": 1, "running": 1, "waiting": 2}]));
}

#[tokio::test]
async fn the_same_idempotency_key_is_the_same_build() {
    let scene = Scene::set().await;
    let document = json!({"context": {"git": "https://git.example.org/a.git"}});
    let post = |key: &str, document: &Value| {
        let request = scene.ask(Method::POST, "/v1/builds").header("Content-Type", "application/json");
        answered(request.header("Idempotency-Key", key).body(document.to_string()))
    };
    let first = post("k", &document).await;
    let again = post("k", &document).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    assert_eq!((&again.json()["id"], &again.json()["how"]), (&first.json()["id"], &json!("same-key")));
    assert_eq!(again.header("location"), first.header("location"));
    let other = json!({"context": {"git": "https://git.example.org/b.git"}});
    post("k", &other).await.problem(409);
    let mut both = document.clone();
    both["submission"] = json!({"idempotency_key": "k"});
    assert_eq!(post("k", &both).await.status, 200, "the header and the document agree");
    assert_eq!(post("l", &both).await.fields(), ["/submission/idempotency_key"]);
    post("", &document).await.problem(400);
    post(&"k".repeat(300), &document).await.problem(400);
    assert_eq!(scene.desk.count(), 1);
}

#[tokio::test]
async fn whoever_lost_the_answer_gets_it_again_when_the_same_cannot_be_asked_for_any_more() {
    let scene = Scene::set().await;
    let folder = scene.data.path().canonicalize().expect("a path").join("src/app");
    let deadline = polyarch::actors::Timestamp::now().0 + 2000;
    let late =
        json!({"context": {"git": "https://git.example.org/a.git"}, "submission": {"deadline": deadline}});
    let gone = json!({"context": {"path": folder}});
    let post = |key: &str, document: &Value| {
        let request = scene.ask(Method::POST, "/v1/builds").header("Content-Type", "application/json");
        answered(request.header("Idempotency-Key", key).body(document.to_string()))
    };
    let taken = [post("late", &late).await, post("gone", &gone).await];
    std::fs::remove_dir(&folder).expect("removed");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    for (first, (key, document)) in taken.iter().zip([("late", &late), ("gone", &gone)]) {
        assert_eq!(first.status, 201, "{first:?}");
        let again = post(key, document).await;
        assert_eq!((again.status.as_u16(), &again.json()["how"]), (200, &json!("same-key")), "{again:?}");
        assert_eq!(again.json()["id"], first.json()["id"]);
        assert_eq!(again.header("location"), first.header("location"));
        assert!(!post("other", document).await.fields().is_empty(), "it is another build");
    }
    assert_eq!(post("late", &gone).await.fields(), ["/context/path"], "the key alone is not enough");
    let others = scene.client.post(format!("http://{}/v1/builds", scene.address)).bearer_auth(&scene.other);
    let others = others.header("Content-Type", "application/json").header("Idempotency-Key", "late");
    assert_eq!(answered(others.body(late.to_string())).await.fields(), ["/submission/deadline"]);
    assert_eq!(scene.desk.count(), 2);
}

#[tokio::test]
async fn cancelling_waits_for_the_end_as_long_as_it_is_told_to() {
    let scene = Scene::with(|limits| limits.wait = Duration::from_secs(2)).await;
    let id = scene.build().await;
    scene.desk.tell(&id, EventKind::Started);
    let cancel = |query: &str| answered(scene.ask(Method::POST, &format!("/v1/builds/{id}/cancel{query}")));
    let asked = cancel("").await;
    assert_eq!((asked.status.as_u16(), &asked.json()["cancelling"]), (202, &json!(true)));
    let began = Instant::now();
    let waited = cancel("?wait=1").await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!((&waited.json()["state"], waited.status.as_u16()), (&json!("running"), 202));
    let ending = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        scene.desk.tell(&id, cancelled());
    };
    let (ended, ()) = tokio::join!(cancel("?wait=60"), ending);
    assert_eq!((&ended.json()["state"], ended.status.as_u16()), (&json!("cancelled"), 202));
    assert_eq!(cancel("").await.problem(409), "the build has ended");
    cancel("?wait=-1").await.problem(400);
    cancel("?wiat=1").await.problem(400);
}

#[tokio::test]
async fn a_desk_that_takes_nothing_is_said() {
    let scene = Scene::set().await;
    assert_eq!(scene.get("/readyz").await.status, 200);
    scene.desk.close("the disk is full");
    assert_eq!(scene.get("/readyz").await.problem(503), "the disk is full");
    let answer =
        scene.post("/v1/builds", &json!({"context": {"git": "https://git.example.org/a.git"}})).await;
    assert_eq!((answer.problem(503).as_str(), answer.header("retry-after")), ("the disk is full", "5"));
    assert_eq!(scene.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_panic_costs_the_request_that_met_it_and_tells_nothing() {
    let scene = Scene::set().await;
    scene.desk.break_down();
    assert_eq!(scene.get("/v1/queue").await.problem(500), "the server failed; its log says more");
    assert_eq!(scene.get("/v1/backends").await.status, 200);
}

#[tokio::test]
async fn a_server_that_drains_says_so_and_takes_no_builds() {
    let scene = Scene::set().await;
    let id = scene.build().await;
    scene.service.drain();
    scene.get("/readyz").await.problem(503);
    scene
        .post("/v1/builds", &json!({"context": {"git": "https://git.example.org/a.git"}}))
        .await
        .problem(503);
    assert_eq!(scene.get(&format!("/v1/builds/{id}")).await.status, 200, "what is there can be looked at");
    let events = scene.get(&format!("/v1/builds/{id}/events")).await;
    assert!(events.status.is_success() && events.body.is_empty(), "a stream ends at once");
}
