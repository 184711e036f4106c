//! Several people, or several builds, at one machine.

use std::{fs, os::unix::process::CommandExt as _, process::Command};

use crate::support::{
    bases::busybox,
    buildah::{left_behind, run, skip},
    command::{BACKENDS, Desk, Ended, is_root, ready, runs_both},
    tools::require,
};

const BOTH: &str = "linux/amd64,linux/arm64";

#[test]
fn processes_build_the_same_and_different_images_in_one_store_at_once() {
    let Some(base) = (ready() && runs_both()).then(busybox).flatten() else { return };
    for backend in BACKENDS {
        build_at_once(backend, base);
    }
}

fn build_at_once(backend: &str, base: &str) {
    let desk = Desk::new();
    let builds = ["one", "one", "two"].map(|name| {
        let dockerfile = format!("FROM {base}\nRUN echo {name} `uname -m` > /name\nCOPY a.txt /{name}.txt\n");
        let context = desk.context(name, dockerfile);
        (name, context)
    });
    let mut processes = Vec::new();
    for (number, (name, context)) in builds.iter().enumerate() {
        let tag = format!("app:{name}");
        let arguments = ["build", "--backend", backend, "-t", &tag, "--platform", BOTH, context];
        processes.push(desk.begin(&format!("log{number}"), arguments));
    }
    for (number, mut process) in processes.into_iter().enumerate() {
        let status = process.wait().expect("ended");
        assert!(
            status.success(),
            "{}",
            fs::read_to_string(desk.path(&format!("log{number}"))).expect("read")
        );
    }
    assert_eq!(desk.names(), ["docker.io/library/app:one", "docker.io/library/app:two"]);
    for name in ["one", "two"] {
        for (architecture, machine) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
            let files = desk.unpack(&format!("oci:{}:{name}", desk.store().display()), architecture);
            let text = fs::read_to_string(files.join("name")).expect("read");
            assert_eq!(text, format!("{name} {machine}\n"));
            assert!(files.join(format!("{name}.txt")).is_file());
        }
    }
    assert_eq!(left_behind(&desk.store(), None), Vec::<String>::new());
}

#[test]
fn an_ordinary_user_builds_for_both_platforms() {
    let Some(base) = (ready() && runs_both() && is_root() && require("newuidmap")).then(busybox).flatten()
    else {
        return;
    };
    let Some((user, group)) = ordinary_user() else { return };
    let desk = Desk::new();
    let context =
        desk.context("app", format!("FROM {base}\nRUN uname -m > /machine; id -u > /id\nCOPY a.txt /\n"));
    // An ordinary user may not see where this program is.
    let program = desk.path("polyarch");
    fs::copy(env!("CARGO_BIN_EXE_polyarch"), &program).expect("copied");
    run(Command::new("chown").arg("-R").arg(format!("{user}:{group}")).arg(desk.path(".")));
    let as_user = |arguments: &[&str]| {
        let mut command = desk.command_of(&program, arguments);
        // Set to nothing is as good as not set.
        command.env("POLYARCH_STORE", "").env_remove("XDG_DATA_HOME");
        Ended::of(command.uid(user).gid(group))
    };
    let backends = as_user(&["backends"]).success();
    assert!(backends.starts_with("sandbox: usable") && backends.contains("\nbuildah: usable"), "{backends}");
    for backend in BACKENDS {
        let output = format!("type=oci,dest={backend}.tar");
        let build =
            ["build", "--backend", backend, "-t", "app:1", "--platform", BOTH, "-o", &output, &context];
        as_user(&build).success();
        let archive = format!("oci-archive:{}", desk.path(&format!("{backend}.tar")).display());
        for (architecture, machine) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
            let files = desk.unpack(&archive, architecture);
            assert_eq!(fs::read_to_string(files.join("machine")).expect("read"), format!("{machine}\n"));
            assert_eq!(fs::read_to_string(files.join("id")).expect("read"), "0\n");
        }
    }
    let store = desk.path(".local/share/polyarch");
    assert!(store.join("oci-layout").is_file());
    assert_eq!(left_behind(&store, None), Vec::<String>::new());
    as_user(&["--store", "/var/lib/polyarch-of-root", "images"]).fails(10, &["/var/lib/polyarch-of-root"]);
}

/// The ids of the first user with ranges of ids, as the system knows them.
pub(crate) fn ordinary_user() -> Option<(u32, u32)> {
    let ranges = fs::read_to_string("/etc/subuid").unwrap_or_default();
    let id = |flag: &str, name: &str| {
        let output = Command::new("id").args([flag, name]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    let users = ranges.lines().filter_map(|line| line.split(':').next());
    let found =
        users.filter_map(|name| Some((id("-u", name)?, id("-g", name)?))).find(|(user, _)| *user != 0);
    if found.is_none() {
        skip("there is no ordinary user with subordinate ids");
    }
    found
}
