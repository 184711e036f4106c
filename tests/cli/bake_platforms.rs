//! `polyarch bake` where platforms differ: what they have of their own, and which of them may fail.

use std::fs;

use super::bake::images;
use crate::support::{command::Desk, tools};

const DIFFERENT: &str = r#"
target "app" {
  context = "app"
  platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7"]
  contexts = { parts = "target:one" }
  platform-overrides = {
    "linux/arm*" = { dockerfile = "Other" }
    "*/arm64" = { args = { NAME = "second" }, contexts = { parts = "target:two" } }
    "linux/arm/v7" = { target = "small" }
    "windows/*" = { dockerfile = "Missing" }
  }
  output = ["type=oci,dest=out,tar=false"]
}
target "one" {
  context = "app"
  dockerfile-inline = "FROM scratch\nCOPY a.txt /one\n"
}
target "two" {
  context = "app"
  dockerfile-inline = "FROM scratch\nCOPY a.txt /two\n"
}
"#;

fn desk(definition: &str) -> Desk {
    let desk = Desk::new();
    desk.context("app", "FROM scratch\nCOPY --from=parts / /\n");
    let other = "FROM scratch AS small\nCOPY a.txt /small\nFROM scratch\nARG NAME=first\nCOPY --from=parts / /$NAME/\n";
    fs::write(desk.path("app/Other"), other).expect("written");
    fs::write(desk.path("docker-bake.hcl"), definition).expect("written");
    desk
}

#[test]
fn platforms_of_a_target_have_dockerfiles_stages_arguments_and_contexts_of_their_own() {
    let desk = desk(DIFFERENT);
    desk.ok(["bake", "app"]);
    let found = images(&desk, "out");
    assert_eq!(found["amd64"], ["one"]);
    assert_eq!(found["arm64"], ["second/", "second/two"]);
    assert_eq!(found["arm"], ["small"]);
    fs::remove_dir_all(desk.path("out")).expect("removed");
    desk.ok(["bake", "app", "--set", "app.platform-overrides.linux/amd64.dockerfile=Other"]);
    assert_eq!(images(&desk, "out")["amd64"], ["first/", "first/one"]);
}

#[test]
fn contradictions_are_told_of_before_anything_runs() {
    for (key, what) in [
        ("dockerfile = \"D\"", "the Dockerfile"),
        ("contexts = { parts = \"target:one\" }", "the build context parts"),
    ] {
        let other = key.replace("one", "two").replace("\"D\"", "\"E\"");
        let text = format!(
            "{DIFFERENT}\ntarget \"wrong\" {{\n  inherits = [\"app\"]\n  platform-overrides = {{ \"linux/a*\" = {{ {key} }}\n \"*/arm64\" = {{ {other} }} }}\n}}\n"
        );
        let desk = desk(&text);
        let ended = desk.run(["bake", "wrong", "--set", "wrong.platform=linux/arm64"]);
        ended.fails(
            2,
            &["docker-bake.hcl:", ":3: target wrong: ", "*/arm64 and linux/", what, "of linux/arm64"],
        );
        assert!(!ended.stderr.contains("[one "), "{}", ended.stderr);
    }
}

/// Two targets that cannot be built, one that needs the first, and one that has nothing to do with them.
const FAILING: &str = r#"
group "default" { targets = ["user", "other", "wrong"] }
target "wrong" {
  context = "app"
  dockerfile-inline = "FROM scratch\nCOPY missing /\n"
}
target "wrong-too" {
  context = "app"
  dockerfile-inline = "FROM scratch\nCOPY lacking /\n"
}
target "user" {
  context = "app"
  contexts = { base = "target:wrong" }
  dockerfile-inline = "FROM base\n"
}
target "other" {
  context = "app"
  contexts = { base = "target:slow" }
  dockerfile-inline = "FROM base\nCOPY a.txt /other\n"
  tags = ["other:1"]
}
target "slow" {
  context = "app"
  dockerfile-inline = "FROM scratch\nCOPY a.txt /slow\n"
}
"#;

#[test]
fn told_to_go_on_everything_is_built_that_does_not_need_what_failed() {
    let desk = desk(FAILING);
    let targets = ["user", "other", "wrong", "wrong-too"];
    let built = |flags: &[&str]| {
        let ended = desk.run(["bake"].iter().chain(flags).chain(&targets));
        assert_eq!(ended.code, Some(3), "{}", ended.stderr);
        let errors = ended.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        (errors, ended)
    };
    let (errors, ended) = built(&["--keep-going"]);
    assert_eq!(errors, 2, "{}", ended.stderr);
    for told in ["target wrong: ", "target wrong-too: ", "target user was not built: it needs target wrong"] {
        ended.says(told);
    }
    assert!(desk.ok(["images"]).contains("other:1"), "{}", ended.stderr);
    // The last one of the two flags counts.
    let (errors, ended) = built(&["--keep-going", "--fail-fast"]);
    assert_eq!(errors, 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("was not built"), "{}", ended.stderr);
}

#[test]
fn platforms_that_may_fail_are_missing_in_the_targets_that_have_them() {
    let text = r#"
        group "default" { targets = ["both", "one"] }
        target "both" {
          context = "app"
          platforms = ["linux/amd64", "linux/arm64"]
          dockerfile-inline = "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /\n"
          output = ["type=oci,dest=both,tar=false"]
        }
        target "one" {
          context = "app"
          platforms = ["linux/amd64"]
          dockerfile-inline = "FROM scratch\nCOPY a.txt /\n"
          output = ["type=oci,dest=one,tar=false"]
        }
    "#;
    let desk = desk(text);
    fs::write(desk.path("app/amd64"), "").expect("written");
    let clean = || ["both", "one"].map(|folder| drop(fs::remove_dir_all(desk.path(folder))));
    desk.run(["bake"]).fails(3, &["target both: linux/arm64", "arm64"]);
    clean();
    let ended = desk.run(["bake", "--optional", "*/arm64", "--progress", "plain"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.says("linux/arm64 is missing in the index");
    assert_eq!(images(&desk, "both").keys().collect::<Vec<_>>(), ["amd64"]);
    assert_eq!(images(&desk, "one").keys().collect::<Vec<_>>(), ["amd64"]);
    clean();
    desk.run(["bake", "--optional", "windows/*"])
        .fails(2, &["windows/* is none of the platforms of the build (linux/amd64, linux/arm64)"]);
}

#[test]
fn platforms_of_targets_have_backends_of_their_own() {
    if !tools::require("buildah") {
        return;
    }
    let text = r#"
        target "app" {
          context = "app"
          platforms = ["linux/amd64", "linux/arm64"]
          dockerfile-inline = "FROM scratch\nCOPY a.txt /\n"
          platform-overrides = { "linux/amd64" = { backend = "buildah" } }
        }
    "#;
    let desk = desk(text);
    let ended = desk.run(["bake", "app", "--progress", "plain"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.says("[app linux/amd64] buildah: ");
    ended.says("[app linux/arm64] sandbox: ");
    // The command line's word goes before the file's.
    let ended = desk.run(["bake", "app", "--progress", "plain", "--backend", "linux/arm64=buildah"]);
    ended.says("[app linux/amd64] sandbox: ");
    ended.says("[app linux/arm64] buildah: ");
}
