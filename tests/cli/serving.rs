//! `polyarch serve` with real builds: it is killed, it drains, and it is told to stop a step.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use polyarch::service::Token;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    service::scene::client,
    support::{
        bases::busybox,
        buildah::left_behind,
        command::{Desk, ready},
    },
};

const PATIENCE: Duration = Duration::from_mins(3);
const TENANTS: [&str; 3] = ["blue", "green", "red"];
/// The one whose steps have no network.
const CONFINED: &str = TENANTS[2];

/// A server of three tenants, whichever process it is at the moment.
struct Serving {
    desk: Desk,
    process: Child,
    address: String,
    tokens: Vec<String>,
    client: reqwest::Client,
    base: &'static str,
    /// What only the steps of this have in their commands: a number.
    mark: String,
}

impl Serving {
    fn begin(mark: u32) -> Option<Self> {
        let base = ready().then(busybox).flatten()?;
        let desk = Desk::new();
        let tokens: Vec<Token> = TENANTS.iter().map(|_| Token::generate().expect("a token")).collect();
        let registry = base.split('/').next().unwrap_or_default();
        let entry = |(tenant, token): (&&str, &Token)| {
            format!(
                "[tenant.{tenant}]\ntokens = ['{}']\npaths = ['{}']\nprivate_registries = ['{registry}']\nnetwork = {}\n",
                token.hash(),
                desk.path("src").display(),
                *tenant != CONFINED
            )
        };
        let entries: String = TENANTS.iter().zip(&tokens).map(entry).collect();
        fs::write(desk.path("tenants.toml"), entries).expect("written");
        desk.context("src/app", "FROM scratch\n");
        let (process, address) = start(&desk);
        let tokens = tokens.iter().map(|token| token.as_str().to_owned()).collect();
        let mark = format!("{mark}{}", std::process::id());
        Some(Self { desk, process, address, tokens, client: client(&[]), base, mark })
    }

    /// Kills the server in the middle of what it does, sees that nothing of its steps goes on, and starts another.
    async fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("gone");
        self.until("its steps are gone", async |serving| {
            left_behind(&serving.desk.store(), Some(&serving.mark)).is_empty()
        })
        .await;
        (self.process, self.address) = start(&self.desk);
    }

    /// Has the server end, and returns how it did.
    fn end(&mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(i32::try_from(self.process.id()).expect("a process id")), signal).expect("sent");
        self.process.wait().expect("gone").code()
    }

    async fn ask(&self, tenant: usize, method: Method, path: &str, document: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        request = request.bearer_auth(&self.tokens[tenant]);
        if let Some(document) = document {
            request = request.header("Content-Type", "application/json").body(document.to_string());
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.expect("a whole answer")).expect("JSON"))
    }

    /// Asks for a build that runs `command`, which may begin with a flag of RUN.
    async fn submit(&self, tenant: usize, key: &str, command: &str) -> (u16, Value) {
        let (flag, command) = match command.split_once(' ') {
            Some((flag, command)) if flag.starts_with("--") => (flag, command),
            _ => ("", command),
        };
        let document = json!({
            "context": {"path": self.desk.path("src/app")},
            "dockerfile": {"text": format!("FROM {}\nRUN {flag} : {}; {command}\n", self.base, self.mark)},
            "platforms": ["linux/amd64"],
            "submission": {"idempotency_key": key},
        });
        self.ask(tenant, Method::POST, "/v1/builds", Some(document)).await
    }

    async fn build(&self, tenant: usize, id: &str) -> Value {
        self.ask(tenant, Method::GET, &format!("/v1/builds/{id}"), None).await.1
    }

    async fn until(&self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self).await {
            assert!(begun.elapsed() < PATIENCE, "never: {what}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// The stores of the tenants.
    fn stores(&self) -> Vec<PathBuf> {
        let scopes = fs::read_dir(self.desk.store().join("scopes")).into_iter().flatten().flatten();
        scopes.map(|entry| entry.path()).collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.desk.path("server.log")).unwrap_or_default()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start(desk: &Desk) -> (Child, String) {
    let log = fs::File::options().create(true).append(true).open(desk.path("server.log")).expect("a file");
    let mut process = desk
        .command([
            "serve",
            "--listen=127.0.0.1:0",
            "--tenants=tenants.toml",
            "--max-running=3",
            "--min-free=0",
        ])
        .args(["--grace=20s"])
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("polyarch starts");
    let mut line = String::new();
    BufReader::new(process.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
    let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}"));
    (process, address.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn real_builds_of_several_tenants_end_once_though_the_server_is_killed_twice() {
    let Some(mut serving) = Serving::begin(41) else { return };
    let mut builds = Vec::new();
    for number in 0..6 {
        for tenant in 0..TENANTS.len() {
            let command =
                if number == 5 { "exit 7".into() } else { format!("sleep 0.4; echo {number} > /n") };
            let (status, build) = serving.submit(tenant, &format!("key-{number}"), &command).await;
            assert_eq!((status, &build["how"]), (201, &"new".into()), "{build}");
            builds.push((tenant, number, command, build["id"].as_str().expect("an id").to_owned()));
        }
    }
    for ended in [2, 9] {
        serving
            .until("some have ended and some run", async |serving| {
                let mut states = Vec::new();
                for (tenant, _, _, id) in &builds {
                    states.push(serving.build(*tenant, id).await["state"].clone());
                }
                let count = |name: &str| states.iter().filter(|state| **state == name).count();
                count("succeeded") + count("failed") >= ended && count("running") > 0
            })
            .await;
        serving.kill().await;
    }
    let mut indexes = BTreeSet::new();
    let mut attempts = 0;
    for (tenant, number, command, id) in &builds {
        let (state, exit) = if *number == 5 { ("failed", "user".into()) } else { ("succeeded", Value::Null) };
        serving
            .until("it ends", async |serving| {
                let build = serving.build(*tenant, id).await;
                attempts_of(&build) > 0
                    && !["queued", "running"].contains(&build["state"].as_str().unwrap_or_default())
            })
            .await;
        let build = serving.build(*tenant, id).await;
        assert_eq!(
            (&build["state"], &build["error"]["fault"]),
            (&state.into(), &exit),
            "{build}\n{}",
            serving.log()
        );
        attempts += attempts_of(&build);
        let (status, again) = serving.submit(*tenant, &format!("key-{number}"), command).await;
        assert_eq!((status, &again["how"], &again["id"]), (200, &"same-key".into(), &id.as_str().into()));
        if state == "succeeded" {
            let (status, receipt) =
                serving.ask(*tenant, Method::GET, &format!("/v1/builds/{id}/receipt"), None).await;
            assert_eq!((status, &receipt["index"]["digest"]), (200, &build["index"]), "{receipt}");
            indexes.insert((*tenant, build["index"].as_str().expect("a digest").to_owned()));
        }
        // What another tenant builds is nobody else's business.
        let (status, _) = serving.ask((tenant + 1) % 3, Method::GET, &format!("/v1/builds/{id}"), None).await;
        assert_eq!(status, 404);
    }
    assert_eq!(indexes.len(), 15);
    assert!(attempts > builds.len() as u64, "the kills hit builds that ran");
    assert_eq!(serving.stores().len(), TENANTS.len());
    assert_eq!(serving.end(Signal::SIGTERM), Some(0), "{}", serving.log());
    for store in serving.stores().into_iter().chain([serving.desk.store()]) {
        assert_eq!(left_behind(&store, Some(&serving.mark)), Vec::<String>::new());
        assert_eq!(serving.desk.scratch(&store), Vec::<PathBuf>::new());
    }
}

fn attempts_of(build: &Value) -> u64 {
    build["attempt"].as_u64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_build_is_cancelled_when_its_processes_are_gone() {
    let Some(mut serving) = Serving::begin(42) else { return };
    let (_, build) = serving.submit(0, "key", &format!("sleep {0} & sleep {0}", serving.mark)).await;
    let id = build["id"].as_str().expect("an id");
    serving.until("it runs", async |serving| left_of_steps(serving).len() >= 2).await;
    let (status, build) =
        serving.ask(0, Method::POST, &format!("/v1/builds/{id}/cancel?wait=60"), None).await;
    assert_eq!((status, &build["state"]), (202, &"cancelled".into()));
    assert_eq!(left_of_steps(&serving), Vec::<String>::new());
    let (status, problem) = serving.ask(0, Method::POST, &format!("/v1/builds/{id}/cancel"), None).await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(serving.end(Signal::SIGINT), Some(0), "{}", serving.log());
}

/// The processes of steps that there still are.
fn left_of_steps(serving: &Serving) -> Vec<String> {
    let left = left_behind(&serving.desk.store(), Some(&serving.mark));
    left.into_iter().filter(|what| what.contains("sleep")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_lets_builds_end_that_run_and_leaves_the_others_to_the_next() {
    let Some(mut serving) = Serving::begin(43) else { return };
    let mut ids = Vec::new();
    for number in 0..5 {
        let (_, build) =
            serving.submit(0, &format!("key-{number}"), &format!("sleep 2; echo {number} > /n")).await;
        ids.push(build["id"].as_str().expect("an id").to_owned());
    }
    serving
        .until("three run", async |serving| {
            serving.ask(0, Method::GET, "/v1/queue", None).await.1["running"] == 3
        })
        .await;
    assert_eq!(serving.end(Signal::SIGTERM), Some(0), "{}", serving.log());
    assert_eq!(left_of_steps(&serving), Vec::<String>::new());
    (serving.process, serving.address) = start(&serving.desk);
    for (number, id) in ids.iter().enumerate() {
        let build = serving.build(0, id).await;
        assert_eq!(build["state"] == "succeeded", number < 3, "{build}");
    }
    for id in &ids {
        serving.until("it ends", async |serving| serving.build(0, id).await["state"] == "succeeded").await;
        assert_eq!(attempts_of(&serving.build(0, id).await), 1, "none was begun in vain");
    }
    assert_eq!(serving.end(Signal::SIGTERM), Some(0), "{}", serving.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_of_a_tenant_without_network_are_not_in_that_of_the_server() {
    let Some(mut serving) = Serving::begin(44) else { return };
    let confined = TENANTS.len() - 1;
    let network = fs::read_link("/proc/self/ns/net").expect("a network");
    let reach = format!("[ $(readlink /proc/self/ns/net) = '{}' ]", network.display());
    let attempts = [
        (0, reach.clone(), "succeeded", ""),
        (0, format!("--network=host {reach}"), "succeeded", ""),
        (confined, format!("! {reach}"), "succeeded", ""),
        (confined, format!("--network=host {reach}"), "failed", "Dockerfile:2: RUN --network=host asks for"),
    ];
    for (number, (tenant, command, state, words)) in attempts.into_iter().enumerate() {
        let (_, build) = serving.submit(tenant, &format!("key-{number}"), &command).await;
        let path = format!("/v1/builds/{}", build["id"].as_str().expect("an id"));
        serving
            .until("it ends", async |serving| {
                let (_, build) = serving.ask(tenant, Method::GET, &path, None).await;
                !["queued", "running"].contains(&build["state"].as_str().unwrap_or_default())
            })
            .await;
        let (_, build) = serving.ask(tenant, Method::GET, &path, None).await;
        assert_eq!(build["state"], state, "{command}: {build}");
        assert!(build.to_string().contains(words), "{command}: {build}");
    }
    assert_eq!(serving.end(Signal::SIGTERM), Some(0), "{}", serving.log());
}
