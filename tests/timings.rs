//! Timings of fixed events, and their page, held against golden files.
//!
//! `POLYARCH_UPDATE_GOLDEN=1 cargo test --test main -- timings` writes the files anew.

use std::fs;

use polyarch::{
    actors::{
        BackendId, BuildError, BuildEvent, BuildId, BuiltImage, Descriptor, Digest, EventKind,
        ProtocolVersion, StepStage, StepWork, Timestamp,
    },
    timings::{Collector, PageBuild, PlatformEnd, StepEnd, Timings, page},
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
const START: u64 = 1_790_000_000_000;
const HOSTILE: &str = "RUN echo '</script><img src=x onerror=alert(1)>' \"&amp;\" \u{1b}[31m \u{202e}";

/// Events at times of one's own.
#[derive(Default)]
struct Story {
    collector: Collector,
    sequence: u64,
}

impl Story {
    fn tell(&mut self, ms: u64, platform: Option<&str>, kind: EventKind) {
        let event = BuildEvent {
            version: ProtocolVersion,
            build: build(),
            platform: platform.map(|platform| platform.parse().expect("a platform")),
            sequence: self.sequence,
            time: Timestamp(START + ms),
            kind,
        };
        self.sequence += 1;
        self.collector.take(&event);
    }

    fn routed(&mut self, platform: &str, emulated: bool) {
        let (backend, reason, ruled_out) = (BackendId::new("sandbox"), "it can".into(), Vec::new());
        self.tell(40, Some(platform), EventKind::Routed { backend, emulated, reason, ruled_out });
    }

    fn step(&mut self, platform: &str, number: u32, stage: (u32, &str), instruction: &str, from: u64) {
        let stage = Some(StepStage { number: stage.0, name: Some(stage.1.to_owned()) });
        let instruction = instruction.to_owned();
        self.tell(from, Some(platform), EventKind::StepStarted { step: number, instruction, stage });
    }

    fn done(&mut self, platform: &str, step: u32, cached: bool, at: u64, work: StepWork) {
        let work = Some(Box::new(work));
        self.tell(at, Some(platform), EventKind::StepFinished { step, cached, work });
    }
}

fn build() -> BuildId {
    serde_json::from_str("\"19a8b3c4d5e0001f00dfeedbeef\"").expect("an id")
}

fn key(byte: u8) -> Vec<Digest> {
    vec![Digest::from_sha256(&[byte; 32])]
}

fn index() -> Descriptor {
    Descriptor {
        media_type: "application/vnd.oci.image.index.v1+json".into(),
        digest: Digest::from_sha256(&[0x11; 32]),
        size: 491,
        annotations: std::collections::BTreeMap::new(),
    }
}

fn image(platform: &str) -> EventKind {
    let image = BuiltImage {
        platform: platform.parse().expect("a platform"),
        manifest: index(),
        config: Digest::from_sha256(&[0x22; 32]),
        steps: None,
        based: None,
        materials: polyarch_actors::Materials::default(),
        backend: BackendId::new("sandbox"),
        emulated: false,
        retries: 0,
        duration: std::time::Duration::from_secs(3),
    };
    EventKind::ImageBuilt { image }
}

/// Two platforms, one of them emulated, that share a stage and run one instruction each.
fn good() -> Timings {
    let (native, emulated) = ("linux/amd64", "linux/arm64");
    let mut story = Story::default();
    story.tell(0, None, EventKind::Started);
    story.tell(30, None, EventKind::Fetched { address: "https://example.com/app.git".into() });
    story.routed(native, false);
    story.routed(emulated, true);
    story.tell(50, Some(native), EventKind::Assigned { attempt: 1 });
    story.tell(250, Some(emulated), EventKind::Assigned { attempt: 1 });
    story.tell(260, Some(native), EventKind::PullStarted { image: "busybox".into() });
    for platform in [native, emulated] {
        story.step(platform, 1, (0, "build"), "FROM busybox AS build", 260);
        story.done(platform, 1, false, 300, StepWork { pulled_ms: 40, ..StepWork::default() });
    }
    for platform in [native, emulated] {
        story.step(platform, 2, (0, "build"), "RUN make", 300);
        story.step(platform, 3, (1, "final"), "COPY --from=build /app /app", 300);
    }
    story.tell(700, Some(native), EventKind::Pulled { image: "busybox".into(), bytes: Some(2_163_000) });
    let make = StepWork { keys: key(1), pulled_ms: 400, ran_ms: 1500, wrote_ms: 90, ..StepWork::default() };
    story.done(native, 2, false, 2300, make);
    let took = StepWork { keys: key(1), shared: true, waited_ms: 2000, ..StepWork::default() };
    story.done(emulated, 2, true, 2302, took);
    let copy = StepWork { stages: vec![0], waited_ms: 2001, wrote_ms: 80, ..StepWork::default() };
    story.done(native, 3, false, 2400, copy.clone());
    story.step(native, 4, (1, "final"), HOSTILE, 2400);
    story.done(emulated, 3, false, 2410, copy);
    story.step(emulated, 4, (1, "final"), HOSTILE, 2410);
    for (platform, end, ran_ms, is_emulated) in [(native, 3000, 500, false), (emulated, 6900, 4200, true)] {
        let parts = StepWork { prepared_ms: 60, ran_ms, wrote_ms: 30, ..StepWork::default() };
        story.done(platform, 4, false, end, StepWork { emulated: is_emulated, ..parts });
        story.step(platform, 5, (1, "final"), "WORKDIR /", end);
        story.done(platform, 5, true, end + 3, StepWork::default());
        story.tell(end + 20, Some(platform), image(platform));
    }
    story.tell(6925, None, EventKind::IndexAssembled { index: index() });
    story.tell(7100, None, EventKind::Exported { destination: "app.tar".into() });
    story.tell(7101, None, EventKind::PushStarted { registry: "ghcr.io".into() });
    story.tell(7102, None, EventKind::PushStarted { registry: "quay.io".into() });
    story.tell(7600, None, EventKind::PushFinished { registry: "quay.io".into() });
    story.tell(8000, None, EventKind::PushFinished { registry: "ghcr.io".into() });
    let reference = "ghcr.io/team/app:1".to_owned();
    story.tell(8040, None, EventKind::Pushed { reference, digest: index().digest });
    story.tell(8050, None, EventKind::Finished { error: None });
    story.collector.finish()
}

/// A platform that fails in one stage while another goes on, and one that is stopped for it.
fn bad() -> Timings {
    let (fails, stops) = ("linux/amd64", "linux/arm64");
    let mut story = Story::default();
    story.tell(0, None, EventKind::Started);
    for platform in [fails, stops] {
        story.routed(platform, false);
        story.tell(50, Some(platform), EventKind::Assigned { attempt: 1 });
        story.step(platform, 1, (0, "build"), "RUN exit 3", 60);
        story.step(platform, 2, (1, "final"), "COPY --from=build /app /app", 60);
    }
    story.tell(900, Some(fails), EventKind::StepFailed { step: 1, work: None });
    story.tell(901, Some(fails), EventKind::StepFailed { step: 2, work: None });
    let error = BuildError::StepFailed { instruction: "RUN exit 3".into(), exit_code: 3, output: Vec::new() };
    story.tell(905, Some(fails), EventKind::PlatformFailed { error: error.clone() });
    let stopped = BuildError::Abandoned { failed: fails.parse().expect("a platform") };
    story.tell(950, Some(stops), EventKind::PlatformFailed { error: stopped });
    story.tell(960, None, EventKind::Finished { error: Some(error) });
    story.collector.finish()
}

fn held(name: &str, written: &str) {
    let path = format!("{GOLDEN}/{name}");
    if std::env::var_os("POLYARCH_UPDATE_GOLDEN").is_some() {
        fs::write(&path, written).expect("a golden file");
    }
    let golden = fs::read_to_string(&path).expect("the golden file");
    assert!(written == golden, "{name} has another form now:\n{written}");
}

#[test]
fn events_become_their_golden_timings_and_page() {
    let timings = good();
    let text = format!("{}\n", serde_json::to_string_pretty(&timings).expect("written"));
    held("timings.json", &text);
    assert_eq!(serde_json::from_str::<Timings>(&text).expect("read back"), timings);
    held("timings.html", &page(&[PageBuild { name: "ghcr.io/team/app:1", timings: &timings }]));
}

#[test]
fn an_instruction_stays_text_on_the_page() {
    let text = page(&[PageBuild { name: "<b>app</b>", timings: &good() }]);
    assert!(text.contains("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;"));
    assert!(text.contains("&quot;&amp;amp;&quot;"));
    for raw in
        ["<script", "</script", "<img", "<b>app", "\u{1b}", "\u{202e}", "http-equiv=\"refresh\"", "url("]
    {
        assert!(!text.contains(raw), "{raw:?} is in the page");
    }
    assert!(text.contains(
        "content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\""
    ));
}

#[test]
fn what_emulation_cost_is_told_beside_the_same_instruction_elsewhere() {
    let costs = good().emulation();
    let [cost] = &costs[..] else { panic!("{costs:?}") };
    assert!(cost.is_exact);
    assert_eq!((cost.platform, cost.emulated_ms(), cost.compared_ms()), (1, 4200, Some((4200, 500))));
    let mut alone = good();
    alone.platforms.remove(0);
    let costs = alone.emulation();
    assert_eq!((costs[0].emulated_ms(), costs[0].compared_ms()), (4200, None));
    let text = page(&[PageBuild { name: "app", timings: &alone }]);
    assert!(text.contains("no platform of this build ran the same instructions natively"));
}

#[test]
fn a_backend_that_tells_no_parts_is_compared_by_whole_steps() {
    let mut timings = good();
    for platform in &mut timings.platforms {
        platform.steps.iter_mut().for_each(|step| step.work = None);
    }
    let costs = timings.emulation();
    assert_eq!(costs[0].runs.len(), 1, "the shared RUN was not carried out");
    assert_eq!(costs[0].compared_ms(), Some((4490, 600)));
    assert!(!costs[0].is_exact);
    let text = page(&[PageBuild { name: "app", timings: &timings }]);
    assert!(text.contains("The backend does not say which of them it emulated"));
}

#[test]
fn the_fault_of_a_failed_build_is_marked_and_its_consequences_are_not() {
    let timings = bad();
    assert!(timings.failed);
    let ends = |place: usize| timings.platforms[place].steps.iter().map(|step| step.end).collect::<Vec<_>>();
    assert_eq!(ends(0), [StepEnd::Failed, StepEnd::Stopped]);
    assert_eq!(ends(1), [StepEnd::Stopped, StepEnd::Stopped]);
    assert_eq!(
        (timings.platforms[0].end, timings.platforms[1].end),
        (PlatformEnd::Failed, PlatformEnd::Stopped)
    );
    let text = page(&[PageBuild { name: "app", timings: &timings }]);
    assert!(text.contains("✗ linux/amd64 failed at <code>RUN exit 3</code>"));
    assert_eq!(text.matches("✗ failed").count(), 1);
}

#[test]
fn a_clock_that_goes_back_makes_no_time_negative() {
    let mut story = Story::default();
    story.tell(5000, None, EventKind::Started);
    story.routed("linux/amd64", false);
    story.tell(6000, Some("linux/amd64"), image("linux/amd64"));
    story.tell(100, None, EventKind::Finished { error: None });
    let timings = story.collector.finish();
    assert_eq!(timings.duration_ms, 1000);
    assert_eq!((timings.platforms[0].span.start_ms, timings.platforms[0].span.end_ms), (0, 1000));
}

#[test]
fn a_page_of_two_thousand_steps_is_small_and_complete() {
    let mut timings = good();
    let (platform, steps) = (timings.platforms[0].clone(), timings.platforms[0].steps.clone());
    timings.platforms = (0..20).map(|_| platform.clone()).collect();
    for platform in &mut timings.platforms {
        platform.steps = (0..100)
            .map(|number| {
                let mut step = steps[3].clone();
                (step.number, step.span.start_ms) = (number + 1, u64::from(number) * 60);
                step.span.end_ms = step.span.start_ms + 60;
                step.instruction =
                    format!("RUN apt-get install -y package-{number} && make -C /src part-{number} install");
                step
            })
            .collect();
    }
    let text = page(&[PageBuild { name: "app", timings: &timings }]);
    assert!(text.len() < 1_000_000, "{} bytes", text.len());
    assert_eq!(text.matches("</code><td>done").count(), 2000);
}
