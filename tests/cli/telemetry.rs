//! Spans that leave the program, for a collector that knows nothing of it.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, trace::v1::Span,
};
use prost::Message as _;
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::path};

use crate::{
    service::scene::client,
    support::{
        bases::serve,
        command::{Desk, Ended, ready},
    },
};

/// A span elsewhere, by its own words and as a header has them.
const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const SPAN: u64 = 0xb7ad_6b71_6920_3331;
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// More than the last spans may take, and less than anybody would wait for.
const SOON: Duration = Duration::from_secs(8);

fn desk() -> (Desk, String) {
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nARG PLACE\nCOPY a.txt /$PLACE\n");
    (desk, context)
}

fn build(desk: &Desk, context: &str) -> Command {
    let mut command = desk.command(["build", "--backend", "sandbox", "-t", "example.org/app:1", context]);
    command.args(["--build-arg", "PLACE=CANARY"]);
    command
}

async fn ended(mut command: Command) -> Ended {
    tokio::task::spawn_blocking(move || Ended::of(&mut command)).await.expect("it ended")
}

async fn collector(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(path("/v1/traces")).respond_with(answer).mount(&server).await;
    server
}

/// Every span that was sent, and the attributes of what they come from.
fn spans(requests: &[Request]) -> (Vec<Span>, Vec<(String, String)>) {
    let (mut spans, mut resource) = (Vec::new(), Vec::new());
    for request in requests {
        assert_eq!(request.headers["content-type"], "application/x-protobuf");
        let message = ExportTraceServiceRequest::decode(&request.body[..]).expect("protobuf");
        for group in message.resource_spans {
            let attributes = group.resource.expect("a resource").attributes;
            resource = attributes.iter().map(|one| (one.key.clone(), text(one.value.clone()))).collect();
            spans.extend(group.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    (spans, resource)
}

fn text(value: Option<opentelemetry_proto::tonic::common::v1::AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        other => format!("{other:?}"),
    }
}

fn one<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    let [span] = found[..] else { panic!("{} spans are called {name}", found.len()) };
    span
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_sends_its_spans_to_the_collector_that_the_environment_names() {
    let (desk, context) = desk();
    let server = collector(ResponseTemplate::new(200)).await;
    let mut command = build(&desk, &context);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", server.uri())
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-team=of%20mine")
        .env("OTEL_SERVICE_NAME", "farm")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
        .env("TRACEPARENT", PARENT);
    ended(command).await.success();
    let requests = server.received_requests().await.expect("requests");
    assert_eq!(requests[0].headers["x-team"], "of mine");
    let (spans, resource) = spans(&requests);
    for (key, value) in [("service.name", "farm"), ("deployment.environment", "test")] {
        assert!(resource.contains(&(key.into(), value.into())), "{resource:?}");
    }
    let names = ["polyarch build", "build", "request", "route", "attempt"];
    let trace = TRACE.to_be_bytes();
    let mut above = SPAN.to_be_bytes().to_vec();
    let mut within = 0;
    for name in names {
        let span = one(&spans, name);
        assert_eq!((&span.trace_id[..], &span.parent_span_id), (&trace[..], &above), "{name}");
        assert!(span.start_time_unix_nano >= within && span.end_time_unix_nano >= span.start_time_unix_nano);
        (above, within) = (span.span_id.clone(), span.start_time_unix_nano);
    }
    assert_eq!(one(&spans, "prepare").parent_span_id, one(&spans, "build").span_id);
    let steps = spans.iter().filter(|span| span.name == "step" && span.parent_span_id == above);
    let told = steps.map(|step| step.attributes.iter().find(|one| one.key == "instruction").cloned());
    let told: Vec<String> = told.map(|one| text(one.expect("an instruction").value)).collect();
    assert_eq!(told, ["FROM", "ARG", "COPY"]);
    assert!(!format!("{spans:?}").contains("CANARY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_where_nobody_asks_or_somebody_forbids_it() {
    let (desk, context) = desk();
    let server = collector(ResponseTemplate::new(200)).await;
    for (variable, value) in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        let mut command = build(&desk, &context);
        command.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", server.uri()));
        command.env(variable, value);
        ended_without_a_word(ended(command).await);
    }
    assert_eq!(server.received_requests().await.map(|requests| requests.len()), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_says_where_it_goes_and_how_much() {
    if !ready() {
        return;
    }
    let (desk, context) = desk();
    let server = collector(ResponseTemplate::new(200)).await;
    let registry = serve();
    let name = format!("{registry}/app:1");
    let mut command = desk.command(["build", "--backend", "sandbox", "-t", &name, "--push", &context]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", server.uri());
    ended(command).await.success();
    let (spans, _) = spans(&server.received_requests().await.expect("requests"));
    let push = one(&spans, "push");
    assert_eq!(push.parent_span_id, one(&spans, "build").span_id);
    let told =
        |key: &str| push.attributes.iter().find(|one| one.key == key).and_then(|one| one.value.clone());
    assert_eq!(text(told("registry")), registry);
    let Some(Value::IntValue(bytes)) = told("bytes").and_then(|bytes| bytes.value) else {
        panic!("{push:?}");
    };
    assert!(bytes > 100, "{bytes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_makes_a_build_part_of_the_trace_of_whoever_asks_for_it() {
    let desk = Desk::new();
    let server = collector(ResponseTemplate::new(200)).await;
    let mut command = desk.command(["serve", "--listen", "127.0.0.1:0"]);
    command.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", server.uri()));
    let mut serving = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("polyarch starts");
    let mut line = String::new();
    let mut output = BufReader::new(serving.stdout.take().expect("its output"));
    output.read_line(&mut line).expect("a line");
    let address = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
    let client = client(&[]);
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in [("Dockerfile", "FROM scratch\nCOPY a.txt /\n"), ("a.txt", "hello\n")] {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, text.as_bytes()).expect("added");
    }
    let sent = client.post(format!("{address}/v1/contexts")).header("Content-Type", "application/x-tar");
    let sent = sent.body(archive.into_inner().expect("an archive")).send().await.expect("an answer");
    let sent: serde_json::Value = serde_json::from_slice(&sent.bytes().await.expect("it")).expect("json");
    let build = serde_json::json!({"context": {"upload": sent["context"]}, "platforms": ["linux/amd64"]});
    let asked = client.post(format!("{address}/v1/builds")).header("Content-Type", "application/json");
    let asked = asked.header("traceparent", PARENT).body(build.to_string()).send().await.expect("an answer");
    assert_eq!(asked.status(), 201);
    let asked: serde_json::Value = serde_json::from_slice(&asked.bytes().await.expect("it")).expect("json");
    let events = format!("{address}/v1/builds/{}/events", asked["id"].as_str().expect("an id"));
    // The stream of its events ends with it.
    client.get(events).send().await.expect("an answer").bytes().await.expect("events");
    let id = nix::unistd::Pid::from_raw(i32::try_from(serving.id()).expect("an id"));
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).expect("sent");
    assert!(serving.wait().expect("it ended").success());
    let (spans, resource) = spans(&server.received_requests().await.expect("requests"));
    assert!(resource.contains(&("service.name".into(), "polyarch".into())), "{resource:?}");
    let build = one(&spans, "build");
    assert_eq!(
        (&build.trace_id[..], &build.parent_span_id[..]),
        (&TRACE.to_be_bytes()[..], &SPAN.to_be_bytes()[..])
    );
    assert_eq!(spans.iter().filter(|span| span.name == "step" && span.trace_id == build.trace_id).count(), 2);
}

fn ended_without_a_word(ended: Ended) {
    assert!(!ended.stderr.contains("spans"), "{}", ended.stderr);
    ended.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_is_one_warning_and_neither_fails_nor_stalls_a_build() {
    let (desk, context) = desk();
    let busy = collector(ResponseTemplate::new(500)).await;
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let silent = format!("http://{}", silent.local_addr().expect("an address"));
    for (endpoint, protocol, why) in [
        (busy.uri(), "http/protobuf", "the collector answered 500"),
        (silent, "", "it took longer than 3 seconds"),
        (format!("http://me:CANARY@{closed}"), "", "onnection refused"),
        ("CANARY".into(), "", "OTEL_EXPORTER_OTLP_ENDPOINT is no address"),
        (busy.uri(), "grpc", "by http/protobuf alone"),
    ] {
        let mut command = build(&desk, &context);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
        let began = Instant::now();
        let ended = ended(command).await;
        assert!(began.elapsed() < SOON, "{:?} for {endpoint}", began.elapsed());
        let warnings: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("warning")).collect();
        assert!(
            matches!(warnings[..], [one] if one.contains(why) && !one.contains("CANARY")),
            "{}",
            ended.stderr
        );
        ended.success();
    }
}
