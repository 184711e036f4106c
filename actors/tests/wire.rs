//! What crosses machines, held against golden files: a change there is a change of the protocol.
//!
//! `POLYARCH_UPDATE_GOLDEN=1 cargo test -p polyarch-actors --test wire` writes the files anew.

use std::{collections::BTreeMap, fmt::Debug, fs, path::Path, time::Duration};

use polyarch_actors::{
    BackendId, BaseImage, BuildError, BuildEvent, BuildId, BuildRequest, BuildResources, BuiltImage,
    CachePolicy, ContextSource, Descriptor, Digest, DockerfileSource, Emulation, EventKind, HostEntry,
    ImportedSteps, LayerSource, LogBytes, Material, Materials, NamedContext, Outcome, Place, Platform,
    PlatformOutcome, ProtocolVersion, PullPolicy, RegistryAccess, RuledOut, SecretRef, SecretSource, SshRef,
    StepIsolation, StepNetwork, StepOptions, StepStage, StepWork, TimedPart, Timestamp, Ulimit,
    queue::{Reason, Resource},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Compares a value with its golden file, and reads it back from there.
fn holds<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = format!("{}\n", serde_json::to_string_pretty(value).expect("written"));
    if std::env::var_os("POLYARCH_UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).expect("a golden file");
    }
    let golden = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, golden, "{name} has another form now");
    assert_eq!(&serde_json::from_str::<T>(&golden).expect("read back"), value);
}

fn build() -> BuildId {
    serde_json::from_str("\"19a8b3c4d5e0001f00dfeedbeef\"").expect("an id")
}

fn platform() -> Platform {
    "linux/arm/v7".parse().expect("a platform")
}

fn steps() -> Descriptor {
    Descriptor {
        media_type: "application/vnd.polyarch.steps.v1+json".into(),
        digest: Digest::from_sha256(&[0x44; 32]),
        size: 99,
        annotations: BTreeMap::new(),
    }
}

fn materials() -> Vec<Material> {
    let digest = Digest::from_sha256(&[0x55; 32]);
    vec![
        Material::Image { reference: "alpine:3".into(), platform: platform(), digest: digest.clone() },
        Material::LocalImage { name: "base".into(), platform: platform(), digest: digest.clone() },
        Material::Git { address: "https://h/a.git#main".into(), commit: "5f".repeat(20) },
        Material::File { address: "https://h/a.tar".into(), digest },
    ]
}

fn image() -> BuiltImage {
    let manifest = Descriptor {
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        digest: Digest::from_sha256(&[0x11; 32]),
        size: 725,
        annotations: BTreeMap::from([("key".into(), "value".into())]),
    };
    BuiltImage {
        platform: platform(),
        manifest,
        config: Digest::from_sha256(&[0x22; 32]),
        steps: Some(steps()),
        based: Some(2),
        materials: Materials { found: materials(), complete: true },
        backend: BackendId::new("buildah"),
        emulated: true,
        retries: 1,
        duration: Duration::from_millis(1500),
    }
}

fn place() -> Place {
    Place { file: "Dockerfile".into(), line: 2, start: 13, end: 20 }
}

fn errors() -> Vec<BuildError> {
    let backend = BackendId::new("buildah");
    vec![
        BuildError::Cancelled,
        BuildError::Abandoned { failed: platform() },
        BuildError::TimedOut { part: TimedPart::Queue, limit_ms: 90_000 },
        BuildError::invalid("the Dockerfile is empty"),
        BuildError::StepFailed {
            instruction: "RUN false".into(),
            exit_code: 1,
            output: vec!["last line".into()],
        },
        BuildError::BaseImage {
            image: "busybox".into(),
            platform: platform(),
            reason: "not found".into(),
            place: None,
        },
        BuildError::registry("cannot reach ghcr.io", true),
        BuildError::NoBackend {
            platform: platform(),
            ruled_out: vec![RuledOut { backend: backend.clone(), reason: "is not installed".into() }],
            ways_out: vec!["install it".into()],
        },
        BuildError::UnknownBackend { name: "kaniko".into(), known: vec![backend.clone()] },
        BuildError::NoEmulator { platform: platform() },
        BuildError::NoSpace { path: "/var/lib/polyarch".into() },
        BuildError::WrongPlatform { requested: platform(), built: "linux/amd64".into() },
        BuildError::Host { reason: "the machine hiccuped".into(), retryable: true },
        BuildError::Busy { backend: backend.clone() },
        BuildError::QueueFull { limit: 10 },
        BuildError::Panicked { backend: backend.clone(), message: "oops".into() },
        BuildError::BackendLost { backend },
        BuildError::ShuttingDown,
        BuildError::invalid("no such file").at(&place()),
        BuildError::BaseImage {
            image: "busybox".into(),
            platform: platform(),
            reason: "not found".into(),
            place: Some(place()),
        },
        BuildError::Registry {
            denied: false,
            reason: "cannot reach ghcr.io".into(),
            retryable: true,
            image: Some("ghcr.io/team/base:1".into()),
            place: Some(place()),
        },
        BuildError::TooLarge { resource: Resource::Memory, asked: 64 << 30, limit: 16 << 30 },
    ]
}

#[test]
fn a_request_has_its_golden_form() {
    let dockerfile = DockerfileSource {
        ignore: Some("target\n".into()),
        ..DockerfileSource::new("Dockerfile", "FROM scratch\n")
    };
    let request = BuildRequest {
        build_contexts: BTreeMap::from([
            ("assets".into(), NamedContext::Directory("/assets".into())),
            ("base".into(), NamedContext::Image("docker.io/library/busybox:latest".into())),
            ("layout".into(), NamedContext::Stored(image().manifest)),
        ]),
        target: Some("final".into()),
        build_args: BTreeMap::from([("VERSION".into(), "1".into())]),
        labels: BTreeMap::from([("label".into(), "value".into())]),
        cache: CachePolicy::Ignore,
        scope: Some("team-a".parse().expect("a tenant")),
        anew: [0, 2].into(),
        imports: vec![
            ImportedSteps { steps: steps(), layers: LayerSource::Registry("ghcr.io/team/app:cache".into()) },
            ImportedSteps { steps: steps(), layers: LayerSource::Layout("/cache".into()) },
        ],
        notes_steps: true,
        pull: PullPolicy::Always,
        secrets: vec![
            SecretRef { id: "file".into(), source: SecretSource::File("/run/secret".into()) },
            SecretRef { id: "env".into(), source: SecretSource::Env("TOKEN".into()) },
        ],
        ssh: vec![SshRef { id: "default".into(), paths: vec![] }],
        registry: RegistryAccess {
            authfile: Some("/auth.json".into()),
            tls_verify: false,
            private: ["registry.corp:5000".to_owned()].into(),
        },
        runs_on: [platform()].into(),
        bases: vec![BaseImage { reference: "busybox".into(), platform: platform() }],
        backend: Some(BackendId::new("buildah")),
        emulation: Emulation::Allow,
        insecure: true,
        steps: StepOptions {
            add_hosts: HostEntry::read("db:[2001:db8::1]").expect("a host"),
            refuse_host_network: true,
            network: StepNetwork::None,
            shm_size: Some(1 << 20),
            ulimits: [Ulimit::read("nofile=1024:-1").expect("a limit")].into(),
            memory: Some(1 << 30),
            millicpus: Some(1500),
            pids: Some(512),
            allow_insecure: true,
            isolation: StepIsolation::HyperV,
        },
        resources: BuildResources {
            memory: Some(4 << 30),
            millicpus: Some(2500),
            pids: Some(4096),
            required: true,
        },
        ..BuildRequest::new(build(), platform(), dockerfile, ContextSource::Directory("/context".into()))
    };
    holds("request.json", &request);
}

#[test]
fn every_event_has_its_golden_form() {
    let digest = Digest::from_sha256(&[0x33; 32]);
    let work = StepWork {
        keys: vec![digest.clone()],
        shared: true,
        emulated: true,
        stages: vec![0],
        waited_ms: 1,
        pulled_ms: 2,
        prepared_ms: 3,
        ran_ms: 4,
        wrote_ms: 5,
    };
    let kinds = [
        EventKind::Queued { ahead: 3, reason: Reason::Full(Resource::Backend(BackendId::new("buildah"))) },
        EventKind::Routed {
            backend: BackendId::new("buildah"),
            emulated: true,
            reason: "its steps for linux/arm/v7 are emulated".into(),
            ruled_out: vec![RuledOut {
                backend: BackendId::new("sandbox"),
                reason: "has no emulator".into(),
            }],
        },
        EventKind::Pulled { image: "busybox".into(), bytes: None },
        EventKind::Fetched { address: "https://example.com/a.git#main".into() },
        EventKind::StepStarted { step: 1, instruction: "RUN make".into(), stage: None },
        EventKind::StepOutput { step: 1, data: LogBytes(b"text\n".to_vec()) },
        EventKind::StepOutput { step: 1, data: LogBytes(vec![0xff, 0x00]) },
        EventKind::StepFinished { step: 1, cached: true, work: None },
        EventKind::Warned { message: "mind the gap".into() },
        EventKind::Retried { attempt: 1, delay_ms: 500, error: BuildError::ShuttingDown },
        EventKind::BackendRestarted { backend: BackendId::new("buildah") },
        EventKind::ImageBuilt { image: image() },
        EventKind::PlatformFailed { error: BuildError::Cancelled },
        EventKind::IndexAssembled { index: image().manifest },
        EventKind::Exported { destination: "app.tar".into() },
        EventKind::CacheImported { place: "ghcr.io/team/app:cache".into(), steps: 5 },
        EventKind::CacheExported { place: "/cache".into(), steps: 6 },
        EventKind::PushProgressed { sent: 1, total: 2 },
        EventKind::Pushed { reference: "ghcr.io/team/app:1".into(), digest },
        EventKind::Missed { events: 7 },
        EventKind::Finished { error: None },
        EventKind::Finished { error: Some(BuildError::Cancelled) },
        EventKind::Started,
        EventKind::Assigned { attempt: 1 },
        EventKind::PullStarted { image: "busybox".into() },
        EventKind::Pulled { image: "busybox".into(), bytes: Some(2_000_000) },
        EventKind::StepStarted {
            step: 2,
            instruction: "RUN make".into(),
            stage: Some(StepStage { number: 0, name: Some("build".into()) }),
        },
        EventKind::StepFinished { step: 2, cached: false, work: Some(Box::new(work.clone())) },
        EventKind::StepFailed { step: 3, work: Some(Box::new(work)) },
        EventKind::StepFailed { step: 4, work: None },
        EventKind::PushStarted { registry: "ghcr.io".into() },
        EventKind::PushFinished { registry: "ghcr.io".into() },
        EventKind::Queued { ahead: 0, reason: Reason::Turn },
        EventKind::Queued { ahead: 1, reason: Reason::Held(Resource::Platform(platform())) },
    ];
    let events: Vec<BuildEvent> = (0..)
        .zip(kinds)
        .map(|(sequence, kind)| BuildEvent {
            version: ProtocolVersion,
            build: build(),
            platform: (sequence % 2 == 0).then(platform),
            sequence,
            time: Timestamp(1_790_000_000_000),
            kind,
        })
        .collect();
    holds("events.json", &events);
}

#[test]
fn every_error_has_its_golden_form() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Described {
        sentence: String,
        error: BuildError,
    }
    let described = errors().into_iter().map(|error| Described { sentence: error.to_string(), error });
    holds("errors.json", &described.collect::<Vec<_>>());
}

#[test]
fn an_outcome_has_its_golden_form() {
    let platforms = vec![
        PlatformOutcome { platform: platform(), optional: false, result: Ok(image()) },
        PlatformOutcome { platform: platform(), optional: false, result: Err(BuildError::Cancelled) },
    ];
    holds("outcome.json", &Outcome { build: build(), platforms });
}

#[test]
fn what_an_older_sender_leaves_out_is_what_it_did_not_know() {
    let dockerfile = DockerfileSource::new("Dockerfile", "");
    let request = BuildRequest::new(build(), platform(), dockerfile, ContextSource::Directory("/c".into()));
    let value = serde_json::to_value(&request).expect("written");
    for field in ["anew", "imports", "notes_steps"] {
        assert!(value.get(field).is_none(), "{field}");
    }
    let image = BuiltImage { steps: None, materials: Materials::default(), ..image() };
    let value = serde_json::to_value(&image).expect("written");
    assert!(value.get("steps").is_none() && value.get("materials").is_none());
    assert_eq!(serde_json::from_value::<BuiltImage>(value).expect("read"), image);
}

#[test]
fn an_event_of_an_older_sender_says_no_more_than_it_did() {
    let event = |kind: &str| {
        let json =
            format!(r#"{{"version":1,"build":"19a8b3c4d5e0001f00dfeedbeef","sequence":0,"time":0,{kind}}}"#);
        serde_json::from_str::<BuildEvent>(&json).expect("read").kind
    };
    assert_eq!(
        event(r#""event":"step-started","step":1,"instruction":"RUN make""#),
        EventKind::StepStarted { step: 1, instruction: "RUN make".into(), stage: None }
    );
    assert_eq!(
        event(r#""event":"step-finished","step":1,"cached":true"#),
        EventKind::StepFinished { step: 1, cached: true, work: None }
    );
    assert_eq!(event(r#""event":"queued","ahead":2"#), EventKind::Queued { ahead: 2, reason: Reason::Turn });
    assert_eq!(
        event(r#""event":"pulled","image":"busybox""#),
        EventKind::Pulled { image: "busybox".into(), bytes: None }
    );
}

#[test]
fn an_enclosed_context_is_written_as_no_other() {
    let context = ContextSource::Enclosed("/c".into());
    let value = serde_json::to_value(&context).expect("written");
    assert_eq!(value, serde_json::json!({"enclosed": "/c"}));
    assert_eq!(serde_json::from_value::<ContextSource>(value).expect("read"), context);
}

#[test]
fn a_request_with_an_unknown_field_or_version_is_refused() {
    let dockerfile = DockerfileSource::new("Dockerfile", "");
    let request = BuildRequest::new(build(), platform(), dockerfile, ContextSource::Directory("/c".into()));
    let mut value = serde_json::to_value(&request).expect("written");
    assert_eq!(serde_json::from_value::<BuildRequest>(value.clone()).expect("read"), request);
    value["surprise"] = 1.into();
    assert!(serde_json::from_value::<BuildRequest>(value.clone()).is_err());
    value.as_object_mut().expect("an object").remove("surprise");
    value["version"] = 99.into();
    assert!(serde_json::from_value::<BuildRequest>(value).is_err());
}
