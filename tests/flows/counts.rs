//! What Prometheus is told of builds, as their backend has told it.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use polyarch::{
    BuildSpec, Orchestrator, TimeLimits,
    actors::{BuildError, BuildId, EventKind, StepWork, queue::Tenant},
    queue::{
        BuildQueue, BuildState, DataFolder, QueueOptions, Supersede, SupersedePolicy,
        records::{NewBuild, Records},
    },
    service::{Access, Service, ServiceLimits, Tenant as Served, serve},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    service::scene::client,
    support::teller::{End, Story, Teller, finished, platform},
};

/// A queue that runs one build at once, behind a server.
struct Scene {
    folder: tempfile::TempDir,
    queue: BuildQueue,
    address: String,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

/// Each series and its value.
type Scrape = BTreeMap<String, f64>;

impl Scene {
    async fn set(folder: tempfile::TempDir, stories: Vec<Story>) -> Self {
        let builder = Orchestrator::builder().store(folder.path().join("store"));
        let orchestrator = builder.backend(Arc::new(Teller::new(stories))).start().await.expect("it starts");
        let options = QueueOptions { max_running: 1, attempts: 1, ..QueueOptions::default() };
        let data = folder.path().join("data");
        let queue = orchestrator.queue(&data, options).await.expect("the queue opens");
        let access = Access::ThisMachine(Arc::new(Served::new("default".parse().expect("a name"))));
        let service = Service::open(Arc::new(queue.clone()), access, &data, ServiceLimits::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let stop = CancellationToken::new();
        let grace = Duration::from_secs(5);
        let server = tokio::spawn(serve(service.expect("a service"), listener, None, stop.clone(), grace));
        Self { folder, queue, address, stop, server }
    }

    async fn scrape(&self) -> Scrape {
        let request = client(&[]).get(format!("http://{}/metrics", self.address));
        let answer = request.send().await.expect("an answer").error_for_status().expect("metrics");
        let text = answer.text().await.expect("text");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            let series = series.strip_prefix("polyarch_").expect("its prefix").to_owned();
            (series, value.parse().expect("a number"))
        });
        series.collect()
    }

    async fn submit(&self, new: NewBuild) -> BuildId {
        self.queue.submit(new).await.expect("taken").id
    }

    async fn end(&self, id: &BuildId, state: BuildState) {
        assert_eq!(self.queue.ended(&Tenant::default(), id).await.expect("an end").state, state);
    }

    async fn close(self) {
        self.queue.close(Duration::ZERO).await;
        self.stop.cancel();
        self.server.await.expect("it ends");
        self.queue.orchestrator().shutdown(Duration::from_secs(5)).await;
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("Dockerfile"), "FROM busybox\nRUN make\n").expect("a Dockerfile");
    folder
}

/// A build that no other one is the same as.
fn build(folder: &Path, number: usize) -> NewBuild {
    let mut spec = BuildSpec::new(folder).platforms([platform()]);
    spec.labels.insert("number".into(), number.to_string());
    NewBuild::new(spec)
}

/// Those of a scrape that begin so and are not zero.
fn told(scrape: &Scrape, names: &[&str]) -> Vec<(String, f64)> {
    let is_wanted = |series: &str| names.iter().any(|name| series.starts_with(name));
    let wanted = scrape.iter().filter(|(series, value)| is_wanted(series) && **value != 0.0);
    wanted.map(|(series, value)| (series.clone(), *value)).collect()
}

fn owned(series: &[(&str, f64)]) -> Vec<(String, f64)> {
    series.iter().map(|(series, value)| ((*series).to_owned(), *value)).collect()
}

const COUNTED: [&str; 8] = [
    "builds_ended",
    "build_queue_seconds_count",
    "build_duration_seconds_count",
    "platforms_ended",
    "retries",
    "transfer_retries",
    "steps",
    "pulled_bytes",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_is_what_happened() {
    let shared = StepWork { shared: true, ..StepWork::default() };
    let first = vec![
        EventKind::Pulled { image: "busybox".into(), bytes: Some(70) },
        finished(1, true, None),
        finished(2, false, Some(shared)),
        finished(3, false, None),
    ];
    let lost = BuildError::Host { reason: "for a test".into(), retryable: true };
    let failed = BuildError::StepFailed { instruction: "RUN make".into(), exit_code: 2, output: Vec::new() };
    let stories = vec![
        (first, End::Fails(lost)),
        (vec![finished(1, true, None)], End::Builds),
        (Vec::new(), End::Fails(failed)),
        (Vec::new(), End::Hangs),
        (Vec::new(), End::Hangs),
    ];
    let folder = folder();
    {
        // What a process leaves that was killed while it built.
        let data = DataFolder::open(folder.path().join("data")).expect("a folder");
        let records = Records::open(data.records()).await.expect("records");
        let killed = records.submit(build(folder.path(), 0)).await.expect("taken").id;
        assert!(records.begin(&killed).await.expect("begun"));
    }
    let scene = Scene::set(folder, stories).await;
    let path = scene.folder.path().to_owned();
    let build = |number| build(&path, number);
    for (number, state) in [(1, BuildState::Succeeded), (2, BuildState::Failed)] {
        let id = scene.submit(build(number)).await;
        scene.end(&id, state).await;
    }
    let limits = TimeLimits { total: Some(Duration::from_millis(100)), ..TimeLimits::default() };
    let late = scene.submit(NewBuild { limits, ..build(3) }).await;
    scene.end(&late, BuildState::TimedOut).await;
    let running = scene.submit(build(4)).await;
    while scene.queue.report(None).await.expect("a report").running.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let latest = Supersede { key: "app".parse().expect("a key"), policy: SupersedePolicy::LatestOnly };
    let older = scene.submit(NewBuild { supersede: Some(latest.clone()), ..build(5) }).await;
    let newer = scene.submit(NewBuild { supersede: Some(latest), ..build(6) }).await;
    scene.end(&older, BuildState::Superseded).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let scrape = scene.scrape().await;
    let now = owned(&[
        ("backend_running{backend=\"teller\"}", 1.0),
        ("backend_slots{backend=\"teller\"}", 4.0),
        ("builds{state=\"queued\"}", 1.0),
        ("builds{state=\"running\"}", 1.0),
    ]);
    assert_eq!(told(&scrape, &["backend_", "builds{"]), now);
    assert!(scrape["queue_oldest_wait_seconds"] >= 0.02, "{scrape:?}");
    for id in [&newer, &running] {
        scene.queue.cancel(&Tenant::default(), id).await.expect("noted");
        scene.end(id, BuildState::Cancelled).await;
    }
    let wanted = owned(&[
        ("build_duration_seconds_count{state=\"cancelled\"}", 1.0),
        ("build_duration_seconds_count{state=\"failed\"}", 1.0),
        ("build_duration_seconds_count{state=\"succeeded\"}", 1.0),
        ("build_duration_seconds_count{state=\"timed-out\"}", 1.0),
        ("build_queue_seconds_count", 4.0),
        ("builds_ended_total{state=\"cancelled\",fault=\"cancelled\"}", 2.0),
        ("builds_ended_total{state=\"failed\",fault=\"user\"}", 1.0),
        ("builds_ended_total{state=\"lost\",fault=\"host\"}", 1.0),
        ("builds_ended_total{state=\"succeeded\",fault=\"none\"}", 1.0),
        ("builds_ended_total{state=\"superseded\",fault=\"cancelled\"}", 1.0),
        ("builds_ended_total{state=\"timed-out\",fault=\"policy\"}", 1.0),
        ("platforms_ended_total{backend=\"teller\",platform=\"linux/amd64\",outcome=\"built\"}", 1.0),
        ("platforms_ended_total{backend=\"teller\",platform=\"linux/amd64\",outcome=\"failed\"}", 1.0),
        ("platforms_ended_total{backend=\"teller\",platform=\"linux/amd64\",outcome=\"stopped\"}", 2.0),
        ("pulled_bytes_total", 70.0),
        ("retries_total{backend=\"teller\"}", 1.0),
        ("steps_total{cache=\"hit\"}", 3.0),
        ("steps_total{cache=\"miss\"}", 1.0),
    ]);
    let scrape = scene.scrape().await;
    assert_eq!(told(&scrape, &COUNTED), wanted);
    assert!(scrape["queue_oldest_wait_seconds"] == 0.0);
    assert!(scrape.contains_key("builds_ended_total{state=\"failed\",fault=\"host\"}"), "zeros are told too");
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_measured_once_in_a_while_and_not_for_everybody_who_asks() {
    let scene = Scene::set(folder(), Vec::new()).await;
    let payload = vec![7; 3 << 20];
    fs::write(scene.folder.path().join("store/payload"), payload).expect("written");
    let mut scrape = Scrape::new();
    for _ in 0..2000 {
        scrape = scene.scrape().await;
        if scrape.contains_key("store_bytes") && scrape.contains_key("store_free_bytes") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let taken = scrape["store_bytes"];
    assert!(taken >= f64::from(3 << 20) && scrape["store_free_bytes"] > 0.0, "{scrape:?}");
    fs::write(scene.folder.path().join("store/more"), vec![7; 3 << 20]).expect("written");
    for _ in 0..20 {
        assert!(scene.scrape().await["store_bytes"] <= taken, "it was measured a moment ago");
    }
    scene.close().await;
}
