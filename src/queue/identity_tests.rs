//! Specs as text. `POLYARCH_UPDATE_GOLDEN=1 cargo test --lib -- queue::identity` writes the golden file anew.

use std::{collections::BTreeMap, fs, path::Path};

use polyarch_actors::{
    BackendId, BuildResources, CachePolicy, Descriptor, Emulation, FailurePolicy, HostEntry, PullPolicy,
    RegistryAccess, SecretRef, SecretSource, SshRef, StepOptions,
};

use super::*;
use crate::{
    AnnotationLevel, Attestations, CacheExport, CacheMode, CachePlace, CacheSource, Destination, ImageForm,
    ImageOptions, MediaTypes, PlatformValues, Provenance, ProvenanceMode, Push,
    fetch::GitSource,
    oci::layer::{Compression, Level},
    spec::Annotation,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/spec.json");
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn git(text: &str) -> GitSource {
    GitSource::parse(text).expect("an address").expect("of git")
}

fn name(text: &str) -> Reference {
    text.parse().expect("a name")
}

/// A build that says something wherever it can.
fn rich() -> BuildSpec {
    let digest = Digest::from_sha256(&[0x11; 32]);
    let mut spec = BuildSpec::of(ContextInput::Git(git(&format!(
        "https://example.com/a.git?checksum={COMMIT}&keep-git-dir=1&submodules=0#v1:sub"
    ))))
    .platforms(["linux/arm/v7", "windows(10.0.20348.1)/amd64"].map(|text| text.parse().expect("a platform")))
    .tag(name("ghcr.io/team/app:1"));
    spec.dockerfile =
        DockerfileInput::Text { name: "Dockerfile".into(), text: "FROM a\nRUN \"ä\"\n".into() };
    spec.target = Some("last".into());
    spec.build_args = BTreeMap::from([("B".into(), "=".into()), ("A".into(), String::new())]);
    spec.labels = BTreeMap::from([("l".into(), "v".into())]);
    spec.annotations = vec![
        "index:a=b".parse().expect("an annotation"),
        // It has no text form: there it would be a level.
        Annotation {
            level: AnnotationLevel::ManifestDescriptor,
            platform: Some("linux/arm/v7".parse().expect("a platform")),
            key: "a:b".into(),
            value: "c".into(),
        },
    ];
    let stored = Descriptor {
        media_type: "application/vnd.oci.image.index.v1+json".into(),
        digest: digest.clone(),
        size: 7,
        annotations: BTreeMap::new(),
    };
    spec.build_contexts = BTreeMap::from([
        ("directory".into(), NamedInput::Directory("/srv/parts".into())),
        ("git".into(), NamedInput::Git(git("git@example.com:a.git#main"))),
        ("image".into(), NamedInput::Image("docker.io/library/alpine:3".into())),
        (
            "layout".into(),
            NamedInput::Layout { folder: "/l".into(), tag: None, digest: Some(digest.clone()) },
        ),
        ("stored".into(), NamedInput::Stored(stored)),
        ("url".into(), NamedInput::Url("https://example.com/a.txt".into())),
    ]);
    spec.for_platforms = vec![PlatformValues {
        dockerfile: Some(DockerfileInput::Path("Dockerfile.arm".into())),
        target: Some(String::new()),
        backend: Some(BackendId::new("sandbox")),
        ..PlatformValues::new("linux/arm*".parse().expect("a pattern"))
    }];
    spec.cache = CachePolicy::Ignore;
    spec.no_cache_stages = vec!["0".into()];
    spec.cache_from = vec![
        CacheSource::Registry(name("ghcr.io/team/cache")),
        CacheSource::Directory { folder: "/cache".into(), tag: Some("t".into()), digest: Some(digest) },
    ];
    let to = |place| CacheExport::Separate { place, mode: CacheMode::Max, ignore_error: true };
    spec.cache_to = vec![
        CacheExport::Inline,
        to(CachePlace::Registry(name("ghcr.io/team/cache"))),
        to(CachePlace::Directory { folder: "/cache".into(), tag: "t".into() }),
    ];
    spec.pull = PullPolicy::Always;
    spec.fetching = polyarch_actors::Fetching::Public;
    spec.secrets = vec![
        SecretRef { id: "f".into(), source: SecretSource::File("/run/secret".into()) },
        SecretRef { id: "e".into(), source: SecretSource::Env("TOKEN".into()) },
    ];
    spec.ssh = vec![SshRef { id: "default".into(), paths: vec!["/run/agent".into()] }];
    spec.registry = RegistryAccess {
        authfile: Some("/auth.json".into()),
        tls_verify: false,
        ..RegistryAccess::default()
    };
    spec.backend = Some(BackendId::new("buildah"));
    spec.emulation = Emulation::Forbid;
    spec.steps = StepOptions {
        add_hosts: HostEntry::read("h=10.0.0.1").expect("a host"),
        memory: Some(1 << 30),
        ..StepOptions::default()
    };
    spec.resources =
        BuildResources { memory: Some(4 << 30), millicpus: Some(2500), pids: Some(4096), required: true };
    spec.policy = FailurePolicy::KeepGoing;
    spec.optional = vec!["windows/*".parse().expect("a pattern")];
    spec.attestations = Attestations {
        provenance: Some(Provenance { mode: ProvenanceMode::Min, builder: "b".into(), ..Default::default() }),
        sbom: true,
    };
    let file = |path: &str| Destination::File(path.into());
    let image = || ImageOptions {
        names: vec![name("ghcr.io/team/other:1")],
        form: ImageForm {
            compression: Some(Compression::Zstd(Level::ZSTD)),
            force_compression: true,
            media_types: MediaTypes::Oci,
            annotations: vec!["k=v".parse().expect("an annotation")],
            rewrite_timestamp: true,
        },
    };
    spec.outputs = vec![
        Output::Local { folder: "/out".into(), split: Some(true) },
        Output::Tar { to: file("/out.tar"), split: None },
        Output::OciArchive { to: file("/oci.tar"), image: image() },
        Output::OciDirectory { folder: "/oci".into(), image: image() },
        Output::Docker { to: file("/docker.tar"), image: image() },
        Output::Load { image: ImageOptions::default() },
        Output::Image { push: Push::ByDigest, image: image() },
        Output::registry(),
    ];
    spec
}

#[test]
fn every_spec_reads_back_as_it_was() {
    let mut others =
        vec![rich(), BuildSpec::new("/srv/app"), BuildSpec::of(ContextInput::Url("https://h/a".into()))];
    let mut levels = BuildSpec::new(".");
    for compression in [Compression::None, Compression::Gzip(Level::GZIP)] {
        let form = ImageForm { compression: Some(compression), ..ImageForm::default() };
        levels.outputs.push(Output::Load { image: ImageOptions { names: vec![], form } });
    }
    levels.build_contexts.insert("hub".into(), NamedInput::Git(git("https://github.com/a/b.git")));
    levels.context = ContextInput::Git(git("github.com/a/b"));
    levels.dockerfile = DockerfileInput::Url("https://h/Dockerfile".into());
    others.push(levels);
    for spec in others {
        let text = to_json(&spec).expect("json");
        assert_eq!(from_json(&text).expect(&text), spec);
    }
}

#[test]
fn the_form_of_a_spec_is_the_one_of_the_golden_file() {
    let value: serde_json::Value = serde_json::from_str(&to_json(&rich()).expect("json")).expect("a value");
    let text = serde_json::to_string_pretty(&value).expect("json") + "\n";
    if std::env::var_os("POLYARCH_UPDATE_GOLDEN").is_some() {
        fs::write(GOLDEN, &text).expect("written");
    }
    let golden = fs::read_to_string(Path::new(GOLDEN)).expect("the golden file");
    assert_eq!(text, golden, "records of earlier versions could not be read any more");
    assert_eq!(from_json(&golden).expect("a spec"), rich());
}

#[test]
fn what_is_left_out_is_as_in_a_new_spec() {
    let spec = from_json(r#"{"version":1,"spec":{"context":{"directory":"app"}}}"#).expect("a spec");
    assert_eq!(spec, BuildSpec::new("app"));
}

#[test]
fn a_text_that_is_odd_or_dangerous_is_refused() {
    let with = |more: &str| format!(r#"{{"version":1,"spec":{{"context":{{"directory":"a"}}{more}}}}}"#);
    assert!(from_json(&with("")).is_ok());
    let git = |remote: &str| with(&format!(r#","build_contexts":{{"a":{{"git":{{"remote":{remote:?}}}}}}}"#));
    assert!(from_json(&git("https://h/a.git")).is_ok());
    for text in [
        "{}".to_owned(),
        with("").replace(":1,", ":2,"),
        with(r#","more":1"#),
        with(r#","for_platforms":[{"pattern":"*","more":1}]"#),
        with(r#","outputs":[{"load":{"image":{"form":{"more":1}}}}]"#),
        with(r#","outputs":[{"load":{"image":{"form":{"compression":{"gzip":10}}}}}]"#),
        with(r#","outputs":[{"load":{"image":{"form":{"compression":{"zstd":23}}}}}]"#),
        with(r#","tags":["UPPER"]"#),
        with(r#","build_contexts":{"a":{"image":"--all"}}"#),
        git("ext::sh -c true"),
        git("--upload-pack=sh"),
        git("file:///etc"),
        git("/etc"),
        git("https://h/a.tar"),
        with(r#","build_contexts":{"a":{"git":{"remote":"https://h/a.git","reference":"--x"}}}"#),
    ] {
        let error = from_json(&text).expect_err(&text).to_string();
        assert!(error.starts_with("this is no build that this version knows: "), "{error}");
    }
}

#[test]
fn a_build_that_is_bound_to_its_command_cannot_wait() {
    let error = to_json(&BuildSpec::of(ContextInput::Stdin)).expect_err("a stream").to_string();
    assert!(error.contains("reads its context from standard input"), "{error}");
    let out = Output::Tar { to: Destination::Stdout, split: None };
    let error = to_json(&BuildSpec::new(".").output(out)).expect_err("a stream").to_string();
    assert!(error.contains("writes to standard output"), "{error}");
}

#[test]
fn tenants_and_specs_decide_the_identity() {
    let tenant: Tenant = "a".parse().expect("a tenant");
    let text = to_json(&rich()).expect("json");
    assert_eq!(identity(&tenant, &text), identity(&tenant, &to_json(&rich()).expect("json")));
    assert_ne!(identity(&tenant, &text), identity(&Tenant::default(), &text));
    assert_ne!(identity(&tenant, &text), identity(&tenant, &to_json(&BuildSpec::new(".")).expect("json")));
}

#[test]
fn only_commits_and_digests_cannot_change() {
    let of = |address: &str| BuildSpec::of(ContextInput::Git(git(address)));
    let commit = format!("https://h/a.git#{COMMIT}");
    let with = |input: NamedInput| {
        let mut spec = of(&commit);
        spec.build_contexts.insert("a".into(), input);
        spec
    };
    let dockerfile = |dockerfile| BuildSpec { dockerfile, ..of(&commit) };
    let image = |name: &str| NamedInput::Image(name.into());
    let digest = Digest::from_sha256(&[1; 32]);
    for (spec, expected) in [
        (of(&commit), true),
        (of(&format!("https://h/a.git?checksum={COMMIT}#main")), true),
        (of("https://h/a.git#main"), false),
        (of("https://h/a.git?checksum=0123#main"), false),
        (BuildSpec::new("."), false),
        (BuildSpec::of(ContextInput::Url("https://h/a.tar".into())), false),
        (dockerfile(DockerfileInput::Path("other".into())), true),
        (dockerfile(DockerfileInput::Path(std::env::temp_dir().join("other"))), false),
        (dockerfile(DockerfileInput::Url("https://h/Dockerfile".into())), false),
        (with(NamedInput::Git(git(&commit))), true),
        (with(NamedInput::Git(git("https://h/a.git"))), false),
        (with(image(&format!("alpine@{digest}"))), true),
        (with(image("alpine:3")), false),
        (with(NamedInput::Directory(".".into())), false),
    ] {
        assert_eq!(is_pinned(&spec), expected, "{spec:?}");
    }
    let mut spec = of(&commit);
    spec.for_platforms = vec![PlatformValues {
        build_contexts: BTreeMap::from([("a".into(), image("alpine:3"))]),
        ..PlatformValues::new("*".parse().expect("a pattern"))
    }];
    assert!(!is_pinned(&spec), "one platform reads what may change");
}
