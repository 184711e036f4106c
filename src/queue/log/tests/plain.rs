//! The log as text.

use polyarch_actors::{BuildError, Platform};

use super::*;

#[tokio::test]
async fn the_text_of_a_log_says_whose_each_line_is_and_keeps_its_bytes() {
    let bench = Bench::new();
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    let on = |platform: &str, kind: EventKind| {
        let platform: Platform = platform.parse().expect("a platform");
        Arc::new(BuildEvent { platform: Some(platform), ..(*event(kind)).clone() })
    };
    let printed = |step: u32, bytes: &[u8]| EventKind::StepOutput { step, data: LogBytes(bytes.to_vec()) };
    let started = |step: u32, instruction: &str| EventKind::StepStarted {
        step,
        instruction: instruction.into(),
        stage: None,
    };
    writer
        .append(vec![
            event(EventKind::Started),
            on("linux/amd64", started(1, "RUN <<E\nmake\u{1b}[31m")),
            on("linux/amd64", printed(1, b"one\ntwo\n")),
            on("linux/arm64", started(2, "COPY . /")),
            on("linux/arm64", EventKind::StepFinished { step: 2, cached: true, work: None }),
            on("linux/amd64", printed(1, b"\xff\x1b[0m\x00")),
            on("linux/amd64", EventKind::StepFailed { step: 1, work: None }),
            event(EventKind::Missed { events: 3 }),
            event(EventKind::Finished { error: Some(BuildError::Cancelled) }),
        ])
        .await
        .expect("written");
    let text = bench.logs.text(&bench.id, Follow::UntilEnd).expect("a text");
    let chunks: Vec<_> = text.collect().await;
    let text: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.expect("read").to_vec()).collect();
    let expected: &[&[u8]] = &[
        b"[linux/amd64 #1] RUN <<E make [31m\n",
        b"[linux/amd64 #1] one\n[linux/amd64 #1] two\n",
        b"[linux/arm64 #2] COPY . /\n",
        b"[linux/arm64 #2] cached\n",
        b"[linux/amd64 #1] \xff\x1b[0m\x00\n",
        b"[linux/amd64 #1] failed\n",
        b"(3 events are missing here)\n",
        b"error: the build was cancelled\n",
    ];
    assert_eq!(String::from_utf8_lossy(&text), String::from_utf8_lossy(&expected.concat()));
    assert!(text == expected.concat());
}
