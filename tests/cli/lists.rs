//! Images after they are built: names, publishing, and manifest lists.

use std::process::Child;

use serde_json::Value;

use crate::support::{
    command::{Desk, has_tag, platforms, raw, raw_json, ready},
    registry::TestRegistry,
};

const BOTH: &str = "linux/amd64,linux/arm64";
const COPY: &str = "FROM scratch\nCOPY a.txt /a.txt\n";

/// Twelve CPUs.
const CPUS: [&str; 12] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64le", "riscv64",
    "s390x",
];

/// A desk with images: `both:1` for two platforms, and one for each of them.
fn desk() -> Desk {
    let desk = Desk::new();
    let context = desk.context("app", COPY);
    for (name, platforms) in [("both:1", BOTH), ("amd:1", "linux/amd64"), ("arm:1", "linux/arm64")] {
        desk.ok(["build", "-t", name, "--platform", platforms, &context]);
    }
    desk
}

fn inspect(desk: &Desk, list: &str) -> Value {
    serde_json::from_str(&desk.ok(["manifest", "inspect", list])).expect("json")
}

#[test]
fn images_are_listed_tagged_and_pushed() {
    if !ready() {
        return;
    }
    let (desk, registry) = (desk(), TestRegistry::open());
    let name = format!("{}/copy:2", registry.address);
    desk.ok(["tag", "both:1", "other:3", &name]);
    let table = desk.ok(["images"]);
    let row = table.lines().find(|line| line.starts_with("both:1 ")).expect("a row");
    assert!(row.ends_with("linux/amd64, linux/arm64"), "{table}");
    let list: Value = serde_json::from_str(&desk.ok(["images", "--format", "json"])).expect("json");
    let named = |name: &str| {
        list.as_array().expect("a list").iter().find(|image| image["name"] == name).expect("an image")
    };
    assert_eq!(named("docker.io/library/both:1")["digest"], named("docker.io/library/other:3")["digest"]);
    assert_eq!(list.as_array().expect("a list").len(), 5);

    let pushed = desk.ok(["push", &name]);
    let digest = named(&name)["digest"].as_str().expect("a digest");
    assert_eq!(pushed, format!("{name}@{digest}\n"));
    assert_eq!(platforms(&raw_json(&name)), ["linux/amd64", "linux/arm64"]);
    let elsewhere = [format!("{}/a:1", registry.address), format!("{}/b:1", registry.address)];
    desk.ok(["push", "both:1", &elsewhere[0], &elsewhere[1]]);
    assert!(elsewhere.iter().all(|name| raw(name) == raw(&name.replace("/a:1", "/b:1"))));

    desk.run(["tag", "nothing:1", "x:1"]).fails(3, &["nothing:1", "in the store"]);
    desk.run(["push", "nothing:1"]).fails(3, &["nothing:1"]);
}

#[test]
fn a_list_is_made_of_single_images_and_published() {
    if !ready() {
        return;
    }
    let (desk, registry) = (desk(), TestRegistry::open());
    let list = format!("{}/list:1", registry.address);
    desk.ok(["manifest", "create", &list]);
    assert_eq!(platforms(&inspect(&desk, &list)), [""; 0]);
    desk.ok(["manifest", "add", &list, "arm:1"]);
    desk.ok(["manifest", "add", "--annotation", "k=v", &list, "amd:1"]);
    desk.ok(["manifest", "annotate", "--annotation", "x=y", "--os-version", "1.2", &list, "linux/amd64"]);
    let index = inspect(&desk, &list);
    assert_eq!(platforms(&index), ["linux/arm64", "linux/amd64"]);
    assert_eq!(index["manifests"][1]["annotations"], serde_json::json!({"k": "v", "x": "y"}));
    assert_eq!(index["manifests"][1]["platform"]["os.version"], "1.2");
    let digest = desk.ok(["manifest", "push", &list]);
    assert_eq!(raw_json(&list), index);
    assert!(digest.starts_with(&format!("{list}@sha256:")));

    // The same from a registry, with a store that has never seen the images.
    let fresh = Desk::new();
    fresh.ok(["manifest", "create", "copy:1", &format!("docker://{list}")]);
    assert_eq!(inspect(&fresh, "copy:1")["manifests"], index["manifests"]);
    fresh.ok(["manifest", "create", "single:1"]);
    let one =
        format!("{}/list@{}", registry.address, index["manifests"][0]["digest"].as_str().expect("a digest"));
    fresh.ok(["manifest", "add", "single:1", &one]);
    assert_eq!(platforms(&inspect(&fresh, "single:1")), ["linux/arm64"]);
    fresh.ok(["manifest", "rm", "copy:1", "single:1"]);
    assert_eq!(fresh.names(), [""; 0]);
}

#[test]
fn a_list_takes_each_platform_once() {
    if !ready() {
        return;
    }
    let desk = desk();
    let other = desk.context("other", "FROM scratch\nCOPY a.txt /other.txt\n");
    desk.ok(["build", "-t", "other:1", "--platform", BOTH, &other]);
    desk.ok(["manifest", "create", "list:1", "both:1"]);
    let before = inspect(&desk, "list:1");
    desk.run(["manifest", "add", "list:1", "other:1"]).fails(3, &["linux/amd64"]);
    desk.run(["manifest", "annotate", "--arch", "arm64", "list:1", "linux/amd64"]).fails(3, &["linux/arm64"]);
    desk.run(["manifest", "annotate", "--arch", "arm64", "--variant", "v8", "list:1", "linux/amd64"])
        .fails(3, &["linux/arm64"]);
    // The same image again is no other image.
    desk.ok(["manifest", "add", "list:1", "arm:1"]);
    assert_eq!(inspect(&desk, "list:1"), before);
    desk.run(["manifest", "create", "twice:1", "both:1", "other:1"]).fails(3, &["linux/amd64"]);
    desk.run(["manifest", "create", "list:1"]).fails(3, &["list:1", "in use"]);
    desk.run(["manifest", "add", "nothing:1", "arm:1"]).fails(3, &["nothing:1"]);
    desk.run(["manifest", "annotate", "list:1", "linux/s390x"]).fails(3, &["list:1", "linux/s390x"]);
    desk.run(["manifest", "annotate", "list:1", "plan9"]).fails(2, &["plan9"]);
    desk.run(["manifest", "inspect", "nothing:1"]).fails(3, &["nothing:1"]);
    assert!(!desk.names().iter().any(|name| name.contains("twice")));
}

#[test]
fn a_list_that_cannot_be_completed_is_not_made() {
    if !ready() {
        return;
    }
    let (desk, registry) = (desk(), TestRegistry::open());
    let missing = format!("{}/missing:1", registry.address);
    let before = desk.names();
    desk.run(["manifest", "create", "list:1", "amd:1", &missing]).fails(7, &["missing"]);
    desk.run(["manifest", "create", "list:1", "amd:1", "127.0.0.1:1/x:1"]).fails(7, &["127.0.0.1:1"]);
    desk.run(["manifest", "add", "both:1", &missing]).fails(7, &["missing"]);
    assert_eq!(desk.names(), before);
    assert!(!has_tag(&missing));
}

#[test]
fn twelve_processes_add_to_one_list_and_no_entry_is_lost() {
    if !ready() {
        return;
    }
    let (desk, registry) = (Desk::new(), TestRegistry::open());
    let context = desk.context("app", COPY);
    let name = format!("{}/app", registry.address);
    let all = CPUS.map(|cpu| format!("linux/{cpu}")).join(",");
    desk.ok(["build", "--push", "-t", &name, "--platform", &all, &context]);
    let index = raw_json(&name);
    desk.ok(["manifest", "create", "list:1"]);
    let add = |entry: &Value| {
        let image = format!("docker://{name}@{}", entry["digest"].as_str().expect("a digest"));
        desk.begin("log", ["manifest", "add", "list:1", &image])
    };
    let processes: Vec<Child> = index["manifests"].as_array().expect("entries").iter().map(add).collect();
    assert_eq!(processes.len(), CPUS.len());
    for mut process in processes {
        assert!(process.wait().expect("ended").success());
    }
    let sorted = |index: &Value| {
        let mut platforms = platforms(index);
        platforms.sort();
        platforms
    };
    assert_eq!(sorted(&inspect(&desk, "list:1")), sorted(&index));
}
