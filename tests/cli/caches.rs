//! Caches elsewhere: what one machine did, another one need not do.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use serde_json::Value;

use crate::support::{
    bases::busybox,
    buildah::run,
    command::{Desk, Ended, ready, runs_both},
    registry::TestRegistry,
};

const BOTH: &str = "linux/amd64,linux/arm64";

/// What a build said, and what it made.
struct Built {
    digest: String,
    events: Vec<Value>,
}

impl Built {
    /// The instructions that begin with `start`, each with whether its result was there; a step that was begun and not
    /// ended counts not.
    fn steps(&self, start: &str) -> Vec<(String, bool)> {
        let mut open = BTreeMap::new();
        let mut ended = Vec::new();
        for event in &self.events {
            let step = (event["platform"].to_string(), event["step"].to_string());
            match event["event"].as_str() {
                Some("step-started") => _ = open.insert(step, event["instruction"].as_str().expect("text")),
                Some("step-finished") => {
                    let text = open[&step];
                    if text.starts_with(start) {
                        ended.push((text.to_owned(), event["cached"].as_bool().expect("a switch")));
                    }
                }
                _ => {}
            }
        }
        ended
    }

    /// How many RUN steps were done.
    fn ran(&self) -> usize {
        self.steps("RUN").iter().filter(|(_, cached)| !cached).count()
    }

    fn warnings(&self) -> Vec<&str> {
        let warned = self.events.iter().filter(|event| event["event"] == "warned");
        warned.filter_map(|event| event["message"].as_str()).collect()
    }
}

/// Two machines, each with a store of its own, a context and a place for caches.
struct Machines {
    desk: Desk,
    context: String,
}

impl Machines {
    /// A stage that another copies from, neither of which gives the same bytes twice.
    fn new() -> Option<Self> {
        let base = (ready() && runs_both()).then(busybox).flatten()?;
        let desk = Desk::new();
        let dockerfile = format!(
            "FROM --platform=$BUILDPLATFORM {base} AS compile\nCOPY a.txt /a.txt\n\
             RUN cat /a.txt /proc/sys/kernel/random/uuid > /out; head -c 200000 /dev/urandom > /large\n\
             FROM {base}\nRUN cat /proc/sys/kernel/random/uuid > /id\nCOPY --from=compile /out /out\n\
             WORKDIR /work\nENV A=1\n"
        );
        let context = desk.context("app", dockerfile);
        Some(Self { desk, context })
    }

    fn command(&self, machine: &str, arguments: &[&str]) -> Command {
        let iid = self.desk.path(&format!("{machine}.iid"));
        let mut command = self.desk.command(["--store", machine, "build", "--progress", "rawjson"]);
        command.args(["--platform", BOTH, "--iidfile"]).arg(iid).args(arguments).arg(&self.context);
        command
    }

    fn try_build(&self, machine: &str, arguments: &[&str]) -> Ended {
        Ended::of(&mut self.command(machine, arguments))
    }

    fn build(&self, machine: &str, arguments: &[&str]) -> Built {
        let ended = self.try_build(machine, arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let events = ended.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let digest = fs::read_to_string(self.desk.path(&format!("{machine}.iid"))).expect("read");
        Built { digest, events }
    }

    /// The blobs of a machine's store.
    fn blobs(&self, machine: &str) -> Vec<PathBuf> {
        let blobs = self.desk.path(machine).join("blobs/sha256");
        fs::read_dir(blobs).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    /// The largest blob of a machine: the layer of the compiling RUN.
    fn has_the_large_layer(&self, machine: &str) -> bool {
        let size = |path: &PathBuf| fs::metadata(path).expect("there").len();
        self.blobs(machine).iter().any(|path| (200_000..400_000).contains(&size(path)))
    }

    fn change(&self, from: &str, to: &str) {
        let path = self.desk.path(&self.context).join("Dockerfile");
        let text = fs::read_to_string(&path).expect("read");
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).expect("written");
    }
}

#[test]
fn another_machine_runs_nothing_and_makes_the_same_image() {
    let Some(machines) = Machines::new() else { return };
    let registry = TestRegistry::open();
    let reference = format!("{}/team/app:cache", registry.address);
    let image = format!("{}/team/app:1", registry.address);
    let (to, from) = (format!("type=registry,ref={reference}"), reference.clone());
    let (carrier, whole) = (format!("type=registry,ref={image}"), format!("{to}-max,mode=max"));
    let tag = ["-t", &image, "--push", "--cache-to", "type=inline", "--cache-to", &to];
    let more = ["--cache-to", "type=local,dest=min", "--cache-to", "type=local,dest=max,mode=max"];
    let first = machines.build("a", &[&tag[..], &more, &["--cache-to", &whole]].concat());
    assert_eq!(first.ran(), 3, "one compiles for both");
    let whole_name = format!("{from}-max");
    for (machine, cache) in [
        ("registry-min", from.as_str()),
        ("registry-max", &whole_name),
        ("local-min", "type=local,src=min"),
        ("local-max", "type=local,src=max"),
        ("inline", &carrier),
    ] {
        let arguments = ["--cache-from", cache, "--cache-to", "type=inline"];
        let second = machines.build(machine, &arguments);
        assert_eq!(second.warnings(), [""; 0], "{machine}");
        assert_eq!(second.ran(), 0, "{machine}: {:?}", second.steps(""));
        assert_eq!(second.steps("COPY").iter().filter(|(_, cached)| !cached).count(), 0, "{machine}");
        assert_eq!(second.digest, first.digest, "{machine}");
        assert!(!machines.has_the_large_layer(machine), "{machine} fetched what nobody looks into");
    }
    let again = machines.build("a", &["--cache-to", "type=inline"]);
    assert_eq!(again.digest, first.digest);
    run(Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false"])
        .arg(format!("docker://{from}")));
}

#[test]
fn with_min_what_is_not_there_is_done_once_somebody_looks_into_it() {
    let Some(machines) = Machines::new() else { return };
    machines.build("a", &["--cache-to", "type=local,dest=min", "--cache-to", "type=local,dest=max,mode=max"]);
    machines.change("COPY --from=compile /out /out", "COPY --from=compile /out /other");
    let max = machines.build("b", &["--cache-from", "type=local,src=max"]);
    assert_eq!((max.ran(), max.warnings()), (0, vec![]));
    assert!(machines.has_the_large_layer("b"));
    let min = machines.build("c", &["--cache-from", "type=local,src=min"]);
    assert_eq!((min.ran(), min.warnings()), (1, vec![]), "{:?}", min.steps(""));
    let done: Vec<String> =
        min.steps("RUN").into_iter().filter(|(_, cached)| !cached).map(|(text, _)| text).collect();
    assert!(done[0].starts_with("RUN cat /a.txt"), "{done:?}");
}
