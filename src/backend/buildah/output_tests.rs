use proptest::prelude::*;

use super::*;

const CAPTURED: &str = "\
[1/2] STEP 1/3: FROM b42e60e90564ae7cf35ac08dbdff2348bde02898f8b7441b551fc5586afab17a AS b
[1/2] STEP 2/3: ARG X
--> Using cache 663f0d9ef7d3383c3c32494b0b78cdb1be02dda95783a6fdf52e0e4f1b069c61
[1/2] STEP 3/3: RUN echo hi; printf nonl
hi
nonl[2/2] STEP 1/2: FROM scratch
[2/2] STEP 2/2: COPY --from=b /a /a
[2/2] COMMIT
[Warning] one or more build args were not consumed: [BUILDKIT_CONTEXT_KEEP_GIT_DIR BUILDPLATFORM TARGETARCH TARGETOS TARGETPLATFORM UNUSED]
";

fn parse(pieces: &[&[u8]]) -> Vec<EventKind> {
    let names = BTreeMap::from([(
        "b42e60e90564ae7cf35ac08dbdff2348bde02898f8b7441b551fc5586afab17a".to_owned(),
        "busybox".to_owned(),
    )]);
    let mut parser = OutputParser::new(names);
    let mut events = Vec::new();
    for piece in pieces {
        parser.stdout(piece);
        events.extend(parser.events());
    }
    events.extend(parser.finish(true));
    events
}

fn started(step: u32, instruction: &str) -> EventKind {
    EventKind::StepStarted { step, instruction: instruction.to_owned(), stage: None }
}

fn finished(step: u32, cached: bool) -> EventKind {
    EventKind::StepFinished { step, cached, work: None }
}

fn failed(step: u32) -> EventKind {
    EventKind::StepFailed { step, work: None }
}

fn printed(step: u32, text: &str) -> EventKind {
    EventKind::StepOutput { step, data: LogBytes(text.as_bytes().to_vec()) }
}

/// Joins the output of a step that was sent in several events.
fn joined(events: Vec<EventKind>) -> Vec<EventKind> {
    let mut all: Vec<EventKind> = Vec::new();
    for event in events {
        match (all.last_mut(), event) {
            (
                Some(EventKind::StepOutput { step: last, data: all }),
                EventKind::StepOutput { step, data: LogBytes(more) },
            ) if *last == step => all.0.extend(more),
            (_, event) => all.push(event),
        }
    }
    all
}

#[test]
fn steps_and_their_output_are_told_apart() {
    assert_eq!(
        parse(&[CAPTURED.as_bytes()]),
        [
            started(1, "FROM busybox AS b"),
            finished(1, false),
            started(2, "ARG X"),
            finished(2, true),
            started(3, "RUN echo hi; printf nonl"),
            printed(3, "hi\nnonl"),
            finished(3, false),
            started(4, "FROM scratch"),
            finished(4, false),
            started(5, "COPY --from=b /a /a"),
            finished(5, false),
        ]
    );
}

#[test]
fn a_step_cannot_forge_another_one() {
    let text = "STEP 1/3: FROM a\nSTEP 2/3: RUN x\nSTEP 1/3: FROM a\nSTEP 3/4: RUN y\n[1/2] STEP 3/9: z\n\
                --> Using cache 12\nSTEP 3/3: RUN z\n";
    let forged = "STEP 1/3: FROM a\nSTEP 3/4: RUN y\n[1/2] STEP 3/9: z\n--> Using cache 12\n";
    assert_eq!(
        parse(&[text.as_bytes()]),
        [
            started(1, "FROM a"),
            finished(1, false),
            started(2, "RUN x"),
            printed(2, forged),
            finished(2, false),
            started(3, "RUN z"),
            finished(3, false),
        ]
    );
}

#[test]
fn a_flood_gives_few_events_of_bounded_size() {
    let mut parser = OutputParser::new(BTreeMap::new());
    parser.stdout(b"STEP 1/1: RUN yes\n");
    let flood = b"y\n".repeat(1 << 20);
    parser.stdout(&flood);
    parser.stdout(&vec![b'x'; 1 << 20]);
    let events = parser.finish(true);
    assert!(events.len() < 120, "{}", events.len());
    let mut bytes = 0;
    for event in &events {
        if let EventKind::StepOutput { data, .. } = event {
            assert!(data.0.len() <= MOST);
            bytes += data.0.len();
        }
    }
    assert_eq!(bytes, flood.len() + (1 << 20));
    assert_eq!(parser.last_step().1.len(), LAST_LINES);
}

#[test]
fn bytes_of_any_encoding_pass() {
    let events = parse(&[b"STEP 1/1: RUN x\n\xff\x00\xfe\n"]);
    assert_eq!(events[1], EventKind::StepOutput { step: 1, data: LogBytes(b"\xff\x00\xfe\n".to_vec()) });
}

#[test]
fn the_error_stream_belongs_to_the_step_but_for_buildahs_own_words() {
    let mut parser = OutputParser::new(BTreeMap::new());
    parser.stdout(b"STEP 1/1: RUN x\n");
    parser.stderr(
        b"oops\ntime=\"now\" level=info msg=\"of a program\"\nError: building at STEP \"RUN x\": while",
    );
    parser.stderr(b" running runtime: exit status 7\n");
    let events = parser.finish(false);
    let oops = printed(1, "oops\ntime=\"now\" level=info msg=\"of a program\"\n");
    assert_eq!(events[1..], [oops, failed(1)]);
    assert_eq!(parser.last_step().1.len(), 2);
}

#[test]
fn a_failed_step_does_not_end_well() {
    let mut parser = OutputParser::new(BTreeMap::new());
    parser.stdout(b"STEP 1/2: FROM a\nSTEP 2/2: RUN x\nno");
    assert_eq!(
        parser.finish(false),
        [started(1, "FROM a"), finished(1, false), started(2, "RUN x"), printed(2, "no"), failed(2)]
    );
    assert_eq!(parser.last_step(), ("RUN x", vec!["no".to_owned()]));
}

proptest! {
    #[test]
    fn the_cut_into_pieces_changes_nothing(
        cuts in prop::collection::vec(0..CAPTURED.len(), 0..12),
        noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut text = CAPTURED.as_bytes().to_vec();
        let at = CAPTURED.find("hi\n").expect("a line");
        text.splice(at..at, noise);
        let mut cuts = cuts;
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&text[from..cut]);
            from = cut;
        }
        pieces.push(&text[from..]);
        prop_assert_eq!(joined(parse(&pieces)), joined(parse(&[&text])));
    }

    #[test]
    fn nothing_that_is_printed_gets_lost(lines in prop::collection::vec("[ -~]{0,30}", 0..30)) {
        let text = lines.iter().fold(String::new(), |text, line| text + "> " + line + "\n");
        let events = joined(parse(&[b"STEP 1/1: RUN x\n", text.as_bytes()]));
        let all: Vec<u8> = events
            .into_iter()
            .filter_map(|event| match event {
                EventKind::StepOutput { data, .. } => Some(data.0),
                _ => None,
            })
            .flatten()
            .collect();
        prop_assert_eq!(all, text.into_bytes());
    }
}
