//! What is given to RUN steps on the command line.

use std::{fs, path::Path, process::Command};

use crate::support::{
    bases::busybox,
    buildah::{left_behind, skip},
    command::{Desk, Ended, is_root, ready},
    tools::require,
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
            (&["--memory=1g", "--cpu-quota=150000"], true),
            (&["--pids-limit=100"][..usize::from(backend == "sandbox")], true),
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
        (["-m", "1m"], "the least is 6m"),
        (["--cpu-period", "50000"], "required arguments were not provided"),
        (["--allow", "device"], "security.insecure"),
        (["--provenance", "version=v0.2"], "version v1 of SLSA"),
    ] {
        let ended = desk.run(["build"].iter().chain(&arguments).chain(&[context.as_str()]));
        ended.fails(2, &[words]);
    }
}

#[test]
fn a_step_that_takes_too_much_memory_is_told_so_and_what_was_done_stays() {
    let Some(base) = (ready() && limits_memory()).then(busybox).flatten() else { return };
    let desk = Desk::new();
    let run = "RUN dd if=/dev/zero of=/dev/null bs=60000000 count=1";
    let context = desk.context("app", format!("FROM {base}\n{run}\n"));
    for backend in ["sandbox", "buildah"] {
        let build = ["build", "--backend", backend, "--progress", "plain", &context];
        let ended = desk.run(build.iter().chain(&["--memory", "16m"]));
        ended.fails(4, &["dd if=/dev/zero", "failed with exit code 137"]);
        ended.says("16777216 bytes of memory");
        // The limit is no part of the step.
        desk.ok(build.iter().chain(&["--memory", "256m"]));
        let ended = desk.run(build.iter().chain(&["--memory", "16m"]));
        assert!(ended.code == Some(0) && ended.stderr.contains(" cached: RUN"), "{}", ended.stderr);
    }
    assert_eq!(left_behind(&desk.store(), None), Vec::<String>::new());
}

/// Whether the kernel kills who takes too much memory here; says so where it does not.
fn limits_memory() -> bool {
    let groups = ["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/cgroup.controllers"];
    let swaps = fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1);
    let limits = is_root() && !swaps && groups.iter().any(|file| Path::new(file).exists());
    if !limits {
        skip("needs root, control groups and no swap");
    }
    limits
}

#[test]
fn limits_that_cannot_be_set_are_refused_before_anything_is_pulled() {
    if !ready() || !is_root() || !require("unshare") {
        return;
    }
    let desk = Desk::new();
    // Nobody answers there.
    let context = desk.context("app", "FROM localhost:1/base\nRUN true\n");
    let hidden = "mount -t tmpfs -o ro none /sys/fs/cgroup && exec \"$0\" \"$@\"";
    for (flag, reason) in [
        ("--memory=1g", "steps a limit of memory (--memory)"),
        ("--cpu-quota=50000", "steps a limit of CPU time (--cpu-quota)"),
        ("--pids-limit=50", "steps a limit of processes (--pids-limit)"),
    ] {
        let build = desk.command(["build", flag, &context]);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation=private", "sh", "-c", hidden]);
        command.arg(build.get_program()).args(build.get_args());
        for (name, value) in build.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(build.get_current_dir().unwrap_or(Path::new("/")));
        let ended = Ended::of(&mut command);
        ended.fails(5, &[&format!("sandbox cannot give {reason}")]);
        ended.says(&format!("buildah cannot give {reason}"));
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
