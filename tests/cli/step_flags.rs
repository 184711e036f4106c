//! What is given to RUN steps on the command line.

use crate::support::{
    bases::busybox,
    command::{Desk, Ended, ready},
};

#[test]
fn a_step_runs_again_when_it_is_given_something_else_and_only_then() {
    let Some(base) = ready().then(busybox).flatten() else { return };
    let desk = Desk::new();
    let context = desk.context("app", format!("FROM {base}\nRUN echo once > /once\n"));
    for backend in ["sandbox", "buildah"] {
        let cached = |flags: &[&str]| {
            let build = ["build", "--backend", backend, "--progress", "plain", &context];
            let ended = desk.run(build.iter().chain(flags));
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            ended.stderr.lines().any(|line| line.contains(" cached: RUN"))
        };
        for (flags, expected) in [
            (&[][..], false),
            (&["--shm-size=1m"], false),
            (&["--ulimit=nofile=64"], false),
            (&["--add-host=db:10.0.0.1"], false),
            (&["--network=none"], false),
            (&["--add-host=db:10.0.0.2"], true),
            (&["--ulimit=nofile=64:64"], true),
            (&["--network=host"], true),
            (&["--allow=security.insecure,network.host"], true),
            (&["--provenance=false", "--sbom=false"], true),
        ] {
            assert_eq!(cached(flags), expected, "{backend} {flags:?}");
        }
    }
}

#[test]
fn a_limit_above_what_is_allowed_is_a_mistake_with_its_line() {
    let Some(base) = ready().then(busybox).flatten() else { return };
    let desk = Desk::new();
    let context = desk.context("app", format!("FROM {base}\nRUN true\n"));
    let ended = desk.run(["build", "--backend", "sandbox", "--ulimit", "nofile=-1", &context]);
    ended.fails(3, &["app/Dockerfile:2: the limit nofile=-1:-1 is above "]);
    ended.says("  2 │ RUN true");
}

#[test]
fn all_rights_are_asked_for_before_anything_runs() {
    let desk = Desk::new();
    let context = desk.context(
        "app",
        "FROM scratch AS base\nONBUILD RUN --security=insecure b\nFROM scratch AS unused\nRUN --security=insecure c\n\
         FROM scratch AS a\nCOPY a.txt /\nFROM base\nCOPY --from=a / /\n",
    );
    for arguments in [&["build", &context][..], &["build", "--explain", &context]] {
        let ended = desk.run(arguments);
        ended.fails(3, &["app/Dockerfile:2: RUN --security=insecure asks for all rights"]);
        ended.says("    │         ^^^^^^^^^^^^^^^^^^^^^^^^^");
        ended.says("hint: allow it with --allow security.insecure");
        assert!(!ended.stderr.contains("COPY"), "{}", ended.stderr);
    }
    // What is not built asks for nothing.
    desk.ok(["build", "--target", "a", &context]);
    let explained = desk.ok(["build", "--explain", "--allow", "security.insecure", &context]);
    if ready() {
        assert!(explained.contains("not buildah: cannot give a step all rights"), "{explained}");
    }
}

#[test]
fn what_cannot_be_given_is_refused_as_a_mistake_of_the_command_line() {
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /\n");
    for (arguments, words) in [
        (["--add-host", "db"], "expected HOST:IP"),
        (["--network", "bridge"], "default, none and host"),
        (["--shm-size", "much"], "no size"),
        (["--ulimit", "files=1"], "unknown type"),
        (["--allow", "device"], "security.insecure"),
        (["--provenance", "version=v0.2"], "version v1 of SLSA"),
    ] {
        let ended = desk.run(["build"].iter().chain(&arguments).chain(&[context.as_str()]));
        ended.fails(2, &[words]);
    }
}

#[test]
fn progress_is_shown_as_the_variable_of_buildx_says_unless_the_flag_does() {
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /\n");
    let stderr = |value: &str, arguments: &[&str]| {
        let mut command = desk
            .command(["build", "--backend", "sandbox"].iter().chain(arguments).chain(&[context.as_str()]));
        let ended = Ended::of(command.env("BUILDKIT_PROGRESS", value));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stderr
    };
    let plain = stderr("", &[]);
    assert!(plain.contains("] #1 FROM scratch"), "{plain}");
    assert!(stderr("rawjson", &[]).starts_with('{'));
    assert!(stderr("rawjson", &["--progress", "plain"]).contains("] #1 FROM scratch"));
    assert_eq!(stderr("plain", &["--progress", "none"]), "");
}

#[test]
fn what_windows_does_not_have_is_refused_with_its_line_before_anything_is_fetched() {
    let desk = Desk::new();
    for (run, reason) in [
        ("RUN --mount=type=cache,target=/c x", "steps on Windows have no mounts: write COPY"),
        ("RUN <<EOF\nx\nEOF", "the shells of Windows read no here-documents"),
    ] {
        // Nobody answers there.
        let context = desk.context("app", format!("FROM localhost:1/windows\n{run}\n"));
        let ended = desk.run(["build", "--platform", "windows/amd64", &context]);
        ended.fails(3, &[&format!("app/Dockerfile:2: {reason}")]);
    }
}

#[test]
fn isolation_is_for_windows_alone() {
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /\n");
    let ended = desk.run(["build", "--isolation", "hyperv", &context]);
    ended.fails(2, &["--isolation is about steps on Windows"]);
    let ended = desk.run(["build", "--isolation", "vm", &context]);
    ended.fails(2, &["there are default, process and hyperv"]);
    let context = desk.context("windows", "FROM localhost:1/windows\nRUN x\n");
    let platform = ["--platform", "windows/amd64"];
    let ended = desk.run(["build", "--isolation", "process", &context].iter().chain(&platform));
    ended.fails(5, &["sandbox cannot give steps a container that shares its kernel (--isolation=process)"]);
    ended.says("windows/Dockerfile:2");
}
