use super::{super::flags::step_limits, *};
use polyarch_actors::{BuildId, ContextSource, DockerfileSource, StepNetwork};

fn request() -> BuildRequest {
    let dockerfile = DockerfileSource::new("Dockerfile", "FROM scratch");
    let context = ContextSource::Directory("/ctx".into());
    BuildRequest::new(BuildId::generate(), "linux/arm/v7".parse().expect("platform"), dockerfile, context)
}

fn line(request: &BuildRequest, isolation: &str, minor: u32) -> Result<String, BuildError> {
    let storage = Storage {
        program: "buildah".into(),
        root: "/w/root".into(),
        run: "/w/run".into(),
        driver_flags: vec!["--storage-driver=overlay".into()],
        driver: "overlay".into(),
        shared: vec!["/images/a".into()],
    };
    let plan = BuildPlan {
        request,
        version: BuildahVersion { major: 1, minor, patch: 0 },
        isolation,
        build_platform: &"linux/amd64".parse().expect("platform"),
        dockerfile: Path::new("/w/Dockerfile"),
        ignore_file: None,
        id_file: Path::new("/w/id"),
        runtime_root: Path::new("/w/crun"),
        cgroup: "group",
        limits: step_limits(request, false, true),
        pinned: &BTreeMap::from([("alpine:3".to_owned(), "abc".to_owned())]),
        mask: &[],
    };
    let command = build(&storage, &plan)?;
    Ok(command.args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" "))
}

#[test]
fn the_platform_is_always_explicit_and_flags_come_before_the_context() {
    let line = line(&request(), "oci", 28).expect("a command");
    for part in [
        "--root /w/root --runroot /w/run --storage-driver=overlay --storage-opt overlay.imagestore=/images/a build ",
        " --platform linux/arm/v7 ",
        " --pull=never ",
        " --runtime-flag root=/w/crun --cgroup-parent /group ",
        " --identity-label=false ",
        " --build-arg BUILDPLATFORM=linux/amd64 ",
        " --build-context alpine:3=container-image://abc ",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(line.ends_with(" /ctx"), "{line}");
}

#[test]
fn older_versions_and_chroot_isolation_get_no_flags_they_do_not_know() {
    let line = line(&request(), "chroot", 27).expect("a command");
    for part in ["--identity-label", "--skip-unused-stages", "--runtime-flag", "--cgroup-parent"] {
        assert!(!line.contains(part), "{part} in {line}");
    }
}

#[test]
fn every_option_of_the_request_has_its_flag() {
    let mut request = request();
    request.target = Some("final".into());
    request.cache = CachePolicy::Ignore;
    request.build_args = BTreeMap::from([("BUILDARCH".into(), "mine".into()), ("V".into(), "a b".into())]);
    request.labels = BTreeMap::from([("l".into(), "1".into())]);
    request.secrets = vec![
        SecretRef { id: "a".into(), source: SecretSource::File("/s".into()) },
        SecretRef { id: "b".into(), source: SecretSource::Env("E".into()) },
    ];
    request.ssh = vec![
        SshRef { id: "default".into(), paths: vec![] },
        SshRef { id: "k".into(), paths: vec!["/1".into(), "/2".into()] },
    ];
    request.build_contexts = BTreeMap::from([("d".into(), NamedContext::Directory("/dir".into()))]);
    let line = line(&request, "oci", 28).expect("a command");
    for part in [
        " --target final ",
        " --no-cache ",
        " --build-arg BUILDARCH=mine ",
        " --build-arg V=a b ",
        " --label l=1 ",
        " --secret id=a,src=/s ",
        " --secret id=b,env=E ",
        " --ssh default ",
        " --ssh k=/1,/2 ",
        " --build-context d=/dir ",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn a_path_that_buildah_would_take_apart_is_refused() {
    let mut request = request();
    request.secrets =
        vec![SecretRef { id: "a".into(), source: SecretSource::File("/s,src=/etc/shadow".into()) }];
    assert!(matches!(line(&request, "oci", 28), Err(BuildError::Invalid { .. })));
}

#[test]
fn steps_are_given_what_the_build_says() {
    let mut request = request();
    request.steps.add_hosts = polyarch_actors::HostEntry::read("db=::1,10.0.0.1").expect("hosts");
    request.steps.network = StepNetwork::None;
    request.steps.shm_size = Some(1024);
    (request.steps.memory, request.steps.millicpus) = (Some(1 << 30), Some(500));
    request.steps.ulimits = [polyarch_actors::Ulimit::read("nofile=1:-1").expect("a limit")].into();
    // Without a RUN the isolation is one that has no network of its own.
    assert!(line(&request, "chroot", 28).expect("a command").contains(" --network=host "));
    request.runs_on.insert(request.platform.clone());
    let line = line(&request, "oci", 28).expect("a command");
    let flags = " --network=none --add-host=db:::1 --add-host=db:10.0.0.1 --shm-size=1024 --memory=1073741824 \
                 --cpu-quota=50000 --cpu-period=100000 --ulimit=nofile=1:-1 ";
    assert!(line.contains(flags), "{line}");
}
