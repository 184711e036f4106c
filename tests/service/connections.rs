//! Connections of those who mean no good, or know no better.

use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::scene::{Scene, answered};

/// What a server says to some bytes, until it ends the connection.
pub(super) async fn say(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(bytes).await.expect("sent");
    let mut answer = Vec::new();
    // A reset is an end like any other.
    let end = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    let _ = end.expect("the server ends the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn whoever_does_not_come_to_the_point_is_hung_up_on() {
    let scene = Scene::with(|limits| limits.head = Duration::from_millis(300)).await;
    let began = Instant::now();
    for start in ["", "G", "GET /healthz HTTP/1.1\r\nHost: x\r\n"] {
        let answer = say(&scene.address, start.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{start:?}: {answer}");
    }
    let idle = say(&scene.address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(idle.starts_with("HTTP/1.1 200"), "{idle}");
    assert!(began.elapsed() < Duration::from_secs(10), "they take {:?}", began.elapsed());
}

#[tokio::test]
async fn a_body_that_stops_is_not_waited_for() {
    let scene = Scene::with(|limits| limits.pause = Duration::from_millis(300)).await;
    let head = format!(
        "POST /v1/builds HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        scene.web
    );
    let answer = say(&scene.address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn so_many_connections_and_no_more_are_served_at_once() {
    let scene = Scene::with(|limits| limits.connections = 2).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(&scene.address).await.expect("connected");
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        assert!(stream.read(&mut [0; 1000]).await.expect("answered") > 0);
        held.push(stream);
    }
    let mut waiting = TcpStream::connect(&scene.address).await.expect("the system takes it");
    waiting.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    let mut buffer = [0; 1000];
    let early = tokio::time::timeout(Duration::from_millis(200), waiting.read(&mut buffer)).await;
    assert!(early.is_err(), "nobody answers it yet");
    held.pop();
    let read = tokio::time::timeout(Duration::from_secs(5), waiting.read(&mut buffer)).await;
    assert!(read.expect("a place is free").expect("answered") > 0);
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_breaks_nothing() {
    let scene = Scene::set().await;
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(1 << 20));
    for bytes in [
        &b"\x00\x01\x02\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST /v1/builds HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/builds HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        long.as_bytes(),
    ] {
        let answer = say(&scene.address, bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(scene.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn every_method_and_path_has_an_answer_in_the_one_form() {
    let scene = Scene::set().await;
    let id = scene.build().await;
    for path in [
        "/none",
        "/v1",
        "/v1/",
        "/v1/builds/",
        "/v2/builds",
        "/page/",
        "/page/../Cargo.toml",
        "/page/none.js",
    ] {
        scene.get(path).await.problem(404);
    }
    for (method, path, allowed) in [
        ("DELETE", format!("/v1/builds/{id}"), "GET,HEAD"),
        ("PUT", "/v1/builds".to_owned(), "POST,GET,HEAD"),
        ("OPTIONS", "/v1/builds".to_owned(), "POST,GET,HEAD"),
        ("GET", "/v1/contexts".to_owned(), "POST"),
        ("BREW", "/healthz".to_owned(), "GET,HEAD"),
    ] {
        let answer =
            answered(scene.ask(Method::from_bytes(method.as_bytes()).expect("a method"), &path)).await;
        answer.problem(405);
        let mut said: Vec<&str> = answer.header("allow").split(',').collect();
        let mut expected: Vec<&str> = allowed.split(',').collect();
        said.sort_unstable();
        expected.sort_unstable();
        assert_eq!(said, expected, "{method} {path}");
    }
    for path in ["/", "/healthz", "/v1/builds", &format!("/v1/builds/{id}"), &format!("/v1/builds/{id}/log")]
    {
        let answer = answered(scene.ask(Method::HEAD, path)).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0), "{path}");
    }
    let page = scene.get("/").await;
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe"));
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(scene.get("/page/page.js").await.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(scene.get("/v1/builds").await.header("cache-control"), "no-store");
}
