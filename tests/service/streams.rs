//! Events as they happen.

use std::time::Duration;

use polyarch::actors::{EventKind, LogBytes};
use reqwest::{Method, Response};
use serde_json::Value;

use super::scene::{Scene, answered};

/// What came of one event.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    id: u64,
    event: String,
    data: Value,
}

/// Reads frames until `most` have come or the stream ends.
async fn frames(response: &mut Response, most: usize) -> Vec<Frame> {
    let (mut text, mut frames) = (String::new(), Vec::new());
    while frames.len() < most {
        let Some(piece) = response.chunk().await.expect("a piece") else { break };
        text.push_str(std::str::from_utf8(&piece).expect("text"));
        while let Some((frame, rest)) = text.split_once("\n\n") {
            let field =
                |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let (Some(id), Some(event), Some(data)) = (field("id: "), field("event: "), field("data: ")) {
                let data = serde_json::from_str(&data).expect("json");
                frames.push(Frame { id: id.parse().expect("a number"), event, data });
            } else {
                assert!(frame.starts_with(':'), "{frame:?}");
            }
            text = rest.to_owned();
        }
    }
    frames
}

fn output(text: &str) -> EventKind {
    EventKind::StepOutput { step: 1, data: LogBytes(text.as_bytes().to_vec()) }
}

#[tokio::test]
async fn events_come_as_they_happen_and_whoever_returns_misses_none() {
    let scene = Scene::set().await;
    let id = scene.build().await;
    let path = format!("/v1/builds/{id}/events");
    scene.desk.tell(&id, EventKind::Started);
    scene.desk.tell(&id, output("a\r\nid: 77\n\ndata: x\n"));
    let mut response = scene.ask(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let seen = frames(&mut response, 2).await;
    assert_eq!((seen[0].id, seen[0].event.as_str()), (0, "started"));
    assert_eq!((seen[1].id, seen[1].event.as_str()), (1, "step-output"));
    assert_eq!(seen[1].data["data"], "a\r\nid: 77\n\ndata: x\n");
    scene.desk.tell(&id, output("b"));
    assert_eq!(frames(&mut response, 1).await[0].id, 2, "it comes at once");
    drop(response);
    scene.desk.tell(&id, output("c"));
    scene.desk.tell(&id, EventKind::Finished { error: None });
    for request in [
        scene.ask(Method::GET, &path).header("Last-Event-ID", "2"),
        scene.ask(Method::GET, &format!("{path}?after=2")),
        scene.ask(Method::GET, &format!("{path}?after=0")).header("Last-Event-ID", "2"),
    ] {
        let mut response = request.send().await.expect("an answer");
        let rest = frames(&mut response, usize::MAX).await;
        assert_eq!(rest.iter().map(|frame| frame.id).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(rest[1].event, "finished");
    }
    let mut beyond =
        scene.ask(Method::GET, &format!("{path}?after={}", u64::MAX)).send().await.expect("an answer");
    assert_eq!(frames(&mut beyond, usize::MAX).await, []);
    for wrong in ["x", "-1", "1.5", ""] {
        answered(scene.ask(Method::GET, &path).header("Last-Event-ID", wrong)).await.problem(400);
    }
    scene.get(&format!("{path}?after=x")).await.problem(400);
}

#[tokio::test]
async fn a_stream_without_events_says_that_it_is_alive() {
    let scene = Scene::with(|limits| limits.heartbeat = Duration::from_millis(50)).await;
    let id = scene.build().await;
    let mut response =
        scene.ask(Method::GET, &format!("/v1/builds/{id}/events")).send().await.expect("an answer");
    for _ in 0..2 {
        let piece = response.chunk().await.expect("a piece").expect("no end");
        assert_eq!(&piece[..], b": still here\n\n");
    }
    scene.desk.tell(&id, EventKind::Started);
    assert_eq!(frames(&mut response, 1).await[0].id, 0, "nothing was lost on the way");
}

#[tokio::test]
async fn a_tenant_reads_so_many_streams_and_no_more() {
    let scene = Scene::with(|limits| limits.streams = 2).await;
    let id = scene.build().await;
    let path = format!("/v1/builds/{id}/events");
    let open = || scene.ask(Method::GET, &path).send();
    let first = open().await.expect("an answer");
    let _second = open().await.expect("an answer");
    let refused = scene.get(&path).await;
    refused.problem(429);
    assert!(!refused.header("retry-after").is_empty());
    scene.get(&format!("/v1/builds/{id}/log?follow=true")).await.problem(429);
    let theirs =
        scene.client.get(format!("http://{}/v1/builds/x/events", scene.address)).bearer_auth(&scene.other);
    answered(theirs).await.problem(404);
    drop(first);
    let mut status = 429;
    for _ in 0..100 {
        status = open().await.expect("an answer").status().as_u16();
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status, 200, "whoever goes makes room");
}

#[tokio::test]
async fn the_end_of_the_server_ends_streams_between_two_events() {
    let mut scene = Scene::set().await;
    let id = scene.build().await;
    scene.desk.tell(&id, EventKind::Started);
    let path = format!("/v1/builds/{id}/events");
    let mut response = scene.ask(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(frames(&mut response, 1).await.len(), 1);
    let began = std::time::Instant::now();
    scene.stop.cancel();
    assert_eq!(frames(&mut response, usize::MAX).await, [], "it ends as a whole answer does");
    (&mut scene.server).await.expect("no panic");
    assert!(began.elapsed() < super::scene::GRACE, "nobody had to be cut off");
    let refused = scene.ask(Method::GET, "/healthz").send().await;
    assert!(refused.expect_err("nobody listens").is_connect());
}
