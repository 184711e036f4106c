//! The buildah backend with the real buildah: builds that are cut off, other processes and other users.

use std::{
    env, fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use polyarch::guard::{self, Abandoned, Cleanup, Guard, Launch, Mode};
use polyarch_actors::{BuildBackend as _, BuildCx, BuildError, EventKind, EventSink, Platform};
use tokio_util::sync::CancellationToken;

use crate::support::{
    buildah::{
        Registry, backend, build, file, folder, helper, layout, left_behind, ready, request, run, skip,
        wait_for, with_bases, workers,
    },
    tools,
};

#[tokio::test]
async fn a_cancelled_build_leaves_nothing() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let platform = Platform::host_linux().to_string();
    let Some(base) = registry.busybox(&[Platform::host_linux().arch()]) else { return };
    let (store, backend) = backend(folder.path());
    let mark = format!("77{}", std::process::id());
    let ask = request(folder.path(), &platform, &format!("FROM {base}\nRUN sleep {mark}\n"));
    let ask = with_bases(ask, &base, &[&platform]);
    for dropped in [false, true] {
        let (events, cancel) = (EventSink::new(ask.build.clone()), CancellationToken::new());
        let cx = BuildCx { events, cancel: cancel.clone(), emulated: false };
        let (backend, ask) = (backend.clone(), ask.clone());
        let task = tokio::spawn(async move { backend.build(ask, cx).await });
        wait_until_sleeping(&mark).await;
        let begun = Instant::now();
        if dropped {
            task.abort();
            wait_for("the clean-up", || left_behind(store.root(), Some(&mark)).is_empty()).await;
        } else {
            cancel.cancel();
            assert_eq!(task.await.expect("no panic"), Err(BuildError::Cancelled));
            assert_eq!(left_behind(store.root(), Some(&mark)), Vec::<String>::new());
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    // The worker is as good as new.
    let ask = request(folder.path(), &platform, &format!("FROM {base}\nRUN true\n"));
    assert!(build(&backend, with_bases(ask, &base, &[&platform])).await.0.is_ok());
}

#[tokio::test]
async fn a_build_whose_process_is_killed_leaves_nothing() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let platform = Platform::host_linux().to_string();
    let Some(base) = registry.busybox(&[Platform::host_linux().arch()]) else { return };
    let (store, backend) = backend(folder.path());
    let mark = format!("88{}", std::process::id());
    let dockerfile = format!("FROM {base}\nRUN sleep {mark}\n");
    let mut process = builder(folder.path(), &platform, &dockerfile, &base, |_| {});
    wait_until_sleeping(&mark).await;
    process.kill().expect("killed");
    process.wait().expect("gone");
    wait_for("the clean-up", || left_behind(store.root(), Some(&mark)).is_empty()).await;
    let ask = request(folder.path(), &platform, &format!("FROM {base}\nRUN true\n"));
    assert!(build(&backend, with_bases(ask, &base, &[&platform])).await.0.is_ok());
}

#[tokio::test]
async fn even_a_killed_helper_leaves_no_process_and_the_next_build_cleans_up() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let platform = Platform::host_linux().to_string();
    let Some(base) = registry.busybox(&[Platform::host_linux().arch()]) else { return };
    let (store, backend) = backend(folder.path());
    let mark = format!("99{}", std::process::id());
    let ask = request(folder.path(), &platform, &format!("FROM {base}\nRUN sleep {mark}\n"));
    let ask = with_bases(ask, &base, &[&platform]);
    let task = tokio::spawn({
        let backend = backend.clone();
        async move { build(&backend, ask).await.0 }
    });
    wait_until_sleeping(&mark).await;
    for guard in guards_of(std::process::id(), store.root()) {
        run(Command::new("kill").args(["-9", &guard.to_string()]));
    }
    let error = task.await.expect("no panic").expect_err("the helper is gone");
    assert!(error.retryable(), "{error}");
    wait_for("the end of the step", || !is_sleeping(&mark)).await;
    let ask = request(folder.path(), &platform, &format!("FROM {base}\nRUN true\n"));
    assert!(build(&backend, with_bases(ask, &base, &[&platform])).await.0.is_ok());
    assert_eq!(left_behind(store.root(), Some(&mark)), Vec::<String>::new());
}

#[tokio::test]
async fn without_namespaces_descendants_are_killed_one_by_one() {
    if !tools::require("unshare") {
        return;
    }
    let forbid = "echo 0 > /proc/sys/user/max_pid_namespaces && exec \"$@\"";
    let through = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"];
    let launch = || Launch {
        helper: helper(),
        through: through.iter().map(Into::into).collect(),
        env: Vec::new(),
        held: None,
        cleanup: Cleanup::default(),
        group: None,
    };
    let Ok(mut guard) = Guard::start(launch()).await else {
        skip("user namespaces are not permitted");
        return;
    };
    assert_eq!(guard.mode(), Mode::Descendants);
    // Orphans in sessions of their own, which hold the output open.
    let mark = format!("55{}", std::process::id());
    let mut command = guard::Command::new("sh");
    command.args(["-c", &format!("setsid sleep {mark} & (setsid sleep {mark} &) & echo begun; exit 3")]);
    let (exit, stdout, _) = guard.output(&command, 100).await.expect("ran");
    assert_eq!((exit.code, stdout.as_slice()), (Some(3), &b"begun\n"[..]));
    assert!(!is_sleeping(&mark));

    let mut command = guard::Command::new("sh");
    command.args(["-c", &format!("setsid sleep {mark} & sleep {mark}")]);
    guard.run(&command).await.expect("runs");
    wait_until_sleeping(&mark).await;
    assert_eq!(guard.end().await, Abandoned::Clean);
    assert!(!is_sleeping(&mark));
}

#[tokio::test]
async fn two_processes_share_a_store() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let platform = Platform::host_linux().to_string();
    let Some(base) = registry.busybox(&[Platform::host_linux().arch()]) else { return };
    let (store, backend) = backend(folder.path());
    let dockerfile = |name: &str| format!("FROM {base}\nRUN echo {name} > /name; sleep 1\n");
    // Made first, since all of them write the same file.
    request(folder.path(), &platform, "");
    let builders = ["one", "two", "three"]
        .map(|name| builder(folder.path(), &platform, &dockerfile(name), &base, |_| {}));
    for mut builder in builders {
        assert!(builder.wait().expect("ended").success());
    }
    let used =
        workers(store.root()).iter().filter(|worker| !worker.to_string_lossy().contains("trial")).count();
    assert_eq!(used, 3);
    let ask = with_bases(request(folder.path(), &platform, &dockerfile("one")), &base, &[&platform]);
    let (result, events) = build(&backend, ask).await;
    let image = result.expect("built");
    assert!(!events.iter().any(|event| matches!(event, EventKind::Pulled { .. })));
    assert_eq!(file(&layout(folder.path(), &store, &image), "name"), "one\n");
    assert_eq!(left_behind(store.root(), None), Vec::<String>::new());
}

#[tokio::test]
async fn an_ordinary_user_builds_and_a_killed_build_leaves_nothing() {
    if !ready() || !tools::require("newuidmap") || !tools::require("setpriv") {
        return;
    }
    let Some((user, uid)) = ordinary_user() else { return };
    let (folder, registry) = (folder(), Registry::start());
    let platform = Platform::host_linux().to_string();
    let Some(base) = registry.busybox(&[Platform::host_linux().arch()]) else { return };
    // A copy, because an ordinary user may not see where this program is.
    let programs = folder.path().join("programs");
    fs::create_dir(&programs).expect("a folder");
    fs::copy(env::current_exe().expect("a path"), programs.join("tests")).expect("copied");
    fs::copy(helper(), programs.join("helper")).expect("copied");
    request(folder.path(), &platform, "");
    run(Command::new("chown").args(["-R", &user]).arg(folder.path()));
    let as_user = |command: &mut Command| {
        let tests = command.get_program().to_owned();
        assert_ne!(tests, "setpriv");
        command.env("POLYARCH_TEST_HELPER", programs.join("helper")).env("HOME", folder.path());
        command.env_remove("XDG_RUNTIME_DIR").current_dir(folder.path()).uid(uid).gid(uid);
    };
    let tests = programs.join("tests");
    let dockerfile = format!("FROM {base}\nRUN id -u > /id; test -w /bin\nCOPY a.txt /a.txt\n");
    let mut process = builder_of(&tests, folder.path(), &platform, &dockerfile, &base, as_user);
    assert!(process.wait().expect("ended").success());
    let store = folder.path().join("store");
    let left = || left_behind(&store, None);
    wait_for("the helper's end", || left().is_empty()).await;

    let mark = format!("66{}", std::process::id());
    let dockerfile = format!("FROM {base}\nRUN sleep {mark}\n");
    let mut process = builder_of(&tests, folder.path(), &platform, &dockerfile, &base, as_user);
    wait_until_sleeping(&mark).await;
    process.kill().expect("killed");
    process.wait().expect("gone");
    wait_for("the clean-up", || left_behind(&store, Some(&mark)).is_empty()).await;
}

/// Not a test of its own: what the tests above run as another process.
#[tokio::test]
async fn another_process_builds() {
    let Some(folder) = env::var_os("POLYARCH_TEST_BUILD").map(PathBuf::from) else { return };
    let of = |name: &str| env::var(format!("POLYARCH_TEST_{name}")).expect(name);
    let (_, backend) = backend(&folder);
    let (platform, base) = (of("PLATFORM"), of("BASE"));
    let mut ask = with_bases(request(&folder, &platform, ""), &base, &[&platform]);
    ask.dockerfile.text = of("DOCKERFILE");
    let (result, events) = build(&backend, ask).await;
    result.unwrap_or_else(|error| panic!("{error}: {events:?}"));
}

fn builder(
    folder: &Path,
    platform: &str,
    dockerfile: &str,
    base: &str,
    change: impl Fn(&mut Command),
) -> Child {
    builder_of(&env::current_exe().expect("a path"), folder, platform, dockerfile, base, change)
}

fn builder_of(
    tests: &Path,
    folder: &Path,
    platform: &str,
    dockerfile: &str,
    base: &str,
    change: impl Fn(&mut Command),
) -> Child {
    let mut command = Command::new(tests);
    command
        .args(["--exact", "flows::buildah_ends::another_process_builds", "--nocapture"])
        .stdout(Stdio::null());
    command.env("POLYARCH_TEST_BUILD", folder).env("POLYARCH_TEST_PLATFORM", platform);
    command.env("POLYARCH_TEST_BASE", base).env("POLYARCH_TEST_DOCKERFILE", dockerfile);
    change(&mut command);
    command.spawn().expect("a process")
}

async fn wait_until_sleeping(mark: &str) {
    wait_for("the step", || is_sleeping(mark)).await;
}

fn is_sleeping(mark: &str) -> bool {
    processes().any(|(_, command)| command.starts_with(&format!("sleep {mark}")))
}

/// The helper processes of this process that work on a store.
fn guards_of(parent: u32, store: &Path) -> Vec<u32> {
    let is_child = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok()) == Some(parent)
    };
    let holds = |pid: u32| {
        let output = fs::read_link(format!("/proc/{pid}/fd/1")).unwrap_or_default();
        output.starts_with(store)
    };
    processes().map(|(pid, _)| pid).filter(|pid| is_child(*pid) && holds(*pid)).collect()
}

fn processes() -> impl Iterator<Item = (u32, String)> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&command).replace('\0', " ")))
    })
}

/// The first ordinary user with ranges of ids, where this process may become that user.
fn ordinary_user() -> Option<(String, u32)> {
    let ranges = fs::read_to_string("/etc/subuid").unwrap_or_default();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let (name, uid) = (fields.first()?, fields.get(2)?.parse::<u32>().ok()?);
        let has_ids = ranges.lines().any(|range| range.starts_with(&format!("{name}:")));
        (has_ids && uid >= 1000).then(|| ((*name).to_owned(), uid))
    });
    let root = run(Command::new("id").arg("-u")).trim() == "0";
    if found.is_none() || !root {
        skip("there is no ordinary user with subordinate ids to become");
        return None;
    }
    found
}
