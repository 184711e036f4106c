use polyarch_actors::{BuildError, BuildId, ProtocolVersion, Timestamp};
use prometheus_client::{encoding::text::encode, registry::Registry};

use super::*;

/// The lines of what was counted that are not zero and begin so.
fn counted(facts: &[(Option<&str>, EventKind)], name: &str) -> Vec<String> {
    let counts = Counts::default();
    let mut attempt = AttemptCounts::new(counts.clone());
    for (platform, kind) in facts {
        attempt.see(&BuildEvent {
            version: ProtocolVersion,
            build: BuildId::generate(),
            platform: platform.map(|platform| platform.parse().expect("a platform")),
            sequence: 0,
            time: Timestamp(0),
            kind: kind.clone(),
        });
    }
    let (mut registry, mut text) = (Registry::default(), String::new());
    counts.register(&mut registry);
    encode(&mut text, &registry).expect("text");
    let lines = text.lines().filter(|line| line.starts_with(name) && !line.ends_with(" 0"));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn bytes_count_once_however_often_they_are_sent_and_those_that_are_fetched_not_at_all() {
    let started = |registry: &str| (None, EventKind::PushStarted { registry: registry.into() });
    let finished = |registry: &str| (None, EventKind::PushFinished { registry: registry.into() });
    let sent = |sent| (None, EventKind::PushProgressed { sent, total: 100 });
    let facts = [
        sent(7),
        started("a"),
        sent(40),
        started("b"),
        sent(60),
        sent(50),
        sent(100),
        finished("a"),
        finished("b"),
        started("a"),
        sent(20),
        finished("a"),
    ];
    assert_eq!(counted(&facts, "pushed_bytes_total"), ["pushed_bytes_total 120"]);
}

#[test]
fn a_platform_counts_for_the_backend_that_had_it_last_and_only_its_own_failure_is_one() {
    let routed = |backend: &str| {
        let (backend, reason) = (BackendId::new(backend), "for a test".into());
        EventKind::Routed { backend, emulated: false, reason, ruled_out: Vec::new() }
    };
    let error = BuildError::Host { reason: "for a test".into(), retryable: true };
    let abandoned = BuildError::Abandoned { failed: "linux/amd64".parse().expect("a platform") };
    let facts = [
        (Some("linux/amd64"), routed("one")),
        (Some("linux/arm64"), routed("one")),
        (Some("linux/amd64"), EventKind::Retried { attempt: 1, delay_ms: 0, error: error.clone() }),
        (Some("linux/amd64"), routed("two")),
        (Some("linux/amd64"), EventKind::PlatformFailed { error: error.clone() }),
        (Some("linux/arm64"), EventKind::PlatformFailed { error: abandoned }),
        (Some("windows/amd64"), EventKind::PlatformFailed { error: error.clone() }),
        (None, EventKind::Retried { attempt: 1, delay_ms: 0, error }),
    ];
    let wanted = [
        r#"platforms_ended_total{backend="none",platform="windows/amd64",outcome="failed"} 1"#,
        r#"platforms_ended_total{backend="one",platform="linux/arm64",outcome="stopped"} 1"#,
        r#"platforms_ended_total{backend="two",platform="linux/amd64",outcome="failed"} 1"#,
    ];
    assert_eq!(counted(&facts, "platforms_ended_total"), wanted);
    assert_eq!(counted(&facts, "retries_total"), [r#"retries_total{backend="one"} 1"#]);
    assert_eq!(counted(&facts, "transfer_retries_total"), ["transfer_retries_total 1"]);
}
