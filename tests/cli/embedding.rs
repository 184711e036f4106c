//! The service in `examples/`, as its first lines say to use it.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{service::scene::client, support::command::Desk};

struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where `cargo test` leaves the examples.
fn program() -> PathBuf {
    let tests = env::current_exe().expect("this program");
    let program =
        tests.ancestors().nth(2).expect("a folder of the profile").join("examples/embedded_service");
    assert!(
        program.exists(),
        "run cargo build --example embedded_service first: there is no {}",
        program.display()
    );
    program
}

#[tokio::test]
async fn an_embedding_service_builds_what_its_customers_deploy_and_shows_each_its_own() {
    let desk = Desk::new();
    desk.context("apps/hello", "FROM scratch\nCOPY a.txt /\n");
    let mut process = Command::new(program())
        .args(["127.0.0.1:0", "apps"])
        .current_dir(desk.path("."))
        .env("POLYARCH_STORE", desk.store())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    BufReader::new(process.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
    let mut example = Example(process);
    let address = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
    let client = client(&[]);
    let ask = async |method: Method, path: &str, document: Option<Value>| {
        let mut request = client.request(method, format!("{address}/customers/{path}"));
        if let Some(document) = document {
            request = request.header("Content-Type", "application/json").body(document.to_string());
        }
        let response = request.send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("text"))
    };
    let deploy = |directory: &str| Some(json!({"app": "shop", "directory": directory}));
    let (status, answer) = ask(Method::POST, "ann/deploys", deploy("hello")).await;
    assert_eq!(status, 202, "{answer}");
    let id =
        serde_json::from_str::<Value>(&answer).expect("JSON")["build"].as_str().expect("an id").to_owned();
    let (_, events) = ask(Method::GET, &format!("ann/builds/v1/builds/{id}/events"), None).await;
    assert!(
        events.contains("event: image-built") && events.trim_end().ends_with("\"event\":\"finished\"}"),
        "{events}"
    );
    let (status, page) = ask(Method::GET, "ann/builds/", None).await;
    assert!(status == 200 && page.contains("<!doctype html>"), "{status}: {page}");
    assert_eq!(ask(Method::GET, &format!("bob/builds/v1/builds/{id}"), None).await.0, 404);
    assert_eq!(ask(Method::POST, "ann/deploys", deploy("../apps/hello")).await.0, 422);
    let pid = Pid::from_raw(i32::try_from(example.0.id()).expect("a process id"));
    kill(pid, Signal::SIGINT).expect("sent");
    assert!(example.0.wait().expect("gone").success());
}
