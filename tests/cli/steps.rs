//! RUN steps: on each platform, and what is shown of them when they fail.

use std::{fs, process::Command};

use crate::support::{
    bases::busybox,
    buildah::{left_behind, run, skip},
    command::{Desk, Ended, has_tag, raw, ready, runs_both},
    registry::TestRegistry,
    session::riscv_program,
};

const BOTH: &str = "linux/amd64,linux/arm64";

#[test]
fn steps_run_on_the_cpu_of_each_platform() {
    let Some(base) = (ready() && runs_both()).then(busybox).flatten() else { return };
    let desk = Desk::new();
    let context = desk.context(
        "app",
        format!(
            "FROM --platform=$BUILDPLATFORM {base} AS build\nARG TARGETARCH\nRUN echo $TARGETARCH on `uname -m` > /built\n\
             FROM {base}\nRUN uname -m > /machine\nCOPY --from=build /built /built\n"
        ),
    );
    desk.ok(["build", "-t", "app:1", "--platform", BOTH, &context]);
    for (architecture, machine) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
        let files = desk.unpack(&format!("oci:{}:1", desk.store().display()), architecture);
        assert_eq!(fs::read_to_string(files.join("machine")).expect("read"), format!("{machine}\n"));
        let built = fs::read_to_string(files.join("built")).expect("read");
        assert_eq!(built, format!("{architecture} on x86_64\n"));
    }
    assert_eq!(left_behind(&desk.store(), None), Vec::<String>::new());
}

#[test]
fn a_cpu_that_nothing_is_registered_for_is_emulated_all_the_same() {
    let desk = Desk::new();
    if !desk.ok(["backends"]).contains("linux/riscv64") {
        skip("riscv64 cannot be emulated here");
        return;
    }
    let context = desk.context("app", "FROM scratch\nCOPY --chmod=755 program /\nRUN [\"/program\"]\n");
    fs::write(desk.path("app/program"), riscv_program()).expect("written");
    let ended = desk.run(["build", "--platform", "linux/riscv64", &context]);
    ended.fails(4, &["linux/riscv64", "exit code 42"]);
    assert_eq!(left_behind(&desk.store(), None), Vec::<String>::new());
}

#[test]
fn a_failed_run_shows_its_output_the_line_and_the_platform() {
    let Some(base) = (ready() && runs_both()).then(busybox).flatten() else { return };
    let desk = Desk::new();
    let context = desk.context(
        "my app",
        format!("FROM {base}\nARG WHO\nRUN echo fine\n\nRUN echo one; \\\n    echo two >&2; test `uname -m` = x86_64 || exit 7\n"),
    );
    let ended = desk.run(["build", "--platform", BOTH, "--build-arg", "WHO=you & me", &context]);
    ended.fails(4, &["linux/arm64", "RUN echo one;", "exit code 7"]);
    let report = ended.stderr.split_once("\nerror: ").expect("a report").1;
    let line = |text: &str| {
        report
            .lines()
            .position(|line| line.trim_end() == text)
            .unwrap_or_else(|| panic!("{text:?} is not in: {report}"))
    };
    let (one, two) = (line("  │ one"), line("  │ two"));
    let place = line("my app/Dockerfile:5");
    let step = line("  5 │ RUN echo one; \\");
    assert!(one < place && two < place && place < step);
    assert!(report.lines().nth(step + 1).expect("a caret").starts_with("    │ ^^^"));
    // The command is one that a shell takes as it is.
    let hint = report.lines().find_map(|line| line.split_once("polyarch build ")).expect("a command").1;
    let again = format!("\"$0\" build {hint}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &again, env!("CARGO_BIN_EXE_polyarch")]).current_dir(desk.path("."));
    let again = Ended::of(shell.env("POLYARCH_STORE", desk.store()));
    again.fails(4, &["linux/arm64", "exit code 7"]);
    assert!(!again.stderr.contains("[linux/amd64]"));
    assert_eq!(left_behind(&desk.store(), None), Vec::<String>::new());
}

#[test]
fn a_failed_platform_moves_no_tag_of_the_others() {
    let Some(base) = (ready() && runs_both()).then(busybox).flatten() else { return };
    let (desk, registry) = (Desk::new(), TestRegistry::open());
    let (old, new) = (format!("{}/app:1", registry.address), format!("{}/app:2", registry.address));
    let good = desk.context("good", "FROM scratch\nCOPY a.txt /\n");
    desk.ok(["build", "--push", "-t", &old, "--platform", BOTH, &good]);
    let before = raw(&old);
    let bad = desk.context("bad", format!("FROM {base}\nRUN test `uname -m` = x86_64\n"));
    let outputs = ["-o", "type=oci,dest=app.tar", "--iidfile", "id", "--metadata-file", "meta.json"];
    desk.run(["build", "--push", "-t", &old, "-t", &new, "--platform", BOTH, &bad].iter().chain(&outputs))
        .fails(4, &["linux/arm64"]);
    assert_eq!(raw(&old), before);
    assert!(!has_tag(&new));
    assert_eq!(desk.names(), [old]);
    let stored =
        run(Command::new("skopeo").args(["inspect", "--raw", &format!("oci:{}:1", desk.store().display())]));
    assert_eq!(stored.into_bytes(), before);
    for file in ["app.tar", "id", "meta.json"] {
        assert!(!desk.path(file).exists(), "{file}");
    }
}

#[test]
fn a_hundred_thousand_lines_are_all_shown() {
    let Some(base) = ready().then(busybox).flatten() else { return };
    let desk = Desk::new();
    let context = desk.context("app", format!("FROM {base}\nRUN busybox seq 1 100000\n"));
    let ended = desk.run(["build", "--progress", "plain", &context]);
    let numbers = ended.stderr.lines().filter_map(|line| line.split_once("]     ")?.1.parse::<u32>().ok());
    assert!(numbers.eq(1..=100_000), "{}", ended.stderr.lines().count());
    ended.success();
}

#[test]
fn output_that_is_no_text_passes_through_unchanged() {
    let Some(base) = ready().then(busybox).flatten() else { return };
    let desk = Desk::new();
    let context = desk.context(
        "app",
        format!("FROM {base}\nRUN busybox printf 'no end'\nRUN busybox printf 'caf\\351 \\377\\n'\n"),
    );
    let output = desk.command(["build", "--progress", "plain", &context]).output().expect("polyarch runs");
    assert!(output.status.success());
    let has = |bytes: &[u8]| output.stderr.windows(bytes.len()).any(|window| window == bytes);
    assert!(has(b"]     caf\xe9 \xff\n") && has(b"]     no end\n"));
    let ended = desk.run(["build", "--no-cache", "--progress", "rawjson", &context]);
    ended.says("\"data\":{\"hex\":\"636166e920ff0a\"}");
}

#[test]
fn an_optional_platform_may_fail_and_the_others_go_on_when_they_are_told_to() {
    let Some(base) = (ready() && runs_both()).then(busybox).flatten() else { return };
    let desk = Desk::new();
    let context = desk.context("app", format!("FROM {base}\nRUN test `uname -m` = x86_64 || exit 7\n"));
    let build = |more: &[&str]| {
        let arguments = ["build", "-t", "app:1", "--platform", "linux/arm64,linux/amd64", &context];
        desk.run(arguments.iter().chain(more))
    };
    // Told to go on, the other platform is built, and nothing has a name yet.
    let ended = build(&["--keep-going"]);
    ended.fails(4, &["linux/arm64", "exit code 7"]);
    assert!(!ended.stderr.contains("stopped because"), "{}", ended.stderr);
    assert!(!desk.ok(["images"]).contains("app"));
    // What finished is there.
    let receipt = desk.path("receipt.json");
    let path = receipt.to_str().expect("text").to_owned();
    let ended = build(&["--optional", "*/arm64", "--receipt", &path, "--progress=plain"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.says("linux/arm64 is missing in the index");
    let receipt: serde_json::Value = serde_json::from_slice(&fs::read(receipt).expect("read")).expect("json");
    assert_eq!(receipt["missing"][0]["platform"], "linux/arm64");
    assert_eq!(receipt["images"].as_array().expect("a list").len(), 1);
    let index = desk.index(receipt["index"]["digest"].as_str().expect("text"));
    assert_eq!(index["manifests"].as_array().expect("a list").len(), 1);
    assert_eq!(index["manifests"][0]["platform"]["architecture"], "amd64");
    assert!(desk.ok(["images"]).contains("app"));
    build(&["--optional", "windows/*"]).fails(2, &["windows/* is none of the platforms", "linux/arm64"]);
    build(&["--optional", "l*x/arm64"]).fails(2, &["l*x/arm64"]);
}

#[test]
fn the_same_command_after_a_failure_builds_what_is_missing_and_says_so() {
    if !ready() {
        return;
    }
    for backend in ["sandbox", "buildah"] {
        let desk = Desk::new();
        let dockerfile = "FROM scratch\nARG TARGETARCH\nCOPY a.txt /a\nCOPY only-$TARGETARCH /b\n";
        let context = desk.context("app", dockerfile);
        let write = |name: &str| fs::write(desk.path("app").join(name), name).expect("written");
        write("only-amd64");
        let both = "linux/amd64,linux/arm64";
        let build =
            ["build", "--keep-going", "--progress=plain", "--backend", backend, "--platform", both, &context];
        let failed = desk.run(build);
        assert_eq!(failed.code, Some(3), "{backend}: {}", failed.stderr);
        failed.says("only-arm64");
        assert!(!failed.stderr.contains("every step cached"), "{backend}: {}", failed.stderr);
        write("only-arm64");
        let ended = desk.run(build);
        assert_eq!(ended.code, Some(0), "{backend}: {}", ended.stderr);
        let built = |platform: &str| {
            let line = format!("[{platform}] built sha256:");
            ended
                .stderr
                .lines()
                .find(|found| found.starts_with(&line))
                .map(|line| line.ends_with(", every step cached"))
        };
        assert_eq!(built("linux/amd64"), Some(true), "{backend}: {}", ended.stderr);
        assert_eq!(built("linux/arm64"), Some(false), "{backend}: {}", ended.stderr);
    }
}
