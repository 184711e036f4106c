//! `polyarch bake`, from the files of definitions to the files of images.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::support::{
    command::{Desk, Ended},
    web::Web,
};

/// Three targets, of which one is built on another and one is two.
const DEFINITION: &str = r#"
variable "TAG" { default = "1" }
group "default" { targets = ["web", "tool"] }
target "base" {
  context = "base"
}
target "web" {
  context = "web"
  contexts = { common = "target:base" }
  dockerfile-inline = "FROM common\nCOPY web.txt /\n"
  tags = ["web:${TAG}"]
  platforms = ["linux/amd64", "linux/arm64"]
  output = ["type=oci,dest=out-web,tar=false"]
}
target "tool" {
  name = "tool-${letter}"
  matrix = { letter = ["a", "b"] }
  dockerfile = "Tools"
  args = { LETTER = letter }
  output = ["type=oci,dest=out-${letter},tar=false"]
}
"#;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.context("base", "FROM scratch\nCOPY a.txt /base.txt\n");
    fs::create_dir(desk.path("web")).expect("a folder");
    fs::write(desk.path("web/web.txt"), "web\n").expect("written");
    fs::write(desk.path("Tools"), "FROM scratch\nARG LETTER\nCOPY Tools /tool-$LETTER\n").expect("written");
    fs::write(desk.path("docker-bake.hcl"), DEFINITION).expect("written");
    desk
}

fn json_at(layout: &Path, digest: &Value) -> Value {
    let hex = digest.as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest");
    serde_json::from_slice(&fs::read(layout.join("blobs/sha256").join(hex)).expect("a blob")).expect("json")
}

/// The files of every image in a layout, by CPU.
pub(super) fn images(desk: &Desk, layout: &str) -> BTreeMap<String, Vec<String>> {
    let layout = desk.path(layout);
    let root: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).expect("a layout")).expect("json");
    let index = json_at(&layout, &root["manifests"][0]["digest"]);
    let image = |entry: &Value| {
        let manifest = json_at(&layout, &entry["digest"]);
        let mut names = Vec::new();
        for layer in manifest["layers"].as_array().expect("layers") {
            let hex =
                layer["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest");
            let file = fs::File::open(layout.join("blobs/sha256").join(hex)).expect("a layer");
            let mut bytes = Vec::new();
            flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).expect("gzip");
            for member in tar::Archive::new(&bytes[..]).entries().expect("members") {
                names.push(member.expect("a member").path().expect("a path").display().to_string());
            }
        }
        (entry["platform"]["architecture"].as_str().expect("a CPU").to_owned(), names)
    };
    index["manifests"].as_array().expect("manifests").iter().map(image).collect()
}

#[test]
fn a_group_is_built_with_what_it_needs_and_for_the_platforms_that_need_it() {
    let desk = desk();
    let ended = desk.run(["bake", "--metadata-file", "meta.json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let web = images(&desk, "out-web");
    assert_eq!(web.keys().collect::<Vec<_>>(), ["amd64", "arm64"]);
    assert!(web.values().all(|names| *names == ["base.txt", "web.txt"]), "{web:?}");
    assert!(images(&desk, "out-a").values().all(|names| *names == ["tool-a"]));
    assert!(images(&desk, "out-b").values().all(|names| *names == ["tool-b"]));
    ended.says("[web linux/arm64] ");
    ended.says("[base linux/arm64] ");
    ended.says("[tool-b ");
    let metadata: Value =
        serde_json::from_slice(&fs::read(desk.path("meta.json")).expect("a file")).expect("json");
    let names: Vec<&String> = metadata.as_object().expect("targets").keys().collect();
    assert_eq!(names, ["base", "tool-a", "tool-b", "web"]);
    assert_eq!(metadata["web"]["image.name"], "docker.io/library/web:1");
    let root: Value =
        serde_json::from_slice(&fs::read(desk.path("out-web/index.json")).expect("a layout")).expect("json");
    assert_eq!(metadata["web"]["containerimage.digest"], root["manifests"][0]["digest"]);
    let listed = desk.ok(["images", "--format", "json"]);
    assert!(
        listed.contains("web:1") && !listed.contains("base"),
        "only what was asked for has a name: {listed}"
    );
}

#[test]
fn what_is_printed_is_what_buildx_prints() {
    let desk = desk();
    let over = r#"{"target": {"web": {"args": {"SHELL": "$${HOME}"}, "cache-from": ["user/cache"]}}}"#;
    fs::write(desk.path("docker-bake.override.json"), over).expect("written");
    let set = ["--set", "web.tags+=more", "--set", "*.platform=linux/amd64", "--var", "TAG=2", "--push"];
    let printed = desk.ok(["bake", "--print", "web"].iter().chain(&set));
    // The order of the keys is buildx's, too.
    let expected = r#"{
  "group": {
    "default": {
      "targets": [
        "web"
      ]
    }
  },
  "target": {
    "base": {
      "context": "base",
      "dockerfile": "Dockerfile",
      "platforms": [
        "linux/amd64"
      ],
      "output": [
        {
          "type": "cacheonly"
        }
      ]
    },
    "web": {
      "context": "web",
      "contexts": {
        "common": "target:base"
      },
      "dockerfile": "Dockerfile",
      "dockerfile-inline": "FROM common\nCOPY web.txt /\n",
      "args": {
        "SHELL": "$${HOME}"
      },
      "tags": [
        "web:2",
        "more"
      ],
      "cache-from": [
        {
          "ref": "user/cache",
          "type": "registry"
        }
      ],
      "platforms": [
        "linux/amd64"
      ],
      "output": [
        {
          "dest": "out-web",
          "tar": "false",
          "type": "oci"
        }
      ]
    }
  }
}
"#;
    assert_eq!(printed, expected);
    let mut command = desk.command(["bake", "-f", "-", "--print"]);
    command.stdin(Stdio::from(fs::File::open(desk.path("docker-bake.hcl")).expect("a file")));
    command.env("TAG", "env");
    let printed: Value = serde_json::from_str(&Ended::of(&mut command).success()).expect("json");
    assert_eq!(printed["target"]["web"]["tags"], json!(["web:env"]));
    let listed = desk.ok(["bake", "--list", "targets"]);
    assert!(listed.contains("tool-a") && listed.contains("tool-a, tool-b"), "{listed}");
    assert!(desk.ok(["bake", "--list", "variables"]).contains("TAG"));
}

#[test]
fn a_compose_file_is_built_with_the_variables_beside_it() {
    let desk = desk();
    fs::remove_file(desk.path("docker-bake.hcl")).expect("removed");
    fs::write(desk.path(".env"), "FOLDER=base\n").expect("written");
    let compose = "services:\n  one:\n    build:\n      context: ./${FOLDER}\n    image: one:1\n  two:\n    image: two\n";
    fs::write(desk.path("compose.yaml"), compose).expect("written");
    desk.ok(["bake", "--set", "one.output=type=oci,dest=out,tar=false"]);
    assert!(images(&desk, "out").values().all(|names| *names == ["base.txt"]));
    assert!(desk.ok(["images", "--format", "json"]).contains("one:1"));
}

#[test]
fn what_cannot_be_built_is_told_with_its_file_target_and_attribute() {
    let desk = desk();
    for (text, arguments, code, words) in [
        (
            "target \"a\" { output = [\"type=docke\"] }",
            &["a"][..],
            3,
            &["x.hcl:1:14: target a: output: ", "\"docke\""][..],
        ),
        (
            "target \"a\" { attest = [\"type=sbom,generator=x\"] }",
            &["a"],
            3,
            &["target a: attest: generator=\"x\" of sbom is not supported"],
        ),
        ("target \"a\" { platforms = [\"a/b/c/d\"] }", &["a"], 3, &["target a: platforms: "]),
        (
            "target \"a\" { entitlements = [\"security.insecure\"] }",
            &["a"],
            3,
            &["entitlements: security.insecure is not"],
        ),
        (
            "target \"a\" { context = \"nothing\" }",
            &["a"],
            3,
            &["x.hcl:1:14: target a: the context nothing does not exist"],
        ),
        ("target \"a\" {}", &[], 3, &["there is no target \"default\""]),
        (
            "target \"a\" { platforms = [\"linux/amd64\", \"linux/arm64\"] }",
            &["a", "--load"],
            2,
            &["target a: an output of type docker holds one platform, and 2 are built"],
        ),
        (
            "target \"a\" {\n  tags = [TAGG]\n}\nvariable \"TAG\" {}",
            &["a"],
            3,
            &["x.hcl:2:11: ", "did you mean \"TAG\""],
        ),
        ("target \"a\" { dockerfile-inline = \"FORM scratch\" }", &["a"], 3, &["target a: ", "FORM"]),
    ] {
        fs::write(desk.path("x.hcl"), text).expect("written");
        desk.run(["bake", "-f", "x.hcl"].iter().chain(arguments)).fails(code, words);
    }
    for (file, text, words) in [
        (
            "x.json",
            "{\"target\": {\"a\": {\n \"output\": [\"type=docke\"]}}}",
            "x.json:2:2: target a: output: ",
        ),
        ("x.json", "{\"target\": {\"a\": {\n \"shm-size\": \"x\"}}}", "x.json:2:2: target a: shm-size: "),
        ("x.yaml", "services:\n  a:\n    build:\n      shm_size: x\n", "x.yaml:4:7: target a: shm-size: "),
        ("x.yaml", "services:\n  a:\n    image: UPPER\n    build: .\n", "x.yaml:3:5: target a: tags: "),
        (
            "x.yaml",
            "services:\n  a:\n    build:\n      x-bake:\n        output: type=docke\n",
            "x.yaml:5:9: target a: output: ",
        ),
        (
            "x.hcl",
            "target \"b\" {\n  contexts = { x = \"s3://y\" }\n}\ntarget \"a\" {\n  inherits = [\"b\"]\n}",
            "x.hcl:2:3: target a: contexts: ",
        ),
        (
            "x.hcl",
            "target \"a\" {\n  platform-overrides = { \"linux/*\" = { contexts = { x = \"s3://y\" } } }\n}",
            "x.hcl:2:3: target a: platform-overrides: linux/*: ",
        ),
    ] {
        fs::write(desk.path(file), text).expect("written");
        desk.run(["bake", "-f", file, "a"]).fails(3, &[words]);
    }
    fs::write(desk.path("x.hcl"), "target \"a\" {\n  output = [\"type=oci,dest=x\"]\n}").expect("written");
    desk.run(["bake", "-f", "x.hcl", "a", "--set", "a.output=type=docke"])
        .fails(3, &["--set: target a: output: "]);
    desk.run(["bake", "-f", "none.hcl"]).fails(3, &["cannot read none.hcl"]);
    fs::remove_file(desk.path("docker-bake.hcl")).expect("removed");
    desk.run(["bake"]).fails(3, &["there is no file with definitions here"]);
}

#[test]
fn a_target_that_is_only_checked_is_not_built() {
    let desk = desk();
    let text = "target \"a\" {\n call = \"check\"\n dockerfile-inline = \"FROM scratch AS Upper\\nCOPY base /\\n\"\n tags = [\"a\"]\n}";
    fs::write(desk.path("x.hcl"), text).expect("written");
    let ended = desk.run(["bake", "-f", "x.hcl", "a"]);
    ended.fails(1, &["target a: the build checks found"]);
    assert!(String::from_utf8_lossy(&ended.stdout).contains("StageNameCasing"));
    assert!(!desk.ok(["images"]).contains("docker.io/library/a"));
}

#[test]
fn the_first_failure_ends_what_is_running_and_gives_the_exit_code() {
    let (desk, web) = (desk(), Web::start());
    let slow = web.put("slow-context.tar", "x");
    let text = format!(
        "group \"default\" {{ targets = [\"slow\", \"wrong\"] }}\ntarget \"slow\" {{ context = \"{slow}\" }}\n\
         target \"wrong\" {{ dockerfile-inline = \"FROM scratch\\nCOPY missing /\\n\" }}\n"
    );
    fs::write(desk.path("x.hcl"), text).expect("written");
    let begun = Instant::now();
    desk.run(["bake", "-f", "x.hcl"]).fails(3, &["target wrong: ", "missing"]);
    assert!(begun.elapsed() < Duration::from_secs(30), "it waited for the slow one");
}

#[test]
fn an_interrupted_bake_ends_all_targets_and_leaves_nothing() {
    let (desk, web) = (desk(), Web::start());
    let (one, two) = (web.put("slow-one.tar", "x"), web.put("slow-two.tar", "x"));
    let text = format!(
        "group \"default\" {{ targets = [\"one\", \"two\", \"late\"] }}\ntarget \"one\" {{ context = \"{one}\" }}\n\
         target \"two\" {{ context = \"{two}\" }}\n\
         target \"late\" {{ contexts = {{ base = \"target:one\" }} }}\n"
    );
    fs::write(desk.path("x.hcl"), text).expect("written");
    let mut child = desk.begin("log", ["bake", "-f", "x.hcl"]);
    let begun = Instant::now();
    let mut asked = 0;
    while asked < 2 {
        asked += web.asked().len();
        assert!(begun.elapsed() < Duration::from_secs(30), "the contexts are not fetched");
        thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(i32::try_from(child.id()).expect("an id")), Signal::SIGINT).expect("sent");
    let status = child.wait().expect("ended");
    let log = fs::read_to_string(desk.path("log")).expect("a log");
    assert_eq!(status.code(), Some(130), "{log}");
    assert_eq!(log.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{log}");
    assert!(desk.scratch(&desk.store()).is_empty());
}
