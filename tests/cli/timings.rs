//! `--timings`, and the page in a real browser.

use std::{fs, path::Path, process::Command};

use polyarch::{
    Receipt,
    timings::{StepEnd, Timings},
};
use serde_json::Value;

use crate::support::{
    bases::{busybox, serve},
    command::{BACKENDS, Desk, ready, runs_both},
    tools::require,
};

const BOTH: &str = "linux/amd64,linux/arm64";

fn receipt(desk: &Desk) -> Timings {
    Receipt::read(&desk.path("receipt.json")).expect("a receipt").timings.expect("timings")
}

#[test]
fn a_build_tells_where_its_time_went() {
    let Some(base) = (ready() && runs_both()).then(busybox).flatten() else { return };
    for backend in BACKENDS {
        let desk = Desk::new();
        let context = desk.context(
            "app",
            format!(
                "FROM --platform=$BUILDPLATFORM {base} AS tools\nRUN sleep 2; echo tool > /tool\nFROM {base}\n\
                 COPY --from=tools /tool /\nRUN sleep 0.2; cat /tool > /made\n"
            ),
        );
        let name = format!("{}/app:1", serve());
        let files = ["--timings", "out.html", "--receipt", "receipt.json"];
        let build = ["build", "--backend", backend, "-t", &name, "--platform", BOTH, "--push", &context];
        desk.ok(build.iter().chain(&files));
        let timings = receipt(&desk);
        let whole: u64 = timings.critical_path().iter().map(|part| part.span.duration_ms()).sum();
        assert_eq!(whole, timings.duration_ms);
        assert!(timings.duration_ms >= 1200, "{timings:?}");
        assert!(timings.phases.iter().any(|phase| phase.about.as_deref() == name.split('/').next()));
        let made = |place: usize| {
            let steps = &timings.platforms[place].steps;
            steps.iter().find(|step| step.instruction.contains("/made")).expect("the step")
        };
        assert!((0..2).all(|place| made(place).span.duration_ms() >= 200));
        let costs = timings.emulation();
        assert_eq!(costs.len(), 1, "{costs:?}");
        assert!(costs[0].runs.iter().any(|run| run.native.is_some()));
        if backend == "sandbox" {
            assert_eq!(costs[0].runs.len(), 1, "what ran on the build platform was not emulated");
            assert!(made(1).work.as_ref().is_some_and(|work| work.emulated && work.ran_ms >= 200));
            let ends = timings.platforms.iter().flat_map(|platform| &platform.steps);
            let tools: Vec<StepEnd> =
                ends.filter(|step| step.instruction.contains("> /tool")).map(|step| step.end).collect();
            assert!(tools.contains(&StepEnd::Done) && tools.contains(&StepEnd::Shared), "{tools:?}");
        }
        let page = fs::read_to_string(desk.path("out.html")).expect("a page");
        assert!(page.contains("cat /tool &gt; /made") && page.contains("What emulation cost"));
        desk.ok(build.iter().chain(&files));
        let again = receipt(&desk);
        let steps = again.platforms.iter().flat_map(|platform| &platform.steps);
        assert!(steps.filter(|step| step.is_run()).all(|step| step.end == StepEnd::Cached));
    }
}

#[test]
fn a_failed_build_leaves_its_page_too() {
    let Some(base) = ready().then(busybox).flatten() else { return };
    for backend in BACKENDS {
        let desk = Desk::new();
        let context =
            desk.context("app", format!("FROM {base}\nRUN true\nRUN sleep 0.1; exit 7\nRUN true\n"));
        let ended = desk.run(["build", "--backend", backend, "--timings", "out.html", &context]);
        ended.fails(4, &["exit 7"]);
        let page = fs::read_to_string(desk.path("out.html")).expect("a page");
        assert!(page.contains("failed at <code>RUN sleep 0.1; exit 7</code>"), "{page}");
        assert_eq!(page.matches("✗ failed").count(), 1, "{page}");
    }
}

#[test]
fn a_bake_writes_one_page_for_all_targets() {
    let desk = Desk::new();
    desk.context("one", "FROM scratch\nCOPY a.txt /one\n");
    desk.context("two", "FROM scratch\nCOPY a.txt /two\n");
    let file = r#"group "default" { targets = ["first", "second"] }
        target "first" { context = "one" }
        target "second" { context = "two" }"#;
    fs::write(desk.path("docker-bake.hcl"), file).expect("written");
    desk.ok(["bake", "--timings", "out.html"]);
    let page = fs::read_to_string(desk.path("out.html")).expect("a page");
    for part in ["<h2>first</h2>", "<h2>second</h2>", "COPY a.txt /one", "COPY a.txt /two"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}

#[test]
fn the_folder_of_the_page_is_looked_at_before_the_build() {
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY no-such-file /\n");
    desk.run(["build", "--timings", "no/such/out.html", &context]).fails(3, &["no/such", "does not exist"]);
}

/// The golden page has every kind of bar, and a hostile instruction.
#[test]
fn a_browser_shows_the_page_on_light_and_dark_and_asks_nobody_for_anything() {
    if !require("chromium") {
        return;
    }
    let desk = Desk::new();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/timings.html");
    let shown = ["light", "dark"].map(|scheme| show(&desk, &page, scheme));
    for Shown { picture, said, asked } in &shown {
        assert!(!said.contains("CONSOLE"), "{said}");
        assert!(asked.is_empty(), "{asked:?}");
        assert!(picture.len() > 20_000, "nothing is to be seen");
    }
    assert_ne!(shown[0].picture, shown[1].picture, "both schemes look the same");
    // What is not seen here would be seen of a page that does it.
    let bad = desk.path("bad.html");
    let text = "<img src=\"http://127.0.0.1:9/x.png\"><script>console.error(1)</script>";
    fs::write(&bad, text).expect("written");
    let Shown { said, asked, .. } = show(&desk, &bad, "light");
    assert!(said.contains("CONSOLE"), "{said}");
    assert!(asked.iter().any(|address| address.contains("x.png")), "{asked:?}");
}

/// What came of a page in a browser.
struct Shown {
    picture: Vec<u8>,
    /// What the browser wrote to its standard error.
    said: String,
    /// The addresses that the page had the browser ask for.
    asked: Vec<String>,
}

fn show(desk: &Desk, page: &Path, scheme: &str) -> Shown {
    let (picture, log) = (desk.path("shown.png"), desk.path("net.json"));
    let setting = if scheme == "dark" { "0" } else { "1" };
    let output = Command::new("timeout")
        .args(["120", "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
        // Browsers ask their makers for things of their own, which nobody here has to answer.
        .args(["--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND"])
        .args(["--window-size=1400,1600", "--enable-logging=stderr", "--v=0"])
        .arg(format!("--blink-settings=preferredColorScheme={setting}"))
        .arg(format!("--user-data-dir={}", desk.path("profile").display()))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("--log-net-log={}", log.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("chromium runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let asked = asked(&fs::read_to_string(&log).expect("a log"));
    Shown { picture: fs::read(&picture).expect("a picture"), said, asked }
}

/// What a page had the browser ask for; what the browser asks for by itself has no origin.
fn asked(log: &str) -> Vec<String> {
    let log: Value = serde_json::from_str(log).expect("json");
    let events = log["events"].as_array().expect("events").iter();
    let is_of_page = |event: &&Value| {
        event["params"]["initiator"].as_str().is_some_and(|initiator| initiator != "not an origin")
    };
    let addresses = events.filter(is_of_page).filter_map(|event| event["params"]["url"].as_str());
    addresses.map(str::to_owned).collect()
}
