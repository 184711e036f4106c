//! What a step costs the second time, and what several builds make of one step.

use std::{fs, path::Path, time::Duration};

use polyarch_actors::{BuildRequest, CachePolicy, EventKind, NamedContext};

use super::{build, files, sandbox};
use crate::support::{
    buildah::{self, folder, layout},
    git::{GitServer, git},
    tools,
    web::Web,
};

/// A stage with a shell, which every test begins from. Its files are those of the named context `tools`.
const SHELL: &str = "FROM --platform=$BUILDPLATFORM tools AS shell\nENV PATH=/bin\n";

fn request(folder: &Path, platform: &str, dockerfile: &str) -> BuildRequest {
    let mut request = buildah::request(folder, platform, &format!("{SHELL}{dockerfile}"));
    let tools = folder.join("tools");
    fs::create_dir_all(tools.join("bin")).expect("a folder");
    for name in ["sh", "sleep", "cp", "cat"] {
        fs::copy("/bin/busybox", tools.join("bin").join(name)).expect("busybox");
    }
    request.build_contexts.insert("tools".into(), NamedContext::Directory(tools));
    request
}

/// How many steps ran, and how many were there, of those whose instruction begins with `start`.
pub(super) fn ran(events: &[EventKind], start: &str) -> (usize, usize) {
    let begun = events.iter().filter_map(|event| match event {
        EventKind::StepStarted { step, instruction, .. } if instruction.starts_with(start) => Some(*step),
        _ => None,
    });
    let cached = |step: &u32| {
        let is_cached = |event: &EventKind| matches!(event, EventKind::StepFinished { step: at, cached: true, .. } if at == step);
        events.iter().any(is_cached)
    };
    let (cached, done): (Vec<u32>, Vec<u32>) = begun.partition(cached);
    (done.len(), cached.len())
}

fn printed(events: &[EventKind]) -> String {
    let output = events.iter().filter_map(|event| match event {
        EventKind::StepOutput { data, .. } => Some(data.to_text().into_owned()),
        _ => None,
    });
    output.collect()
}

#[tokio::test]
async fn platforms_that_need_the_same_step_run_it_once() {
    if !tools::require("busybox") {
        return;
    }
    let folder = folder();
    let (_, backend) = sandbox(folder.path());
    let text = "FROM shell AS compile\nRUN echo compiling; sleep 1; echo done > /out\n\
                FROM scratch\nARG TARGETARCH\nENV A=$TARGETARCH\nCOPY --from=compile /out /out\n";
    let platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"];
    let requests: Vec<_> = platforms.iter().map(|name| request(folder.path(), name, text)).collect();
    let builds = requests.into_iter().map(|request| build(&backend, request));
    let ended = futures::future::join_all(builds).await;
    let output: String = ended.iter().map(|(_, events)| printed(events)).collect();
    assert_eq!(output, "compiling\n");
    let images: Vec<_> = ended.into_iter().map(|(image, _)| image.expect("built").manifest.digest).collect();
    assert_eq!(images.len(), 4);
}

#[tokio::test]
async fn a_step_that_fails_fails_once_for_all_who_wait_for_it() {
    if !tools::require("busybox") {
        return;
    }
    let folder = folder();
    let (_, backend) = sandbox(folder.path());
    let text = "FROM shell AS compile\nRUN echo trying; sleep 1; exit 3\n\
                FROM scratch\nARG TARGETARCH\nENV A=$TARGETARCH\nCOPY --from=compile /bin/sh /sh\n";
    let builds =
        ["linux/amd64", "linux/arm64"].map(|name| build(&backend, request(folder.path(), name, text)));
    let ended = futures::future::join_all(builds).await;
    let output: String = ended.iter().map(|(_, events)| printed(events)).collect();
    assert_eq!(output, "trying\n");
    for (image, _) in ended {
        let error = image.expect_err("a failed step").to_string();
        assert!(error.ends_with("failed with exit code 3"), "{error}");
    }
}

#[tokio::test]
async fn when_the_one_who_runs_a_step_is_cancelled_the_next_runs_it() {
    if !tools::require("busybox") {
        return;
    }
    let folder = folder();
    let (_, backend) = sandbox(folder.path());
    let text = "FROM shell\nRUN echo running; sleep 2; echo x > /out\n";
    let [first, second] = [(); 2].map(|()| request(folder.path(), "linux/amd64", text));
    // Dropped while its step runs.
    let first = tokio::time::timeout(Duration::from_secs(1), build(&backend, first));
    let second = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        build(&backend, second).await
    };
    let (first, (image, events)) = tokio::join!(first, second);
    assert!(first.is_err(), "it should have been cut off");
    image.expect("built");
    assert_eq!(ran(&events, "RUN"), (1, 0));
    assert_eq!(printed(&events), "running\n");
}

#[tokio::test]
async fn only_what_a_change_reaches_is_done_again() {
    if !tools::require("busybox") {
        return;
    }
    let folder = folder();
    let (_, backend) = sandbox(folder.path());
    let text = "FROM shell\nCOPY a.txt /a\nRUN cp /bin/sh /copy\nCOPY b.txt /b\nRUN cat /a /b > /ab\n";
    let request = |_| {
        let request = request(folder.path(), "linux/amd64", text);
        fs::write(folder.path().join("context/a.txt"), "a").expect("written");
        request
    };
    let b = |content: &str| fs::write(folder.path().join("context/b.txt"), content).expect("written");
    let built = |request| async { build(&backend, request).await };
    let outcome = |(image, events): (Result<polyarch_actors::BuiltImage, _>, Vec<EventKind>)| {
        (
            image.unwrap_or_else(|error| panic!("{error}")).manifest.digest,
            ran(&events, "RUN"),
            ran(&events, "COPY"),
        )
    };
    fs::create_dir_all(folder.path().join("context")).expect("a context");
    b("one");
    let first = outcome(built(request(1)).await);
    assert_eq!((first.1, first.2), ((2, 0), (2, 0)));
    let again = outcome(built(request(2)).await);
    assert_eq!(again, (first.0.clone(), (0, 2), (0, 2)), "nothing changed, so it is the same image");
    b("two");
    let changed = outcome(built(request(3)).await);
    assert_eq!((changed.1, changed.2), ((1, 1), (1, 1)));
    assert_ne!(changed.0, first.0);
    b("one");
    assert_eq!(outcome(built(request(4)).await), (first.0, (0, 2), (0, 2)), "as it was before");
    let mut anew = request(5);
    anew.cache = CachePolicy::Ignore;
    assert_eq!(outcome(built(anew).await).1, (2, 0));
}

#[tokio::test]
async fn a_secret_reaches_the_command_and_nothing_else() {
    if !tools::require("busybox") {
        return;
    }
    let folder = folder();
    let (store, backend) = sandbox(folder.path());
    let text = "FROM shell\nRUN --mount=type=secret,id=token,required=true \
                read -r it < /run/secrets/token; test ${#it} = 12\n";
    let secret = folder.path().join("secret");
    for (value, works) in [("hush-hush-42", true), ("another", true)] {
        fs::write(&secret, value).expect("written");
        let mut request = request(folder.path(), "linux/amd64", text);
        let source = polyarch_actors::SecretSource::File(secret.clone());
        request.secrets = vec![polyarch_actors::SecretRef { id: "token".into(), source }];
        // The content is no part of the key: the second build does not even look.
        assert_eq!(build(&backend, request).await.0.is_ok(), works, "{value}");
    }
    let error = build(&backend, request(folder.path(), "linux/amd64", text)).await.0;
    assert!(error.is_err_and(|error| error.to_string().contains("--secret id=token")), "it is required");
    let found = std::process::Command::new("grep").arg("-rl").arg("hush-hush").arg(store.root()).output();
    assert_eq!(String::from_utf8_lossy(&found.expect("grep").stdout), "");
}

#[tokio::test]
async fn add_takes_files_of_servers_and_repositories() {
    let Some(server) = GitServer::start() else { return };
    let folder = folder();
    let (store, backend) = sandbox(folder.path());
    let web = Web::start();
    let file = web.put("file.txt", "from far\n");
    let digest = polyarch::oci::digest_of(b"from far\n");
    let text = format!(
        "FROM scratch\nADD {file} /plain\nADD --checksum={digest} --chmod=644 --chown=7:8 {file} /sub/\nADD {} /app\n",
        server.url("app")
    );
    let request = buildah::request(folder.path(), "linux/amd64", &text);
    let (image, events) = build(&backend, request.clone()).await;
    let image = image.unwrap_or_else(|error| panic!("{error}"));
    assert!(events.contains(&EventKind::Fetched { address: file.clone() }), "{events:?}");
    let found = files(&layout(folder.path(), &store, &image));
    for path in ["plain", "sub/file.txt"] {
        assert!(found.get(path).is_some_and(|file| file.contains("from far")), "{path} {found:?}");
    }
    let tracked = git(&server.path("app"), &["ls-tree", "-r", "--name-only", "HEAD"]);
    let first = tracked.lines().next().expect("a file");
    assert!(found.contains_key(&format!("app/{first}")), "{first} {found:?}");
    assert!(!found.contains_key("app/.git"), "{found:?}");
    web.put("file.txt", "another file\n");
    let error = build(&backend, request).await.0.expect_err("another digest").to_string();
    assert!(error.starts_with("Dockerfile:3: "), "{error}");
}
