//! Build checks: warnings with their lines, and builds that they stop.

use std::{fs, path::Path};

use polyarch::actors::Platform;
use serde_json::Value;

use crate::support::command::{Desk, ready};

const LOOSE: &str = "FROM scratch as Base\nCOPY a.txt /\nMAINTAINER me\n";

fn text(stdout: &[u8]) -> &str {
    std::str::from_utf8(stdout).expect("text")
}

#[test]
fn a_check_shows_every_warning_with_its_lines_and_builds_nothing() {
    let desk = Desk::new();
    let context = desk.context("app", LOOSE);
    for option in ["--check", "--call=check"] {
        let ended = desk.run(["build", option, "-t", "app:1", &context]);
        ended.fails(1, &["3 warnings"]);
        let shown = text(&ended.stdout);
        assert!(
            shown.starts_with("Check complete, 3 warnings have been found!\n\nWARNING: FromAsCasing"),
            "{shown}"
        );
        let page = "https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/";
        let last = format!(
            "WARNING: MaintainerDeprecated - {page}\nMaintainer instruction is deprecated in favor of using label\n\
             app/Dockerfile:3\n  2 │ COPY a.txt /\n  3 │ MAINTAINER me\n    │ ^^^^^^^^^^^^^\n"
        );
        assert!(shown.ends_with(&last), "{shown}");
    }
    assert_eq!(desk.names(), [""; 0]);
    assert_eq!(fs::read_dir(desk.store().join("blobs/sha256")).expect("a folder").count(), 0);
}

#[test]
fn a_check_of_a_good_file_ends_well() {
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /\n");
    assert_eq!(desk.ok(["build", "--check", &context]), "Check complete, no warnings found.\n");
    let context = desk.context("skipped", format!("# check=skip=all;error=true\n{LOOSE}"));
    assert_eq!(desk.ok(["build", "--check", &context]), "Check complete, no warnings found.\n");
    let quiet = "BUILDKIT_DOCKERFILE_CHECK=skip=FromAsCasing,StageNameCasing,MaintainerDeprecated";
    let context = desk.context("loose", LOOSE);
    desk.ok(["build", "--check", "--build-arg", quiet, &context]);
}

#[test]
fn a_check_looks_at_ignored_files_when_asked_to() {
    let desk = Desk::new();
    let context = desk.context("app", "# check=experimental=CopyIgnoredFile\nFROM scratch\nCOPY a.txt /\n");
    desk.ok(["build", "--check", &context]);
    fs::write(desk.path("app/.dockerignore"), "*.txt\n").expect("written");
    let ended = desk.run(["build", "--check", &context]);
    ended.fails(1, &["a warning"]);
    assert!(text(&ended.stdout).contains("Attempting to Copy file \"a.txt\""));
    fs::write(desk.path("app/Dockerfile.dockerignore"), "other\n").expect("written");
    desk.ok(["build", "--check", "-f", "app/Dockerfile", &context]);
}

#[test]
fn a_check_for_programs_is_json_with_buildkits_keys() {
    let desk = Desk::new();
    let context = desk.context("app", LOOSE);
    let printed = desk.ok(["build", "--call=check,format=json,ignorestatus=true", &context]);
    let results: Value = serde_json::from_str(&printed).expect("json");
    let warning = &results["warnings"][0];
    assert_eq!(warning["ruleName"], "FromAsCasing");
    assert_eq!(warning["detail"], "'as' and 'FROM' keywords' casing do not match");
    let range = &warning["location"]["ranges"][0];
    assert_eq!((&range["start"]["line"], &range["start"]["character"]), (&1.into(), &13.into()));
    assert_eq!(range["end"]["character"], 15);
    assert_eq!(results["sources"][0]["filename"], "app/Dockerfile");
    desk.run(["build", "--call=check,format=json", &context]).fails(1, &["3 warnings"]);
    desk.run(["build", "--call=outline", &context]).fails(2, &[]);
}

#[test]
fn a_check_shows_the_warnings_and_then_the_mistake() {
    let desk = Desk::new();
    let context = desk.context("app", "FROM --platform=$BULIDPLATFORM scratch\nMAINTAINER me\n");
    let ended = desk.run(["build", "--check", &context]);
    ended.fails(3, &["app/Dockerfile:1", "BULIDPLATFORM"]);
    assert!(text(&ended.stdout).contains("(did you mean BUILDPLATFORM?)"));
    let context = desk.context("broken", "FROM scratch\nCOPYY a b\n");
    let ended = desk.run(["build", "--check", &context]);
    ended.fails(3, &["broken/Dockerfile:2"]);
    assert_eq!(text(&ended.stdout), "");
}

#[test]
fn wrong_check_options_are_refused() {
    let desk = Desk::new();
    let context = desk.context("app", "# check=ignore=all\nFROM scratch\n");
    let ended = desk.run(["build", "--check", &context]);
    ended.fails(3, &["app/Dockerfile:1", "`ignore=all` is no check option"]);
    ended.says("    │         ^^^^^^^^^^\n");
    let wrong = "BUILDKIT_DOCKERFILE_CHECK=error=maybe";
    desk.run(["build", "--build-arg", wrong, &context])
        .fails(2, &["BUILDKIT_DOCKERFILE_CHECK", "cannot be `maybe`"]);
}

#[test]
fn checks_that_are_errors_stop_a_build_before_anything_runs() {
    let desk = Desk::new();
    let context = desk.context("app", format!("# check=error=true\n{LOOSE}"));
    let ended = desk.run(["build", "-t", "app:1", "-o", "type=oci,dest=app.tar", &context]);
    ended.fails(3, &["FromAsCasing, ", "MaintainerDeprecated"]);
    ended.says("3 warnings found (use --check to expand):\n - FromAsCasing: ");
    assert!(!Path::new(&desk.path("app.tar")).exists());
    assert_eq!(desk.names(), [""; 0]);
}

#[test]
fn a_build_lists_its_warnings_once_and_last() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let context = desk.context("app", LOOSE);
    let host = Platform::host_linux().to_string();
    let other = if host == "linux/arm64" { "linux/amd64" } else { "linux/arm64" };
    let platforms = format!("{host},{other}");
    let ended = desk.run(["build", "--platform", &platforms, "--build-arg", "UNHEARD=1", &context]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let list = "4 warnings found (use --check to expand):\n - the build argument UNHEARD is not declared by any \
                ARG of the Dockerfile\n - FromAsCasing: 'as' and 'FROM' keywords' casing do not match \
                (app/Dockerfile:1)\n - StageNameCasing: Stage name 'Base' should be lowercase (app/Dockerfile:1)\n - \
                MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label \
                (app/Dockerfile:3)\n";
    assert!(ended.stderr.ends_with(list), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("UNHEARD").count(), 1, "{}", ended.stderr);
}
