//! What is refused, how it is said, and what a hostile base cannot do.

use std::{fs, process::Command};

use polyarch_actors::{BaseImage, BuildError, BuildRequest};

use super::{build, files, fill, push, push_base, sandbox};
use crate::support::buildah::{self, Registry, folder, layout, ready, run};

fn with_base(mut request: BuildRequest, reference: &str) -> BuildRequest {
    request.bases = vec![BaseImage { reference: reference.into(), platform: request.platform.clone() }];
    request
}

#[tokio::test]
async fn what_cannot_be_done_names_its_line_and_the_reason() {
    let folder = folder();
    let (_, backend) = sandbox(folder.path());
    for (dockerfile, words) in [
        (
            "FROM scratch\nRUN --security=insecure x\n",
            "Dockerfile:2: RUN --security=insecure asks for all rights",
        ),
        (
            "FROM scratch\nRUN --network=host x\n",
            "Dockerfile:2: RUN --network=host asks for the network of the machine",
        ),
        ("FROM scratch\nCOPY --parents nope/x /\n", "Dockerfile:2: source \"nope/x\" not found"),
        (
            "FROM scratch\nADD --checksum=sha256:1 http://127.0.0.1:1/x /\n",
            "Dockerfile:2: invalid checksum \"sha256:1\"",
        ),
        (
            "FROM scratch\nADD --checksum=sha256:1 a.txt /\n",
            "--checksum is for what is downloaded, and a.txt is",
        ),
        ("FROM scratch\nCOPY nope /\n", "Dockerfile:2: source \"nope\" not found"),
        ("FROM scratch\nCOPY ignored.log /\n", "excluded by \"*.log\", line 1 of the .dockerignore"),
        ("FROM scratch\nCOPY --chown=nobody a.txt /\n", "the user nobody is not in /etc/passwd"),
        ("FROM scratch\nCOPY --chmod=rw a.txt /\n", "neither octal"),
        ("FROM scratch\nCOPY a.txt b.txt /x\n", "several sources need a directory"),
        (
            "FROM scratch\nCOPY dir /x/\nCOPY a.txt /x/a\nCOPY dir /x/a\n",
            "Dockerfile:4: /x/a is no directory",
        ),
        ("FROM scratch AS a\nCOPY a.txt /\nFROM scratch\nCOPY --from=a b /\n", "not found in the stage a"),
        ("FROM scratch\nEXPOSE http\n", "\"http\" is no port"),
    ] {
        let mut request = buildah::request(folder.path(), "linux/amd64", dockerfile);
        request.steps.refuse_host_network = true;
        fill(&folder.path().join("context"));
        let error = build(&backend, request).await.0.expect_err(dockerfile);
        assert!(matches!(&error, BuildError::Invalid { place: Some(_), .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn newer_flags_work_that_an_old_buildah_does_not_know() {
    if !ready() {
        return;
    }
    let folder = folder();
    let (store, backend) = sandbox(folder.path());
    let dockerfile = "FROM scratch\nARG V=1\nCOPY <<A <<'B' /docs/\n$V\nA\n$V\nB\n\
                      COPY --exclude=sub --chmod=u+x dir /dir\nCOPY --link a.txt /linked/\n";
    let request = buildah::request(folder.path(), "linux/amd64", dockerfile);
    fill(&folder.path().join("context"));
    let image = build(&backend, request.clone()).await.0.unwrap_or_else(|error| panic!("{error}"));
    let found = files(&layout(folder.path(), &store, &image));
    let content = |path: &str| found[path].rsplit(' ').next().map(str::to_owned);
    assert_eq!(content("docs/A").as_deref(), Some("1\n"));
    assert_eq!(content("docs/B").as_deref(), Some("$V\n"));
    assert!(found["dir/one"].starts_with("744 "), "{found:?}");
    assert!(!found.contains_key("dir/sub") && found.contains_key("linked/a.txt"), "{found:?}");

    let mut dated = request;
    dated.build_args.insert("SOURCE_DATE_EPOCH".into(), "1700000000".into());
    let one = build(&backend, dated.clone()).await.0.expect("built");
    let two = build(&backend, dated).await.0.expect("built");
    assert_eq!(one.manifest, two.manifest);
}

#[tokio::test]
async fn a_base_for_other_platforms_only_is_refused() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let base = push_base(folder.path(), &registry);
    let (_, backend) = sandbox(folder.path());
    let request = buildah::request(folder.path(), "linux/s390x", &format!("FROM {base}\nCOPY a.txt /\n"));
    let error = build(&backend, with_base(request, &base)).await.0.expect_err("no such platform");
    assert_eq!(
        error.to_string(),
        format!("Dockerfile:1: base image {base} for linux/s390x: it is there for linux/amd64 only")
    );
}

#[tokio::test]
async fn a_cancelled_build_leaves_nothing() {
    use polyarch_actors::{BuildBackend as _, BuildCx, EventSink};
    let folder = folder();
    let (store, backend) = sandbox(folder.path());
    let request = buildah::request(folder.path(), "linux/amd64", "FROM scratch\nCOPY a.txt /\n");
    let cancel = tokio_util::sync::CancellationToken::new();
    cancel.cancel();
    let cx = BuildCx { events: EventSink::new(request.build.clone()), cancel, emulated: false };
    assert_eq!(backend.build(request, cx).await.expect_err("cancelled"), BuildError::Cancelled);
    let blobs = fs::read_dir(store.root().join("blobs/sha256")).expect("blobs").count();
    assert_eq!(blobs, 0);
}

#[tokio::test]
async fn a_hostile_base_reaches_nothing_outside_of_it() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let outside = folder.path().join("outside");
    fs::create_dir_all(&outside).expect("a folder");
    let evil = folder.path().join("evil.tar");
    let script = "import sys, tarfile, io\n\
        t = tarfile.open(sys.argv[1], 'w')\n\
        def add(name, kind=tarfile.REGTYPE, link='', body=b''):\n \
        i = tarfile.TarInfo(name); i.type = kind; i.linkname = link; i.size = len(body); t.addfile(i, io.BytesIO(body))\n\
        len(sys.argv) > 3 and add('../../../climbed', body=b'x')\n\
        add('/absolute', body=b'x')\n\
        add('way', tarfile.SYMTYPE, sys.argv[2])\n\
        add('way/through', body=b'x')\n\
        add('up', tarfile.SYMTYPE, '../../../../../../../..')\n\
        add('passwd', tarfile.SYMTYPE, '/etc/passwd')\n";
    let climbing = folder.path().join("climbing.tar");
    run(Command::new("python3").args(["-c", script]).args([&climbing, &outside]).arg("climb"));
    run(Command::new("python3").args(["-c", script]).args([&evil, &outside]));
    let context = folder.path().join("context");
    let request = buildah::request(folder.path(), "linux/amd64", "");
    fs::copy(&evil, context.join("evil.tar")).expect("copied");
    fs::copy(&climbing, context.join("climbing.tar")).expect("copied");
    // As an archive of the context, which ADD unpacks, and then as a layer that COPY --from reads.
    let (store, backend) = sandbox(folder.path());
    let with = |text: String| {
        let mut request = request.clone();
        request.dockerfile.text = text;
        request
    };
    let refused = build(&backend, with("FROM scratch\nADD climbing.tar /\n".into())).await.0;
    let refused = refused.expect_err("a member leads out").to_string();
    assert!(refused.contains("its member climbed leads out of where it is unpacked"), "{refused}");
    let made = build(&backend, with("FROM scratch\nADD evil.tar /\n".into())).await.0.expect("built");
    let name = format!("{}/evil:1", registry.address);
    push(&layout(folder.path(), &store, &made), &name);
    let error =
        build(&backend, with_base(with(format!("FROM scratch\nCOPY --from={name} /passwd /p\n")), &name))
            .await;
    let error = error.0.expect_err("no such file in the image").to_string();
    assert!(error.contains("\"/passwd\" not found"), "{error}");
    let text = format!("FROM {name}\nCOPY a.txt /way/file\nCOPY a.txt /up/file\n");
    let image =
        build(&backend, with_base(with(text), &name)).await.0.unwrap_or_else(|error| panic!("{error}"));
    let found = files(&layout(&folder.path().join("x"), &store, &image));
    let inside = outside.strip_prefix("/").expect("absolute").display().to_string();
    for path in ["absolute".to_owned(), "file".into(), format!("{inside}/through"), format!("{inside}/file")]
    {
        assert!(found.contains_key(&path), "{path} {found:?}");
    }
    assert_eq!(fs::read_dir(&outside).expect("listed").count(), 0);
}
