//! What is asked for, right and wrong.

use std::{io, time::Duration};

use futures::StreamExt as _;
use polyarch::{
    ContextInput, DockerfileInput,
    actors::{BuildResources, SecretSource, StepOptions},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::scene::{Scene, answered};

const GIT: &str = "https://git.example.org/a.git#0123456789abcdef0123456789abcdef01234567:sub";

/// A build with one field changed or added.
fn with(field: &str, value: Value) -> Value {
    let mut document = json!({"context": {"git": GIT}});
    document[field] = value;
    document
}

#[tokio::test]
async fn a_build_is_taken_with_everything_that_is_asked_for() {
    let scene = Scene::set().await;
    let deadline = polyarch::actors::Timestamp::now().0 + 60_000;
    let document = json!({
        "context": {"git": GIT}, "dockerfile": "docker/Dockerfile", "platforms": ["linux/amd64", "linux/aarch64"],
        "tags": ["r.example.org/app:1", "r.example.org/app:2"], "target": "final", "build_args": {"A": "b=c"},
        "labels": {"l": ""}, "annotations": ["index:k=v"], "no_cache": true, "pull": true, "secrets": ["npm"],
        "push": true, "attestations": {"provenance": "min", "sbom": true}, "memory": "512m", "cpus": 1.5,
        "pids": 2048,
        "submission": {
            "priority": -100, "idempotency_key": "key", "supersede": {"key": "app/main", "policy": "latest-only"},
            "deadline": deadline, "timeouts": {"queue": 1, "step": 2, "push": 3, "total": 4}
        }
    });
    let answer = scene.post("/v1/builds", &document).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let build = answer.json();
    assert_eq!(build["how"], "new");
    assert_eq!(build["platforms"], json!(["linux/amd64", "linux/arm64"]));
    assert_eq!(build["context"], format!("git {GIT}"));
    assert_eq!((&build["state"], &build["tenant"]), (&json!("queued"), &json!("web")));
    let (spec, submission) = scene.desk.only();
    assert!(
        matches!(&spec.context, ContextInput::Git(source) if source.subdirectory.as_deref() == Some("sub"))
    );
    assert_eq!(spec.dockerfile, DockerfileInput::Path("docker/Dockerfile".into()));
    // They are for the whole build, and nothing is for each step.
    let resources =
        BuildResources { memory: Some(512 << 20), millicpus: Some(1500), pids: Some(2048), required: false };
    assert_eq!((spec.resources, spec.steps), (resources, StepOptions::default()));
    assert_eq!(spec.secrets[0].source, SecretSource::Env("NPM_OF_THE_SERVER".into()));
    assert!(spec.outputs[0].pushes() && spec.attestations.sbom && spec.registry.authfile.is_some());
    assert!(spec.registry.private.iter().eq(["registry.corp:5000"]));
    assert_eq!(submission.timeouts.total.map(|time| time.as_secs()), Some(4));
    assert_eq!(submission.supersede.map(|supersede| supersede.key), Some("app/main".into()));
}

#[tokio::test]
async fn a_build_that_asks_for_nothing_gets_what_its_tenant_may_have_and_none_gets_more() {
    let scene = Scene::set().await;
    assert_eq!(scene.post("/v1/builds", &with("pids", json!(100))).await.status, 201);
    let resources = scene.desk.only().0.resources;
    assert_eq!((resources.pids, resources.millicpus, resources.memory), (Some(100), Some(8000), None));
    let answer = scene.post("/v1/builds", &with("cpus", json!(8.001))).await;
    assert_eq!(answer.fields(), ["/cpus"]);
    let said = answer.json()["errors"][0]["detail"].clone();
    assert_eq!(said, "a build of this tenant may have at most 8 CPUs");
}

#[tokio::test]
async fn each_wrong_field_is_named() {
    let scene = Scene::set().await;
    let long = "x".repeat(256);
    let text = "#".repeat((2 << 20) + 1);
    let cases = [
        (json!({}), ""),
        (json!([]), ""),
        (json!("x"), ""),
        (json!({"context": {}}), "/context"),
        (json!({"context": {"url": "https://h/a.tar"}}), "/context"),
        (json!({"context": {"git": GIT, "path": "/"}}), "/context"),
        (json!({"context": {"git": 1}}), "/context/git"),
        (json!({"context": {"git": "file:///etc"}}), "/context/git"),
        (json!({"context": {"git": "/etc"}}), "/context/git"),
        (json!({"context": {"git": "git@h:a.git"}}), "/context/git"),
        (json!({"context": {"git": "https://h/a.git?depth=1"}}), "/context/git"),
        (json!({"context": {"upload": "abc"}}), "/context/upload"),
        (json!({"context": {"upload": format!("sha256:{}", "0".repeat(64))}}), "/context/upload"),
        (json!({"context": {"path": "/etc"}}), "/context/path"),
        (json!({"context": {"path": "src"}}), "/context/path"),
        (with("dockerfile", json!("../Dockerfile")), "/dockerfile"),
        (with("dockerfile", json!("/etc/passwd")), "/dockerfile"),
        (with("dockerfile", json!("a/../../b")), "/dockerfile"),
        (with("dockerfile", json!("")), "/dockerfile"),
        (with("dockerfile", json!(1)), "/dockerfile"),
        (with("dockerfile", json!({"path": "x"})), "/dockerfile"),
        (with("dockerfile", json!({"text": text})), "/dockerfile/text"),
        (with("platforms", json!(["linux/amd64", "x"])), "/platforms/1"),
        (with("platforms", json!("linux/amd64")), "/platforms"),
        (with("platforms", json!(vec!["linux/amd64"; 65])), "/platforms"),
        (with("platforms", json!(["linux/arm64", "linux/aarch64"])), ""),
        (with("tags", json!(["UPPER"])), "/tags/0"),
        (with("tags", json!([format!("a@sha256:{}", "0".repeat(64))])), "/tags/0"),
        (with("target", json!("")), "/target"),
        (with("build_args", json!({"": "x"})), "/build_args"),
        (with("build_args", json!({"A": 1})), "/build_args/A"),
        (with("build_args", json!({"SOURCE_DATE_EPOCH": "soon"})), ""),
        (with("labels", json!({"a=b": "x"})), "/labels"),
        (with("annotations", json!(["layer:k=v"])), "/annotations/0"),
        (with("annotations", json!(["manifest[linux/arm64]:k=v"])), ""),
        (with("no_cache", json!("yes")), "/no_cache"),
        (with("secrets", json!(["theirs"])), "/secrets/0"),
        (with("secrets", json!([{"id": "x", "env": "HOME"}])), "/secrets/0"),
        (with("push", json!(true)), "/push"),
        (with("outputs", json!(["type=local,dest=/"])), "/outputs"),
        (with("output", json!("/tmp")), "/output"),
        (with("attestations", json!({"provenance": "some"})), "/attestations/provenance"),
        (with("memory", json!("5m")), "/memory"),
        (with("memory", json!("lots")), "/memory"),
        (with("pids", json!(0)), "/pids"),
        (with("pids", json!(1.5)), "/pids"),
        (with("pids", json!(4097)), "/pids"),
        (with("cpus", json!(8.5)), "/cpus"),
        (with("cpus", json!(0)), "/cpus"),
        (with("cpus", json!(-1.5)), "/cpus"),
        (with("cpus", json!(1e300)), "/cpus"),
        (with("ssh", json!(["default"])), "/ssh"),
        (with("submission", json!({"priority": 101})), "/submission/priority"),
        (with("submission", json!({"priority": 1000})), "/submission/priority"),
        (with("submission", json!({"idempotency_key": ""})), "/submission/idempotency_key"),
        (with("submission", json!({"idempotency_key": long})), "/submission/idempotency_key"),
        (with("submission", json!({"idempotency_key": "a\u{7}"})), "/submission/idempotency_key"),
        (with("submission", json!({"supersede": {}})), "/submission/supersede"),
        (with("submission", json!({"supersede": {"key": ""}})), "/submission/supersede/key"),
        (
            with("submission", json!({"supersede": {"key": "k", "policy": "x"}})),
            "/submission/supersede/policy",
        ),
        (with("submission", json!({"deadline": 1})), "/submission/deadline"),
        (with("submission", json!({"deadline": "x"})), "/submission/deadline"),
        (with("submission", json!({"timeouts": {"step": 0}})), "/submission/timeouts/step"),
        (with("submission", json!({"timeouts": {"all": 1}})), "/submission/timeouts/all"),
        (with("submission", json!({"tenant": "other"})), "/submission/tenant"),
        (with("tenant", json!("other")), "/tenant"),
        (with("a/b~c", json!(1)), "/a~1b~0c"),
    ];
    for (document, pointer) in cases {
        let answer = scene.post("/v1/builds", &document).await;
        assert_eq!(answer.fields(), [pointer], "{document}: {}", answer.json()["errors"]);
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        let data = scene.data.path().display().to_string();
        assert!(!said.contains("NPM_OF_THE_SERVER") && !said.contains(&data), "{said}");
    }
    assert_eq!(scene.desk.count(), 0);
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once() {
    let scene = Scene::set().await;
    let document = json!({"context": {"path": "/etc"}, "push": true, "cpus": 0, "tags": ["ok", "NO"],
        "submission": {"priority": 120}});
    let answer = scene.post("/v1/builds", &document).await;
    assert_eq!(answer.fields(), ["/context/path", "/tags/1", "/cpus", "/submission/priority"]);
    assert_eq!(answer.problem(422), "4 fields are wrong");
}

#[tokio::test]
async fn what_is_no_document_is_refused_by_its_kind() {
    let scene = Scene::with(|limits| limits.document = 1000).await;
    let post = || scene.ask(Method::POST, "/v1/builds");
    let json = || post().header("Content-Type", "application/json");
    for text in ["", "{", "{\"context\": ", "\u{0}", "{\"a\":1}}", &"[".repeat(900)] {
        let detail = answered(json().body(text.to_owned())).await.problem(400);
        assert!(detail.contains("no JSON"), "{detail}");
    }
    answered(json().body(vec![0xff, 0xfe])).await.problem(400);
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json2"]
    {
        answered(post().header("Content-Type", kind).body("{}")).await.problem(415);
    }
    answered(post().body("{}")).await.problem(415);
    let charset = post().header("Content-Type", "application/json; charset=utf-8").body("{}");
    answered(charset).await.problem(422);
    let large = with("target", json!("x".repeat(1000))).to_string();
    answered(json().body(large.clone())).await.problem(413);
    let pieces = futures::stream::iter([Ok::<_, std::io::Error>(large)]);
    answered(json().body(reqwest::Body::wrap_stream(pieces))).await.problem(413);
    for (query, field) in [("limit=0", "/limit"), ("limit=501", "/limit"), ("before=x", "/before")] {
        assert_eq!(scene.get(&format!("/v1/builds?{query}")).await.fields(), [field]);
    }
    for query in ["state=x", "limit=-1", "limit=x", "limit=1&limit=2", "page=1", "state=%ff"] {
        scene.get(&format!("/v1/builds?{query}")).await.problem(400);
    }
}

#[tokio::test]
async fn documents_that_trickle_are_not_waited_for_and_leave_room_for_those_of_others() {
    let scene =
        Scene::with(|limits| (limits.documents, limits.arrival) = (1, Duration::from_millis(500))).await;
    let trickle = futures::stream::repeat(" ").then(async |piece| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok::<_, io::Error>(piece)
    });
    let trickle = reqwest::Body::wrap_stream(trickle);
    let slow = scene.ask(Method::POST, "/v1/builds").header("Content-Type", "application/json").body(trickle);
    let slow = tokio::spawn(answered(slow));
    let document = json!({"context": {"git": GIT}});
    let refused = loop {
        let answer = scene.post("/v1/builds", &document).await;
        if answer.status == 429 && answer.problem(429).contains("sends 1 documents already") {
            break answer;
        }
        assert!(!slow.is_finished(), "{answer:?}");
    };
    assert_eq!(refused.header("retry-after"), "1");
    let theirs = scene.client.post(format!("http://{}/v1/builds", scene.address)).bearer_auth(&scene.other);
    let theirs = theirs.header("Content-Type", "application/json").body(document.to_string());
    assert_eq!(answered(theirs).await.status, 201);
    assert_eq!(slow.await.expect("no panic").problem(408), "the document took too long to come");
    let detail = scene.post("/v1/builds", &with("pids", json!(0))).await.problem(422);
    assert!(detail.starts_with("/pids"), "its place is free again: {detail}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_of_the_tenant_is_named_without_its_links() {
    let scene = Scene::set().await;
    let root = scene.data.path().canonicalize().expect("a path");
    std::os::unix::fs::symlink("../src-of-others", root.join("src/out")).expect("linked");
    std::os::unix::fs::symlink("app", root.join("src/in")).expect("linked");
    for name in ["src/out", "src/app/../../src-of-others", "src-of-others", "none", "auth.json"] {
        let document = json!({"context": {"path": root.join(name)}});
        let answer = scene.post("/v1/builds", &document).await;
        assert_eq!(answer.fields(), ["/context/path"], "{name}");
        assert!(answer.problem(422).ends_with("it is no directory that this tenant may use"));
    }
    let answer = scene.post("/v1/builds", &json!({"context": {"path": root.join("src/in")}})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(scene.desk.only().0.context, ContextInput::Enclosed(root.join("src/app")));
}
