//! What a build has for some of its platforms: `PATTERN=VALUE`, from the command line to the images.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use super::bake::images;
use crate::support::{
    buildah::run,
    command::{Desk, Ended},
    tools,
};

const THREE: &str = "linux/amd64,linux/arm64,linux/arm/v7";

/// A context with two Dockerfiles, of which the second one has its own ignore file and two stages.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.context("app", "FROM scratch\nARG NAME=plain\nCOPY a.txt /$NAME\n");
    let other = "FROM scratch AS small\nARG NAME=arm\nCOPY * /$NAME/\nFROM scratch\nCOPY a.txt /large\n";
    fs::write(desk.path("app/Dockerfile.arm"), other).expect("written");
    fs::write(desk.path("app/Dockerfile.arm.dockerignore"), "Docker*\n").expect("written");
    desk
}

fn build(desk: &Desk, more: &[&str]) -> Ended {
    desk.run(
        ["build", "--progress=plain", "-o", "type=oci,dest=out,tar=false"].iter().chain(more).chain(&["app"]),
    )
}

/// The files of each image of a build that must succeed.
fn built(desk: &Desk, more: &[&str]) -> BTreeMap<String, Vec<String>> {
    let _ = fs::remove_dir_all(desk.path("out"));
    build(desk, more).success();
    images(desk, "out")
}

fn files(of: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    of.iter().map(|(cpu, files)| ((*cpu).to_owned(), names(files))).collect()
}

#[test]
fn platforms_of_one_index_have_dockerfiles_stages_and_arguments_of_their_own() {
    let desk = desk();
    let file = "linux/arm*=app/Dockerfile.arm";
    let found = built(&desk, &["--platform", THREE, "-f", file]);
    assert_eq!(found, files(&[("amd64", &["plain"]), ("arm", &["large"]), ("arm64", &["large"])]));
    let found = built(
        &desk,
        &["--platform", THREE, "-f", "app/Dockerfile", "-f", file, "--target", "linux/arm64=small"],
    );
    // What the ignore file of the second Dockerfile leaves out is left out where that Dockerfile counts.
    let small: &[&str] = &["arm/", "arm/a.txt"];
    assert_eq!(found, files(&[("amd64", &["plain"]), ("arm", &["large"]), ("arm64", small)]));
    let names = [
        "--build-arg",
        "NAME=all",
        "--build-arg",
        "linux/arm*=NAME=arms",
        "--build-arg",
        "linux/arm=NAME=v7",
    ];
    let found = built(&desk, &[&["--platform", THREE][..], &names].concat());
    assert_eq!(found, files(&[("amd64", &["all"]), ("arm", &["v7"]), ("arm64", &["arms"])]));
}

#[test]
fn a_context_of_one_name_is_another_one_for_another_platform() {
    let desk = desk();
    fs::write(desk.path("app/Dockerfile"), "FROM scratch\nCOPY --from=parts / /\n").expect("written");
    for name in ["one", "two"] {
        fs::create_dir(desk.path(name)).expect("a folder");
        fs::write(desk.path(name).join(name), "").expect("written");
    }
    let contexts = ["--build-context", "parts=one", "--build-context", "*/arm64=parts=two"];
    let found = built(&desk, &[&["--platform", "linux/amd64,linux/arm64"][..], &contexts].concat());
    assert_eq!(found, files(&[("amd64", &["one"]), ("arm64", &["two"])]));
    build(&desk, &["--platform", "linux/arm64", "--build-context", "*/arm64=parts=three"])
        .fails(3, &["parts", "three"]);
}

#[test]
fn a_dockerfile_on_standard_input_may_be_for_some_platforms() {
    let desk = desk();
    let arguments = ["build", "--platform", THREE, "-f", "*/arm64=-", "-f", "*/arm=-"];
    let output = ["-o", "type=oci,dest=out,tar=false", "app"];
    let mut child =
        desk.command(arguments.iter().chain(&output)).stdin(Stdio::piped()).spawn().expect("started");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(b"FROM scratch\nCOPY a.txt /streamed\n").expect("written");
    drop(input);
    assert!(child.wait().expect("ended").success());
    let streamed: &[&str] = &["streamed"];
    assert_eq!(images(&desk, "out"), files(&[("amd64", &["plain"]), ("arm", streamed), ("arm64", streamed)]));
    // Not even for some can it come from where the context comes from.
    desk.run(["build", "-f", "*/arm64=-", "-"]).fails(2, &["cannot both come on standard input"]);
}

#[test]
fn patterns_that_contradict_each_other_or_mean_nothing_are_told_of_in_one_sentence() {
    let desk = desk();
    let both = ["--platform", "linux/amd64,linux/arm64"];
    let fails = |more: &[&str], words: &[&str]| build(&desk, &[&both[..], more].concat()).fails(2, words);
    let (one, other) = ("linux/*=app/Dockerfile", "*/arm64=app/Dockerfile.arm");
    fails(&["-f", one, "-f", other], &["linux/* and */arm64 both say what the Dockerfile of linux/arm64 is"]);
    fails(
        &["--target", "*=a", "--target", "*=b"],
        &["* and * both say what the stage to build of linux/amd64 is"],
    );
    fails(
        &["--build-arg", "linux/*=NAME=a", "--build-arg", "*/arm64=NAME=b"],
        &["linux/* and */arm64 both say what the build argument NAME of linux/arm64 is"],
    );
    fails(
        &["--build-context", "linux/*=p=app", "--build-context", "*/arm64=p=."],
        &["linux/* and */arm64 both say what the build context p of linux/arm64 is"],
    );
    fails(
        &["--backend", "linux/*=sandbox", "--backend", "*/arm64=buildah"],
        &["linux/* and */arm64 both say what the backend of linux/arm64 is"],
    );
    for option in ["-f", "--target", "--build-arg", "--build-context", "--backend"] {
        fails(
            &[option, "windows/*=A=b"],
            &["windows/* is none of the platforms of the build (linux/amd64, linux/arm64)"],
        );
    }
    fails(
        &["-f", "app/Dockerfile", "-f", "app/Dockerfile.arm"],
        &["--file is given twice for all platforms"],
    );
    fails(&["--target", "beos/x86=a"], &["unknown OS"]);
    let epoch = "linux/arm64=SOURCE_DATE_EPOCH=1";
    fails(&["--build-arg", epoch], &["SOURCE_DATE_EPOCH is one for all platforms"]);
    // Who says the same twice contradicts nobody.
    built(&desk, &[&both[..], &["--build-arg", "linux/*=NAME=a", "--build-arg", "*/arm64=NAME=a"]].concat());
}

#[test]
fn checks_and_errors_are_about_the_dockerfile_that_the_platform_has() {
    let desk = desk();
    fs::write(desk.path("app/Dockerfile.arm"), "FROM scratch\nCOPY a.txt /\nMAINTAINER me\n")
        .expect("written");
    let platforms = ["--platform", "linux/amd64,linux/arm64", "-f", "linux/arm*=app/Dockerfile.arm"];
    let ended = build(&desk, &[&platforms[..], &["--check"]].concat());
    ended.fails(1, &["a warning"]);
    let shown = String::from_utf8(ended.stdout).expect("text");
    assert!(shown.contains("app/Dockerfile.arm:3\n"), "{shown}");
    let printed = desk.run(["build", "--call=check,format=json", "app"].iter().chain(&platforms)).stdout;
    let results: serde_json::Value = serde_json::from_slice(&printed).expect("json");
    assert_eq!(results["sources"][1]["filename"], "app/Dockerfile.arm");
    assert_eq!(results["warnings"][0]["location"]["sourceIndex"], 1);
    let _ = fs::remove_dir_all(desk.path("out"));
    let ended = build(&desk, &[&platforms[..], &["--build-arg", "NAME=a", "--build-arg", "NO=b"]].concat());
    ended.says("instruction is deprecated in favor of using label (app/Dockerfile.arm:3)");
    // One Dockerfile knows the first of the arguments, and none the second.
    ended.says("the build argument NO is not declared by any ARG of the Dockerfiles");
    assert!(!ended.stderr.contains("argument NAME"), "{}", ended.stderr);
    fs::write(desk.path("app/Dockerfile.arm"), "FROM scratch\nCOPY missing /\n").expect("written");
    let _ = fs::remove_dir_all(desk.path("out"));
    let ended = build(&desk, &platforms);
    ended.fails(3, &["linux/arm64", "missing"]);
    ended.says("app/Dockerfile.arm:2");
    ended.says("2 │ COPY missing /");
    fs::write(desk.path("app/Dockerfile.arm"), "FROM scratch\nCOPIE a /\n").expect("written");
    let ended = build(&desk, &platforms);
    ended.fails(3, &["COPIE"]);
    ended.says("app/Dockerfile.arm:2");
}

#[test]
fn a_file_that_is_called_like_platforms_counts_first() {
    let desk = desk();
    fs::create_dir(desk.path("linux")).expect("a folder");
    fs::write(desk.path("linux/amd64=x"), "FROM scratch\nCOPY a.txt /called\n").expect("written");
    let both = ["--platform", "linux/amd64,linux/arm64", "-f", "linux/amd64=x"];
    let called: &[&str] = &["called"];
    assert_eq!(built(&desk, &both), files(&[("amd64", called), ("arm64", called)]));
    fs::remove_file(desk.path("linux/amd64=x")).expect("removed");
    fs::remove_dir_all(desk.path("out")).expect("removed");
    build(&desk, &both).fails(3, &["there is no Dockerfile at x"]);
}

#[test]
fn platforms_have_backends_of_their_own() {
    if !tools::require("buildah") {
        return;
    }
    let desk = desk();
    let both = ["--platform", "linux/amd64,linux/arm64", "--backend", "sandbox"];
    let shown = desk.ok(["build", "--explain"].iter().chain(&both).chain(&[
        "--backend",
        "linux/arm64=buildah",
        "app",
    ]));
    let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with("linux/")).collect();
    assert!(lines[0].starts_with("linux/amd64: sandbox ("), "{shown}");
    assert!(lines[1].starts_with("linux/arm64: buildah ("), "{shown}");
    let receipt = desk.path("receipt.json").display().to_string();
    let more = ["--backend", "linux/arm64=buildah", "--receipt", &receipt];
    let found = built(&desk, &[&both[..], &more].concat());
    assert_eq!(found, files(&[("amd64", &["plain"]), ("arm64", &["plain"])]));
    let backend = |number: &str| {
        let path = format!(".images[{number}].backend");
        run(Command::new("jq").args(["-r", &path, &receipt])).trim().to_owned()
    };
    assert_eq!([backend("0"), backend("1")], ["sandbox", "buildah"]);
    // The environment's is for all that have none of their own.
    let mut command = desk.command(
        ["build", "--explain", "--backend", "linux/arm64=sandbox"].iter().chain(&both[..2]).chain(&["app"]),
    );
    let shown = Ended::of(command.env("POLYARCH_BACKEND", "buildah")).success();
    assert!(shown.contains("linux/amd64: buildah (") && shown.contains("linux/arm64: sandbox ("), "{shown}");
    desk.run(["build", "--backend", "linux/*=kaniko", "app"]).fails(2, &["kaniko"]);
}
