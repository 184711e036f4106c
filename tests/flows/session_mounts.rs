//! What a step sees besides its root file system, and that none of it reaches the layer.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    path::PathBuf,
};

use polyarch::session::{
    Cache, Ended, Mount, MountKind, Secret, SecretSource, Session as _, Sharing, Source, Step,
};

use crate::support::session::{Bench, layer, paths};

fn mount(target: &str, kind: MountKind) -> Mount {
    Mount { target: target.into(), kind }
}

fn cache(id: &str, sharing: Sharing) -> Cache {
    Cache { id: id.into(), sharing, seed: None, mode: 0o755, uid: 0, gid: 0, readonly: false }
}

async fn printed(bench: &Bench, mounts: Vec<Mount>, script: &str) -> String {
    let outcome = bench.run(Step { mounts, ..bench.step(script) }).await;
    let (result, printed) = outcome;
    let result = result.expect("an outcome");
    assert_eq!(result.ended, Ended::Code(0), "{script}: {printed}");
    assert_eq!(paths(&result), Vec::<String>::new(), "{script}");
    printed
}

#[tokio::test]
async fn files_of_other_layers_and_of_the_host_are_seen_and_cannot_be_changed() {
    let Some(bench) = Bench::new() else { return };
    let other = layer(&bench.store, |layer| {
        layer.directory("data", 0o755);
        layer.file("data/file", b"from a stage", 0o644);
        layer.link("out", "/data");
    });
    let host = bench.path().join("context");
    fs::create_dir(&host).expect("a folder");
    fs::write(host.join("a.txt"), "from the host").expect("a file");
    for (path, script) in
        [("data", "cat /m/file"), ("out", "cat /m/file"), ("/", "cat /m/data/file"), ("data/file", "cat /m")]
    {
        let source = Source::Layers { layers: vec![other.clone()], path: path.into() };
        let bind = |writable| vec![mount("/m", MountKind::Bind { source: source.clone(), writable })];
        assert_eq!(
            printed(&bench, bind(false), &format!("{script}; ! touch /m/x /m 2> /dev/null")).await,
            "from a stage"
        );
    }
    for writable in [false, true] {
        let source = Source::Host(host.clone());
        let mounts = vec![mount("/very/deep/m", MountKind::Bind { source, writable })];
        let script = if writable {
            "echo x > /very/deep/m/new; cat /very/deep/m/a.txt"
        } else {
            "! touch /very/deep/m/new 2> /dev/null; cat /very/deep/m/a.txt"
        };
        assert_eq!(printed(&bench, mounts, script).await, "from the host");
        assert_eq!(fs::read_dir(&host).expect("list").count(), 1);
    }
    let source = Source::Layers { layers: vec![other], path: "missing".into() };
    let step =
        Step { mounts: vec![mount("/m", MountKind::Bind { source, writable: false })], ..bench.step("true") };
    let error = bench.run(step).await.0.expect_err("missing").to_string();
    assert!(error.starts_with("cannot mount /m: missing: No such file"), "{error}");
}

#[tokio::test]
async fn a_cache_is_found_again_and_a_private_one_is_used_once_at_a_time() {
    let Some(bench) = Bench::new() else { return };
    let shared = || vec![mount("/c", MountKind::Cache(cache("one", Sharing::Shared)))];
    assert_eq!(printed(&bench, shared(), "echo kept > /c/file").await, "");
    assert_eq!(printed(&bench, shared(), "cat /c/file").await, "kept\n");
    let other = vec![mount("/c", MountKind::Cache(cache("two", Sharing::Shared)))];
    assert_eq!(printed(&bench, other, "ls /c").await, "");
    let private = || vec![mount("/c", MountKind::Cache(cache("three", Sharing::Private)))];
    let script = "ls /c; touch /c/$$-$RANDOM; sleep 1";
    let (one, two) = tokio::join!(printed(&bench, private(), script), printed(&bench, private(), script));
    assert_eq!((one.as_str(), two.as_str()), ("", ""));
    let seeded = Cache {
        seed: Some((bench.base.clone(), "etc".into())),
        mode: 0o700,
        uid: 5,
        gid: 6,
        ..cache("four", Sharing::Locked)
    };
    let seeded = || vec![mount("/c", MountKind::Cache(seeded.clone()))];
    assert_eq!(
        printed(&bench, seeded(), "ls /c; stat -c '%a %u %g' /c; rm /c/group").await,
        "group\npasswd\n700 5 6\n"
    );
    assert_eq!(printed(&bench, seeded(), "ls /c").await, "passwd\n");
}

#[tokio::test]
async fn a_secret_has_its_mode_and_owner_and_is_nowhere_afterwards() {
    let Some(bench) = Bench::new() else { return };
    let secret = |source, env: Option<&str>| {
        MountKind::Secret(Secret { source, env: env.map(Into::into), mode: 0o440, uid: 1000, gid: 33 })
    };
    let bytes = SecretSource::Bytes(b"hunter2".to_vec());
    let path = bench.path().join("secret");
    fs::write(&path, "swordfish").expect("written");
    let mounts = vec![
        mount("/run/secrets/one", secret(bytes.clone(), None)),
        mount("/run/secrets/two", secret(SecretSource::File(path.clone()), None)),
        mount("", secret(bytes, Some("PASSWORD"))),
    ];
    let script = "cd /run/secrets; cat one two; echo; stat -c '%a %u %g' one two; echo $PASSWORD; ! touch one 2> /dev/null";
    assert_eq!(
        printed(&bench, mounts, script).await,
        "hunter2swordfish\n440 1000 33\n440 1000 33\nhunter2\n"
    );
    fs::remove_file(path).expect("removed");
    bench.session.close().await;
    let found =
        std::process::Command::new("grep").args(["-rlE", "hunter2|swordfish"]).arg(bench.path()).output();
    assert_eq!(String::from_utf8_lossy(&found.expect("grep").stdout), "");
}

#[tokio::test]
async fn an_empty_directory_in_memory_has_the_size_that_is_asked_for() {
    let Some(bench) = Bench::new() else { return };
    let mounts = vec![
        mount("tmp", MountKind::Tmpfs { size: Some(1 << 20) }),
        mount("/etc/deep", MountKind::Tmpfs { size: None }),
    ];
    let script = "grep ' /tmp ' /proc/mounts | grep -c size=1024k; ! dd if=/dev/zero of=/tmp/x bs=1M count=2 2> /dev/null; touch /etc/deep/x";
    assert_eq!(printed(&bench, mounts, script).await, "1\n");
}

#[tokio::test]
async fn an_agent_answers_whoever_may_reach_it() {
    let Some(bench) = Bench::new() else { return };
    let socket = bench.path().join("agent");
    let listener = UnixListener::bind(&socket).expect("a socket");
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a client");
            let mut asked = [0; 4];
            if client.read_exact(&mut asked).is_err() {
                continue;
            }
            client.write_all(&[b"pong ", &asked[..]].concat()).expect("an answer");
        }
    });
    let mounts = vec![mount(
        "/run/buildkit/ssh_agent.0",
        MountKind::Ssh { socket, mode: 0o600, uid: 1000, gid: 1000 },
    )];
    let script =
        "stat -c '%a %u %F' $SSH_AUTH_SOCK; echo ping | nc local:$SSH_AUTH_SOCK 2> /dev/null || echo failed";
    let step = Step { mounts, user: "app".into(), ..bench.step(script) };
    let (outcome, text) = bench.run(step).await;
    assert_eq!(outcome.expect("an outcome").ended, Ended::Code(0), "{text}");
    assert!(text.starts_with("600 1000 socket\n"), "{text}");
    let missing = PathBuf::from("/nowhere/agent");
    let step = Step {
        mounts: vec![mount("/s", MountKind::Ssh { socket: missing, mode: 0o600, uid: 0, gid: 0 })],
        ..bench.step("true")
    };
    let error = bench.run(step).await.0.expect_err("no agent").to_string();
    assert!(error.starts_with("cannot mount /s: the agent cannot be forwarded"), "{error}");
}

#[tokio::test]
async fn what_a_step_writes_beside_a_mount_stays_and_the_place_of_the_mount_goes() {
    let Some(bench) = Bench::new() else { return };
    let tmpfs = || MountKind::Tmpfs { size: None };
    let mounts = vec![mount("/a/b", tmpfs()), mount("/c", tmpfs())];
    let step = Step { mounts, ..bench.step("touch /a/kept /a/b/gone /c/gone") };
    let outcome = bench.run(step).await.0.expect("an outcome");
    assert_eq!(paths(&outcome), ["a", "a/kept"]);
}
