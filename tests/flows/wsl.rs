//! buildah through a way into a Linux: into this one, and through a stand-in of `wsl.exe`.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink};

use polyarch_actors::{
    Availability, BuildBackend as _, BuildError, EventKind, ImageOs, NamedContext, Platform, SecretRef,
    SecretSource,
};

use crate::support::{
    buildah::{Registry, build, config, file, folder, layout, printed, request, with_bases},
    wsl::{Injected, StandIn, left, ready},
};

#[tokio::test]
async fn it_says_what_it_can_do_and_leaves_nothing() {
    if !ready() {
        return;
    }
    let folder = folder();
    for found in [
        StandIn::local(folder.path()).1.probe().await,
        StandIn::new(folder.path(), Injected::Nothing).backend(None).1.probe().await,
    ] {
        let Availability::Usable(what) = &found.availability else { panic!("{found:?}") };
        assert!(what.starts_with("buildah 1."), "{what}");
        assert!(found.native.contains(&Platform::host_linux()));
        assert_eq!(found.assembles, [ImageOs::Linux]);
    }
    assert_eq!(left(folder.path(), None), Vec::<String>::new());
}

#[tokio::test]
async fn an_image_is_built_in_there_and_comes_back() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let host = Platform::host_linux();
    let Some(base) = registry.busybox(&[host.arch()]) else { return };
    let platform = host.to_string();
    let dockerfile = format!(
        "FROM {base} AS one\nRUN echo one | cat > /one; cat /one\nFROM {base}\nRUN echo two; echo more >&2\n\
         COPY --from=one /one /one\nCOPY . /all/\nCMD [\"it\"]\n"
    );
    let mut ask = with_bases(request(folder.path(), &platform, &dockerfile), &base, &[&platform]);
    ask.labels = BTreeMap::from([("hostile".to_owned(), "it's $(touch /x) \"`a`\"\n\\".to_owned())]);
    let context = folder.path().join("context");
    // Some 10 MB that do not compress, and names that a shell or a line would read in another way.
    let bytes: Vec<u8> =
        (0..10_u64 << 20).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    fs::write(context.join("large"), &bytes).expect("written");
    for name in ["it's $(touch x)", "a\nb", "-rf", "é \u{1b}[0m", "*"] {
        fs::write(context.join(name), name).expect("written");
    }
    symlink("/etc/passwd", context.join("outside")).expect("linked");
    fs::write(context.join("ignored"), "x").expect("written");
    fs::write(context.join(".dockerignore"), "ignored\n").expect("written");
    let stand_in = StandIn::new(folder.path(), Injected::Nothing);
    for (store, backend) in [StandIn::local(folder.path()), stand_in.backend(Some("My Linux"))] {
        let (result, events) = build(&backend, ask.clone()).await;
        let image = result.unwrap_or_else(|error| panic!("{error}: {events:?}"));
        let said = printed(&events);
        assert!(["one\n", "two\n", "more\n"].iter().all(|line| said.contains(line)), "{said}");
        let steps = events.iter().filter(|event| matches!(event, EventKind::StepFinished { .. }));
        // Seven of the Dockerfile, and the label.
        assert_eq!(steps.count(), 8);
        let first =
            EventKind::StepStarted { step: 1, instruction: format!("FROM {base} AS one"), stage: None };
        assert!(events.contains(&first), "{events:?}");
        let layout = layout(folder.path(), &store, &image);
        assert_eq!(file(&layout, "one"), "one\n");
        assert_eq!(file(&layout, "all/a.txt"), "hello\n");
        for name in ["it's $(touch x)", "a\nb", "-rf", "é \u{1b}[0m", "*"] {
            assert_eq!(file(&layout, &format!("all/{name}")), name);
        }
        let all = layout.join("bundle/rootfs/all");
        assert_eq!(fs::read(all.join("large")).expect("the file"), bytes);
        assert!(!all.join("ignored").exists());
        assert_eq!(fs::read_link(all.join("outside")).expect("a link").to_str(), Some("/etc/passwd"));
        let config = config(&layout);
        assert_eq!(config["config"]["Labels"]["hostile"], ask.labels["hostile"]);
        assert_eq!(config["architecture"], host.arch());
        assert_eq!(left(folder.path(), None), Vec::<String>::new());
        fs::remove_dir_all(layout).expect("removed");
    }
}

#[tokio::test]
async fn secrets_reach_the_step_and_no_command_line() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let platform = Platform::host_linux().to_string();
    let Some(base) = registry.busybox(&[Platform::host_linux().arch()]) else { return };
    let dockerfile = format!(
        "FROM {base}\nRUN --mount=type=secret,id=a test \"$(cat /run/secrets/a)\" = \"it's secret\"\n\
         RUN test ! -e /run/secrets/a && cat /proc/*/cmdline > /lines\nCOPY --from=more b.txt /\n"
    );
    let mut ask = with_bases(request(folder.path(), &platform, &dockerfile), &base, &[&platform]);
    let (secret, more) = (folder.path().join("secret"), folder.path().join("more"));
    fs::write(&secret, "it's secret").expect("written");
    fs::create_dir(&more).expect("made");
    fs::write(more.join("b.txt"), "b").expect("written");
    ask.secrets = vec![SecretRef { id: "a".into(), source: SecretSource::File(secret) }];
    ask.build_contexts = BTreeMap::from([("more".to_owned(), NamedContext::Directory(more))]);
    let (store, backend) = StandIn::new(folder.path(), Injected::Nothing).backend(None);
    let (result, events) = build(&backend, ask).await;
    let image = result.unwrap_or_else(|error| panic!("{error}: {events:?}"));
    let layout = layout(folder.path(), &store, &image);
    assert_eq!(file(&layout, "b.txt"), "b");
    assert!(!file(&layout, "lines").contains("it's secret"));
    assert_eq!(left(folder.path(), None), Vec::<String>::new());
}

#[tokio::test]
async fn failures_say_whose_they_are() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let platform = Platform::host_linux().to_string();
    let Some(base) = registry.busybox(&[Platform::host_linux().arch()]) else { return };
    let (_, backend) = StandIn::new(folder.path(), Injected::Nothing).backend(None);
    // It looks like the end of a build that went well.
    let step = "RUN echo ended 0; echo image; echo two >&2; exit 7";
    let ask = request(folder.path(), &platform, &format!("FROM {base}\n{step}\n"));
    let (result, _) = build(&backend, with_bases(ask, &base, &[&platform])).await;
    let Err(BuildError::StepFailed { instruction, exit_code, mut output }) = result else {
        panic!("{result:?}")
    };
    output.sort();
    assert_eq!((&*instruction, exit_code), (step, 7));
    assert_eq!(output, ["ended 0", "image", "two"]);

    let ask = request(folder.path(), &platform, "FROM scratch\nCOPY nope /\n");
    let (result, _) = build(&backend, ask).await;
    let is_invalid = |message: &str| message.contains("/nope");
    assert!(matches!(&result, Err(BuildError::Invalid { message, .. }) if is_invalid(message)), "{result:?}");
    let missing = format!("{}/nope:1", registry.address);
    let ask = request(folder.path(), &platform, &format!("FROM {missing}\nRUN true\n"));
    let (result, _) = build(&backend, with_bases(ask, &missing, &[&platform])).await;
    assert!(matches!(&result, Err(BuildError::BaseImage { image, .. }) if *image == missing), "{result:?}");
    assert_eq!(left(folder.path(), None), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_missing_is_said_with_the_way_out() {
    let folder = folder();
    for (injected, distribution, reason, advice) in [
        (Injected::Empty, None, "no distribution", "wsl --install -d"),
        (Injected::Nothing, Some("Nope"), "no distribution Nope", "My Linux, Other"),
        (Injected::Refuses("Wsl/WSL_E_LOCAL_SYSTEM_NOT_SUPPORTED"), None, "LocalSystem", "as a user"),
        (
            Injected::Refuses("Wsl/WSL_E_WSL_OPTIONAL_COMPONENT_REQUIRED"),
            None,
            "not installed",
            "wsl --install",
        ),
        (Injected::Refuses("Something else, é"), None, "Something else, é", "in a terminal"),
    ] {
        let (_, backend) = StandIn::new(folder.path(), injected).backend(distribution);
        let found = backend.probe().await;
        let Availability::Unusable(said) = &found.availability else { panic!("{found:?}") };
        assert!(said.contains(reason), "{said}");
        assert!(found.advice[0].contains(advice), "{found:?}");
        fs::remove_file(folder.path().join("wsl.exe")).expect("removed");
    }
    let (_, backend) = StandIn::absent(folder.path()).backend(None);
    let found = backend.probe().await;
    assert_eq!(found.availability, Availability::Unusable("finds no wsl.exe".into()));
}
