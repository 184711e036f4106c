//! What the options of a build change in its images.

use std::{fs, io::Write as _, process::Stdio};

use serde_json::Value;

use crate::support::{
    bases::busybox,
    buildah::run,
    command::{Desk, Ended, config_of, platforms, raw_json, ready},
    registry::TestRegistry,
};

const BOTH: &str = "linux/amd64,linux/arm64";
const COPY: &str = "FROM scratch\nCOPY a.txt /a.txt\n";

/// An image of the store as skopeo finds it.
fn stored(desk: &Desk, tag: &str) -> String {
    format!("oci:{}:{tag}", desk.store().display())
}

#[test]
fn the_digest_goes_to_files_and_to_quiet_output() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let context = desk.context("app", COPY);
    let files = ["--iidfile", "id", "--metadata-file", "meta.json", "-t", "a/b:1", "-t", "c:2"];
    let ended = desk.run(["build", "-q", "--platform", BOTH, &context].iter().chain(&files));
    assert_eq!(ended.stderr, "");
    let digest = ended.success();
    assert_eq!(format!("{}\n", fs::read_to_string(desk.path("id")).expect("read")), digest);
    assert_eq!(platforms(&desk.index(&digest)), ["linux/amd64", "linux/arm64"]);
    let text = fs::read(desk.path("meta.json")).expect("read");
    let metadata: Value = serde_json::from_slice(&text).expect("json");
    assert_eq!(metadata["containerimage.digest"], digest.trim());
    assert_eq!(metadata["containerimage.descriptor"]["digest"], digest.trim());
    assert_eq!(metadata["image.name"], "docker.io/a/b:1,docker.io/library/c:2");
    assert_eq!(metadata.get("containerimage.config.digest"), None, "several platforms have no one config");
}

#[test]
fn one_platform_is_identified_by_the_digest_of_its_config() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let context = desk.context("app", COPY);
    let files = ["--iidfile", "id", "--metadata-file", "meta.json", "--annotation", "a=b"];
    let digest = desk.ok(["build", "-q", "--platform", "linux/arm64", &context].iter().chain(&files));
    let index = desk.index(&digest);
    let manifest = desk.index(index["manifests"][0]["digest"].as_str().expect("a digest"));
    let config = manifest["config"]["digest"].as_str().expect("a digest");
    assert_eq!(fs::read_to_string(desk.path("id")).expect("read"), config);
    let text = fs::read(desk.path("meta.json")).expect("read");
    let metadata: Value = serde_json::from_slice(&text).expect("json");
    assert_eq!(metadata["containerimage.config.digest"], config);
    assert_eq!(metadata["containerimage.digest"], digest.trim());
}

#[test]
fn every_line_of_raw_progress_is_an_event_and_none_is_missing() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let context = desk.context("app", COPY);
    let ended = desk.run(["build", "--progress", "rawjson", "--platform", BOTH, &context]);
    let events: Vec<Value> =
        ended.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for (number, event) in events.iter().enumerate() {
        assert_eq!((&event["version"], &event["sequence"]), (&1.into(), &number.into()), "{event}");
        assert_eq!(event["build"], events[0]["build"]);
    }
    let last = events.last().expect("an event");
    assert_eq!((&last["event"], last.get("error")), (&"finished".into(), None));
    assert_eq!(events.iter().filter(|event| event["event"] == "image-built").count(), 2);
}

#[test]
fn labels_arguments_and_the_target_reach_the_image() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let context = desk.context(
        "app",
        "ARG TOP=x\nFROM scratch AS one\nARG VERSION=0\nARG FROM_ENV\nENV VERSION=$VERSION FROM_ENV=$FROM_ENV\n\
         COPY a.txt /one\nFROM scratch\nCOPY a.txt /two\n",
    );
    let mut command = desk.command(["build", "-t", "app:1", "--target", "one", "--label", "who=me = you"]);
    command.args(["--build-arg", "VERSION=1 2=3", "--build-arg", "FROM_ENV", "--platform", "linux/amd64"]);
    Ended::of(command.arg(&context).env("FROM_ENV", "outside")).success();
    let config = config_of(&stored(&desk, "1"), "amd64");
    let environment = config["config"]["Env"].to_string();
    assert!(environment.contains("VERSION=1 2=3") && environment.contains("FROM_ENV=outside"), "{config}");
    assert_eq!(config["config"]["Labels"]["who"], "me = you");
    let files = desk.unpack(&stored(&desk, "1"), "amd64");
    assert!(files.join("one").is_file() && !files.join("two").exists());
}

#[test]
fn annotations_go_to_the_level_that_they_name() {
    if !ready() {
        return;
    }
    let (desk, registry) = (Desk::new(), TestRegistry::open());
    let context = desk.context("app", COPY);
    let name = format!("{}/app:1", registry.address);
    let annotations =
        ["a=everywhere", "manifest[linux/arm64]:b=arm", "manifest-descriptor:c=entry", "index:d=top"];
    let options = annotations.iter().flat_map(|annotation| ["--annotation", annotation]);
    desk.ok(["build", "--push", "-t", &name, "--platform", BOTH, &context].into_iter().chain(options));
    let index = raw_json(&name);
    assert_eq!(index["annotations"], serde_json::json!({"d": "top"}));
    let expected = [
        ("amd64", serde_json::json!({"a": "everywhere"})),
        ("arm64", serde_json::json!({"a": "everywhere", "b": "arm"})),
    ];
    for (entry, (architecture, annotations)) in
        index["manifests"].as_array().expect("entries").iter().zip(expected)
    {
        assert_eq!(entry["platform"]["architecture"], architecture);
        assert_eq!(entry["annotations"], serde_json::json!({"c": "entry"}));
        let digest = entry["digest"].as_str().expect("a digest");
        let manifest = raw_json(&format!("{}/app@{digest}", registry.address));
        // buildah adds its own; what was asked for must be there.
        for (key, value) in annotations.as_object().expect("annotations") {
            assert_eq!(manifest["annotations"][key], *value);
        }
        assert_eq!(manifest["annotations"].get("b").is_some(), architecture == "arm64");
    }
}

#[test]
fn the_dockerfile_may_be_anywhere_and_come_from_standard_input() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let context = desk.context("my app", "FROM scratch\nCOPY a.txt /wrong\n");
    fs::create_dir(desk.path("my app/sub dir")).expect("a folder");
    fs::write(desk.path("my app/sub dir/b c.txt"), "b c\n").expect("written");
    let windows = "FROM scratch\r\nCOPY [\"sub dir/b c.txt\", \\\r\n  \"/b c.txt\"]\r\nENV A=b\r\n";
    fs::write(desk.path("Docker file.crlf"), windows).expect("written");
    desk.ok(["build", "-t", "app:crlf", "-f", "Docker file.crlf", "--platform", "linux/amd64", &context]);
    let files = desk.unpack(&stored(&desk, "crlf"), "amd64");
    assert_eq!(fs::read_to_string(files.join("b c.txt")).expect("read"), "b c\n");
    let config = config_of(&stored(&desk, "crlf"), "amd64");
    assert!(config["config"]["Env"].as_array().expect("variables").contains(&"A=b".into()), "{config}");

    let mut command =
        desk.command(["build", "-t", "app:stdin", "-f", "-", "--platform", "linux/amd64", &context]);
    let mut build = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("polyarch starts");
    build.stdin.take().expect("stdin").write_all(COPY.as_bytes()).expect("sent");
    assert!(build.wait().expect("ended").success());
    assert!(desk.unpack(&stored(&desk, "stdin"), "amd64").join("a.txt").is_file());
}

#[test]
fn a_step_runs_again_only_without_the_cache() {
    let Some(base) = ready().then(busybox).flatten() else { return };
    let desk = Desk::new();
    let context = desk.context("app", format!("FROM {base}\nRUN cat /proc/sys/kernel/random/uuid > /id\n"));
    let build = |options: &[&str]| {
        desk.ok(["build", "-q", "-t", "app:1", &context].iter().chain(options));
        let files = desk.unpack(&stored(&desk, "1"), polyarch_actors::Platform::host_linux().arch());
        fs::read_to_string(files.join("id")).expect("read")
    };
    let first = build(&[]);
    assert_eq!(first, build(&[]));
    assert_ne!(first, build(&["--no-cache"]));
}

#[test]
fn a_newer_base_is_used_only_when_it_is_asked_for() {
    if !ready() {
        return;
    }
    let (desk, registry) = (Desk::new(), TestRegistry::open());
    let base = format!("{}/base:1", registry.address);
    let publish = |file: &str| {
        let context = desk.context("base", format!("FROM scratch\nCOPY a.txt /{file}\n"));
        desk.ok(["build", "--push", "-t", &base, "--platform", "linux/amd64", &context]);
    };
    let context = desk.context("app", format!("FROM {base}\nCOPY a.txt /app\n"));
    let has = |file: &str, options: &[&str]| {
        let arguments = ["build", "-t", "app:app", "--platform", "linux/amd64", &context];
        desk.ok(arguments.iter().chain(options));
        desk.unpack(&stored(&desk, "app"), "amd64").join(file).is_file()
    };
    publish("old");
    assert!(has("old", &[]));
    publish("new");
    assert!(has("old", &["--pull=false"]));
    assert!(has("new", &["--pull"]));
}

#[test]
fn a_secret_is_seen_by_its_step_and_by_nobody_else() {
    let Some(base) = ready().then(busybox).flatten() else { return };
    let desk = Desk::new();
    let secret = "Ohmei7eiThe4quieNg5a";
    fs::write(desk.path("token"), secret).expect("written");
    let context = desk.context(
        "app",
        format!(
            "FROM {base}\nRUN --mount=type=secret,id=token cat /run/secrets/token | busybox wc -c > /file\n\
             RUN --mount=type=secret,id=other cat /run/secrets/other | busybox wc -c > /variable\n\
             RUN test ! -s /run/secrets/token\n"
        ),
    );
    let options =
        ["--secret", "id=token,src=token", "--secret", "id=other,env=OTHER", "--progress", "rawjson"];
    let mut command = desk.command(["build", "-t", "app:1", &context].iter().chain(&options));
    let ended = Ended::of(command.env("OTHER", secret));
    assert!(!ended.stderr.contains(secret));
    assert_eq!(ended.success(), "");
    let files = desk.unpack(&stored(&desk, "1"), polyarch_actors::Platform::host_linux().arch());
    for file in ["file", "variable"] {
        assert_eq!(fs::read_to_string(files.join(file)).expect("read").trim(), "20");
    }
    fs::remove_file(desk.path("token")).expect("removed");
    // Layers are compressed in the store, and unpacked beside it.
    let mut grep = std::process::Command::new("grep");
    let found = grep.args(["-rFl", secret]).arg(desk.path(".")).output().expect("grep");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[test]
fn named_contexts_stand_in_for_folders_and_images() {
    if !ready() {
        return;
    }
    let (desk, registry) = (Desk::new(), TestRegistry::open());
    let name = format!("{}/real:1", registry.address);
    let base = desk.context("base", "FROM scratch\nCOPY a.txt /from-base\n");
    desk.ok(["build", "--push", "-t", &name, "--platform", BOTH, &base]);
    desk.context("more files", "");
    fs::write(desk.path("more files/b.txt"), "more\n").expect("written");
    let context = desk.context("app", "FROM nowhere.invalid/base\nCOPY --from=more b.txt /b.txt\n");
    let image = format!("nowhere.invalid/base=docker-image://{name}");
    let options = ["--build-context", &image, "--build-context", "more=more files"];
    desk.ok(["build", "-t", "app:app", "--platform", BOTH, &context].iter().chain(&options));
    for architecture in ["amd64", "arm64"] {
        let files = desk.unpack(&stored(&desk, "app"), architecture);
        assert!(files.join("from-base").is_file());
        assert_eq!(fs::read_to_string(files.join("b.txt")).expect("read"), "more\n");
    }
}

#[test]
fn variables_that_are_set_to_nothing_count_as_not_set() {
    let desk = Desk::new();
    let home = desk.path("home");
    fs::create_dir(&home).expect("a folder");
    let mut command = desk.command(["backends"]);
    command.env("POLYARCH_BACKEND", "").env("HOME", &home);
    Ended::of(&mut command).success();
    if ready() {
        let context = desk.context("app", COPY);
        Ended::of(desk.command(["build", &context]).env("POLYARCH_BACKEND", "")).success();
    }
    assert!(run(std::process::Command::new("ls").arg("-A").arg(&home)).is_empty());
}
