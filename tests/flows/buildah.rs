//! The buildah backend with the real buildah: what is built, and what is refused.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use polyarch::backend::buildah::supports_heredocs;
use polyarch_actors::{
    Availability, BuildBackend as _, BuildError, EventKind, ImageOs, Platform, PullPolicy,
};

use crate::support::buildah::{
    Registry, backend, build, config, file, folder, layout, left_behind, printed, ready, request, skip,
    with_bases,
};

/// Whether steps for arm64 run here.
fn runs_arm64() -> bool {
    let emulated = Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists();
    emulated || Platform::host_linux().arch() == "arm64" || skip("arm64 is not emulated here")
}

#[tokio::test]
async fn it_says_what_it_can_do() {
    if !ready() {
        return;
    }
    let folder = folder();
    let (_, backend) = backend(folder.path());
    let found = backend.probe().await;
    let Availability::Usable(what) = &found.availability else { panic!("{found:?}") };
    assert!(what.starts_with("buildah 1."), "{what}");
    assert!(found.native.contains(&Platform::host_linux()));
    assert_eq!(found.assembles, [ImageOs::Linux]);
    assert!(found.slots >= 2);
    assert_eq!(left_behind(&folder.path().join("store"), None), Vec::<String>::new());
}

#[tokio::test]
async fn an_image_without_run_is_built_for_every_platform() {
    if !ready() {
        return;
    }
    let folder = folder();
    let (store, backend) = backend(folder.path());
    for (platform, architecture, variant) in [
        ("linux/amd64", "amd64", ""),
        ("linux/arm64", "arm64", ""),
        ("linux/arm/v7", "arm", "v7"),
        ("linux/arm/v6", "arm", "v6"),
    ] {
        let dockerfile = "FROM scratch\nARG TARGETPLATFORM\nCOPY a.txt /dir/a.txt\nENV P=$TARGETPLATFORM\n";
        let (result, events) = build(&backend, request(folder.path(), platform, dockerfile)).await;
        let image = result.unwrap_or_else(|error| panic!("{platform}: {error} {events:?}"));
        assert_eq!(image.platform.to_string(), platform);
        let layout = layout(folder.path(), &store, &image);
        let config = config(&layout);
        assert_eq!(config["os"], "linux");
        assert_eq!(config["architecture"], architecture);
        assert_eq!(config["variant"].as_str().unwrap_or_default(), variant);
        assert!(config["config"]["Env"].to_string().contains(&format!("P={platform}")), "{config}");
        assert_eq!(file(&layout, "dir/a.txt"), "hello\n");
        assert!(events.contains(&EventKind::StepStarted {
            step: 1,
            instruction: "FROM scratch".into(),
            stage: None
        }));
    }
    assert_eq!(left_behind(store.root(), None), Vec::<String>::new());
}

#[tokio::test]
async fn steps_run_on_a_base_from_a_loopback_registry_and_are_cached() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let host = Platform::host_linux();
    let Some(base) = registry.busybox(&[host.arch()]) else { return };
    let (store, backend) = backend(folder.path());
    let dockerfile = format!(
        "FROM {base}\nARG BUILDPLATFORM\nRUN echo built on $BUILDPLATFORM | cat > /built; cat /built\nCOPY a.txt /\n"
    );
    let platform = host.to_string();
    let ask = || with_bases(request(folder.path(), &platform, &dockerfile), &base, &[&platform]);
    let (first, events) = build(&backend, ask()).await;
    let first = first.unwrap_or_else(|error| panic!("{error}: {events:?}"));
    assert!(events.contains(&EventKind::Pulled { image: base.clone(), bytes: None }));
    assert!(events.contains(&EventKind::StepStarted {
        step: 1,
        instruction: format!("FROM {base}"),
        stage: None
    }));
    assert_eq!(printed(&events), format!("built on {platform}\n"));
    let layout = layout(folder.path(), &store, &first);
    assert_eq!(file(&layout, "built"), format!("built on {platform}\n"));
    assert_eq!(file(&layout, "a.txt"), "hello\n");

    let begun = Instant::now();
    let (second, events) = build(&backend, ask()).await;
    let second = second.expect("built again");
    assert_eq!(second.manifest, first.manifest);
    assert!(!events.iter().any(|event| matches!(event, EventKind::Pulled { .. })));
    let cached = events.iter().filter(|event| matches!(event, EventKind::StepFinished { cached: true, .. }));
    assert_eq!(cached.count(), 3, "{events:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));

    let mut always = ask();
    always.pull = PullPolicy::Always;
    let (third, events) = build(&backend, always).await;
    assert_eq!(third.expect("built again").manifest, first.manifest);
    assert!(events.contains(&EventKind::Pulled { image: base, bytes: None }));
    assert_eq!(left_behind(store.root(), None), Vec::<String>::new());
}

#[tokio::test]
async fn each_stage_gets_the_base_for_its_own_platform() {
    if !ready() || !runs_arm64() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let host = Platform::host_linux();
    let Some(base) = registry.busybox(&[host.arch(), "arm64"]) else { return };
    let (store, backend) = backend(folder.path());
    let dockerfile = format!(
        "FROM --platform=$BUILDPLATFORM {base} AS one\nRUN uname -m > /one\n\
         FROM {base}\nRUN uname -m > /two\nCOPY --from=one /one /one\nCOPY --from={base} /bin/true /three\n"
    );
    let platform = host.to_string();
    let ask =
        with_bases(request(folder.path(), "linux/arm64", &dockerfile), &base, &[&platform, "linux/arm64"]);
    let (result, events) = build(&backend, ask).await;
    let image = result.unwrap_or_else(|error| panic!("{error}: {events:?}"));
    let layout = layout(folder.path(), &store, &image);
    assert_eq!(config(&layout)["architecture"], "arm64");
    assert_eq!(file(&layout, "two"), "aarch64\n");
    if host.arch() == "amd64" {
        assert_eq!(file(&layout, "one"), "x86_64\n");
    }
}

#[tokio::test]
async fn a_base_that_is_not_for_the_platform_is_refused() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let host = Platform::host_linux();
    let Some(_) = registry.busybox(&[host.arch()]) else { return };
    let (_, backend) = backend(folder.path());
    for (tag, words) in
        [(host.arch(), "only"), ("latest", "not for this platform"), ("nope", "manifest unknown")]
    {
        let base = format!("{}/busybox:{tag}", registry.address);
        let ask = request(folder.path(), "linux/s390x", &format!("FROM {base}\nCOPY a.txt /\n"));
        let (result, _) = build(&backend, with_bases(ask, &base, &["linux/s390x"])).await;
        let error = result.expect_err("no base");
        assert!(matches!(&error, BuildError::BaseImage { image, .. } if *image == base), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_failing_step_gives_its_exit_code_and_last_lines() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let platform = Platform::host_linux().to_string();
    let Some(base) = registry.busybox(&[Platform::host_linux().arch()]) else { return };
    let (store, backend) = backend(folder.path());
    let step = "RUN echo one; echo two >&2; exit 7";
    let ask = request(folder.path(), &platform, &format!("FROM {base}\n{step}\n"));
    let (result, _) = build(&backend, with_bases(ask, &base, &[&platform])).await;
    let Err(BuildError::StepFailed { instruction, exit_code, mut output }) = result else {
        panic!("{result:?}")
    };
    output.sort();
    assert_eq!(
        (instruction.as_str(), exit_code, output),
        (step, 7, vec!["one".to_owned(), "two".to_owned()])
    );
    assert_eq!(left_behind(store.root(), None), Vec::<String>::new());

    let ask = request(folder.path(), &platform, "FROM scratch\nCOPY nope /\n");
    let (result, _) = build(&backend, ask).await;
    assert!(
        matches!(&result, Err(BuildError::Invalid { message, .. }) if message.contains("/nope")),
        "{result:?}"
    );
}

#[tokio::test]
async fn an_image_without_layers_and_what_only_docker_knows_are_kept() {
    if !ready() {
        return;
    }
    let folder = folder();
    let (store, backend) = backend(folder.path());
    let dockerfile = "FROM scratch\nENV A=1\nSHELL [\"/sh\", \"-c\"]\nHEALTHCHECK CMD /ok\nONBUILD ENV B=2\n";
    let image = build(&backend, request(folder.path(), "linux/amd64", dockerfile)).await.0.expect("built");
    let layout = layout(folder.path(), &store, &image);
    let config = config(&layout);
    assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([]));
    assert_eq!(config["config"]["Shell"], serde_json::json!(["/sh", "-c"]));
    assert_eq!(config["config"]["Healthcheck"]["Test"], serde_json::json!(["CMD-SHELL", "/ok"]));
    assert_eq!(config["config"]["OnBuild"], serde_json::json!(["ENV B=2"]));
}

#[tokio::test]
async fn an_ignore_file_of_the_dockerfile_alone_counts() {
    if !ready() {
        return;
    }
    let folder = folder();
    let (_, backend) = backend(folder.path());
    let mut ask = request(folder.path(), "linux/amd64", "FROM scratch\nCOPY a.txt /\n");
    assert!(build(&backend, ask.clone()).await.0.is_ok());
    ask.dockerfile.ignore = Some("a.txt\n".into());
    assert!(matches!(build(&backend, ask.clone()).await.0, Err(BuildError::Invalid { .. })));
    ask.dockerfile.ignore = Some(String::new());
    fs::write(folder.path().join("context/.dockerignore"), "a.txt\n").expect("written");
    assert!(build(&backend, ask).await.0.is_ok());
}

#[tokio::test]
async fn what_buildah_cannot_do_is_said_before_anything_runs() {
    if !ready() {
        return;
    }
    let folder = folder();
    let (_, backend) = backend(folder.path());
    let version = backend.version().await.expect("usable");
    let ask = request(folder.path(), "linux/amd64", "FROM scratch\nCOPY <<EOF /a\nx\nEOF\n");
    let (result, events) = build(&backend, ask).await;
    if !supports_heredocs(version) {
        assert!(
            matches!(&result, Err(BuildError::Invalid { message, .. }) if message.contains("heredocs")),
            "{result:?}"
        );
        assert!(!events.iter().any(|event| matches!(event, EventKind::StepStarted { .. })));
    }
    let (result, _) = build(&backend, request(folder.path(), "windows/amd64", "FROM scratch\n")).await;
    assert!(
        matches!(&result, Err(BuildError::Invalid { message, .. }) if message.contains("windows/amd64")),
        "{result:?}"
    );
}
