//! Pushes that end in the middle: what the tags mean then, and what is said of them.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::support::{
    command::{Desk, has_tag, ready},
    registry::TestRegistry,
    registry_proxy::Proxy,
    registry_walk::Walk,
    weather::seed,
};

const BOTH: &str = "linux/amd64,linux/arm64";
/// Two images, each with a layer of its own.
const DOCKERFILE: &str = "FROM scratch\nARG TARGETARCH\nCOPY a.txt /a.txt\nCOPY a.txt /$TARGETARCH\n";
/// How often a push is killed.
const KILLS: u64 = 20;

/// Which registry is killed, and by which request to the first.
#[derive(Clone, Copy, Debug)]
struct Death {
    method: &'static str,
    path: &'static str,
    of_first: bool,
    /// What is said of each name.
    said: [&'static str; 3],
}

fn dies(death: Death) {
    let (desk, first, second) = (Desk::new(), TestRegistry::open(), TestRegistry::open());
    let context = desk.context("app", DOCKERFILE);
    let proxy = Proxy::before(&first.address);
    let addresses = [proxy.address.clone(), second.address.clone()];
    let registries = Arc::new(Mutex::new([Some(first), Some(second)]));
    let killed = registries.clone();
    proxy.choose(move |asked| {
        if asked.method == death.method && asked.path.ends_with(death.path) {
            drop(killed.lock().expect("registries")[usize::from(!death.of_first)].take());
        }
        None
    });
    let names = [
        format!("{}/app:1", addresses[0]),
        format!("{}/app:1", addresses[1]),
        format!("{}/app:2", addresses[0]),
    ];
    let mut arguments = vec!["build", "--push", "--platform", BOTH, "--progress", "plain"];
    arguments.extend(["--receipt", "receipt", "--metadata-file", "metadata", "--iidfile", "id"]);
    arguments.extend(names.iter().flat_map(|name| ["-t", name]));
    arguments.push(&context);
    let ended = desk.run(&arguments);
    let dead = &addresses[usize::from(!death.of_first)];
    ended.fails(7, &[dead.as_str()]);
    for (name, said) in names.iter().zip(death.said) {
        ended.says(&format!("  {said:9}  {name}\n"));
        // What is alive can be asked.
        if !name.starts_with(dead) {
            assert_eq!(has_tag(name), said == "pushed", "{death:?}: {name}: {}", ended.stderr);
        }
    }
    for file in ["receipt", "metadata", "id"] {
        assert!(!desk.path(file).exists(), "{death:?}: {file}");
    }
    assert!(desk.names().is_empty(), "{death:?}");
}

#[test]
fn a_registry_that_dies_in_the_middle_is_told_of_name_by_name_and_no_file_says_it_went_well() {
    if !ready() {
        return;
    }
    let deaths = [
        Death { method: "PUT", path: "/manifests/1", of_first: true, said: ["unknown", "pushed", "unknown"] },
        Death {
            method: "PUT",
            path: "/manifests/1",
            of_first: false,
            said: ["pushed", "as before", "pushed"],
        },
        Death {
            method: "POST",
            path: "/blobs/uploads/",
            of_first: true,
            said: ["as before", "as before", "as before"],
        },
    ];
    thread::scope(|scope| {
        for death in deaths {
            scope.spawn(move || dies(death));
        }
    });
}

#[test]
fn a_push_that_is_killed_at_any_moment_leaves_every_tag_whole() {
    if !ready() {
        return;
    }
    let (desk, registry, seed) = (Desk::new(), TestRegistry::open(), seed());
    let context = desk.context("app", DOCKERFILE);
    let proxy = Proxy::before(&registry.address);
    let names = ["app:1", "app:2", "mirror:1"].map(|name| format!("{}/{name}", proxy.address));
    let mut arguments = vec!["build", "--push", "--platform", BOTH, &context];
    arguments.extend(names.iter().flat_map(|name| ["-t", name]));
    let change = |number: u64| {
        let line = format!("{number}\n");
        fs::write(desk.path("app/a.txt"), line.repeat(100_000)).expect("written");
    };
    change(KILLS);
    desk.ok(&arguments);
    let (all, mut walk) = (proxy.requests().len(), Walk::through(&registry.address));
    let mut tags = walk.all();
    assert_eq!(tags.len(), 3, "{tags:?}");
    let mut killed = 0;
    for number in 0..KILLS {
        change(number);
        let mut hasher = DefaultHasher::new();
        (seed, number).hash(&mut hasher);
        let drawn = usize::try_from(hasher.finish() % 1_000_000).expect("a number");
        let (last, wait) = (proxy.requests().len() + drawn % all, Duration::from_micros(drawn as u64 % 3000));
        let mut process = desk.begin("log", &arguments);
        let status = loop {
            if let Some(status) = process.try_wait().expect("a process") {
                break status;
            }
            if proxy.requests().len() > last {
                thread::sleep(wait);
                process.kill().expect("killed");
                break process.wait().expect("a process");
            }
            thread::sleep(Duration::from_millis(1));
        };
        assert!(status.success() || status.code().is_none(), "{:?}", fs::read_to_string(desk.path("log")));
        killed += u64::from(!status.success());
        // What was sent may be taken a moment later.
        thread::sleep(Duration::from_millis(50));
        let after = walk.all();
        assert_eq!(after.len(), 3, "{after:?}");
        if status.success() {
            assert!(after.values().all(|digest| !tags.values().any(|old| old == digest)), "{after:?}");
        }
        tags = after;
    }
    assert!(killed > KILLS / 2, "only {killed} were killed");
    desk.ok(&arguments);
    Walk::through(&registry.address).all();
}
