//! Every kind of mistake a file can have on its own: what is marked, and what is said.

use super::parse_error;
use crate::dockerfile::ErrorKind;

/// Asserts which part of the text is marked, and the message without the place.
fn assert_mistake(text: &str, marked: &str, message: &str) {
    let error = parse_error(text);
    assert_eq!(&text[error.span.start..error.span.end], marked, "{text:?}");
    assert_eq!(error.kind.to_string(), message, "{text:?}");
}

#[test]
fn files_without_a_stage() {
    for text in ["", "\n# only a comment\n", "\u{feff}"] {
        assert_eq!(*parse_error(text).kind, ErrorKind::EmptyFile, "{text:?}");
    }
    assert_mistake(
        "ARG A\n",
        "ARG A",
        "the file has no FROM instruction, so there is nothing to build; add FROM and a base image",
    );
    assert_mistake(
        "ARG A\nRUN b\nFROM c\n",
        "RUN",
        "RUN stands before the first FROM, where only ARG may; move it below",
    );
}

#[test]
fn the_place_is_part_of_the_whole_message() {
    let text = "FROM alpine\nRNU make\n";
    let error = parse_error(text);
    assert_eq!(error.to_string(), "Dockerfile:2: `RNU` is not an instruction; did you mean RUN?");
    assert_eq!(error.snippet(text), "Dockerfile:2\n  1 │ FROM alpine\n  2 │ RNU make\n    │ ^^^\n");
}

#[test]
fn unknown_names_come_with_the_nearest_right_one() {
    assert_mistake("FORM a\n", "FORM", "`FORM` is not an instruction; did you mean FROM?");
    assert_mistake("FROM a\nBANANA b\n", "BANANA", "`BANANA` is not an instruction");
    assert_mistake(
        "FROM a\nCOPY --chmdo=1 b c",
        "--chmdo=1",
        "COPY has no flag --chmdo; did you mean --chmod?",
    );
    assert_mistake("FROM a\nADD --from=b c d", "--from=b", "ADD has no flag --from");
    assert_mistake("FROM a\nCMD --help", "--help", "CMD has no flag --help");
    assert_mistake(
        "FROM a\nRUN x \\\n  && y\nRUN --mount=tagret=/x y",
        "--mount=tagret=/x",
        "--mount has no option `tagret`; did you mean target?",
    );
}

#[test]
fn flags_need_the_right_values_once() {
    for (text, marked, message) in [
        ("COPY --link=maybe a b", "--link=maybe", "--link cannot be `maybe`; it must be true or false"),
        ("COPY --link= a b", "--link=", "--link cannot be ``; it must be true or false"),
        ("COPY --chown a b c", "--chown", "--chown needs a value: --chown=…"),
        ("COPY --link --link a b", "--link", "--link is given twice; keep one"),
        (
            "RUN --network=lan a",
            "--network=lan",
            "--network cannot be `lan`; it must be default, none or host",
        ),
        ("RUN --security= a", "--security=", "--security cannot be ``; it must be sandbox or insecure"),
        (
            "HEALTHCHECK --interval=5 CMD a",
            "--interval=5",
            "--interval cannot be `5`; it must be a duration of at least 1ms, such as 30s or 1m30s",
        ),
        (
            "HEALTHCHECK --timeout=1us CMD a",
            "--timeout=1us",
            "--timeout cannot be `1us`; it must be a duration of at least 1ms, such as 30s or 1m30s",
        ),
        (
            "HEALTHCHECK --retries=-1 CMD a",
            "--retries=-1",
            "--retries cannot be `-1`; it must be a whole number from 0 on",
        ),
        (
            "COPY --from=$A b c",
            "--from=$A",
            "`$A` has a variable, which `from` cannot have; use it in a FROM … AS name, and copy from that name",
        ),
        (
            "RUN --mount=from=${A},target=/b c",
            "--mount=from=${A},target=/b",
            "`${A}` has a variable, which `from` cannot have; use it in a FROM … AS name, and copy from that name",
        ),
    ] {
        assert_mistake(&format!("FROM a\n{text}\n"), marked, message);
    }
}

#[test]
fn missing_arguments_are_named() {
    for (text, message) in [
        ("RUN", "RUN needs a command"),
        ("RUN []", "RUN needs a command"),
        ("RUN --network=none", "RUN needs a command"),
        ("COPY a", "COPY needs at least one source and a destination"),
        ("ADD [\"a\"]", "ADD needs at least one source and a destination"),
        ("ENV", "ENV needs name=value"),
        ("ENV a", "ENV needs name=value"),
        ("LABEL", "LABEL needs name=value"),
        ("ARG", "ARG needs a name, such as VERSION or VERSION=1.0"),
        ("EXPOSE", "EXPOSE needs a port, such as 8080 or 53/udp"),
        ("VOLUME", "VOLUME needs a path"),
        ("VOLUME []", "VOLUME needs a path"),
        ("VOLUME [\" \"]", "VOLUME needs a path"),
        ("USER", "USER needs a user"),
        ("WORKDIR", "WORKDIR needs a path"),
        ("STOPSIGNAL", "STOPSIGNAL needs a signal"),
        ("MAINTAINER", "MAINTAINER needs a name"),
        ("ONBUILD", "ONBUILD needs an instruction to run later"),
        ("ONBUILD RUN", "RUN needs a command"),
        ("HEALTHCHECK", "HEALTHCHECK needs CMD and a command, or NONE"),
        ("HEALTHCHECK CMD", "HEALTHCHECK needs a command after CMD"),
        ("HEALTHCHECK NONE a", "HEALTHCHECK needs nothing after NONE"),
        ("FROM", "FROM needs an image or a stage, optionally followed by AS and a name"),
        ("FROM a b", "FROM needs an image or a stage, optionally followed by AS and a name"),
        ("FROM a AS", "FROM needs an image or a stage, optionally followed by AS and a name"),
    ] {
        let keyword = message.split(' ').next().expect("a keyword");
        assert_mistake(&format!("FROM x\n{text} \n"), keyword, message);
    }
}

#[test]
fn malformed_arguments_are_marked() {
    for (text, marked, message) in [
        ("ENV a=b c", "c", "`c` has no `=`; write name=value, and quote values with spaces"),
        ("LABEL a=1 =b", "=b", "LABEL has a value without a name; write name=value"),
        ("ARG =b", "=b", "ARG has a value without a name; write name=value"),
        ("SHELL bash -c", "bash -c", "SHELL needs a JSON array of strings, such as [\"/bin/bash\", \"-c\"]"),
        ("SHELL []", "[]", "SHELL needs a JSON array of strings, such as [\"/bin/bash\", \"-c\"]"),
        ("SHELL", "SHELL", "SHELL needs a JSON array of strings, such as [\"/bin/bash\", \"-c\"]"),
        (
            "CMD [\"a\", 1]",
            "[\"a\", 1]",
            "CMD has a JSON array with something other than strings; quote every element",
        ),
        (
            "HEALTHCHECK curl x",
            "curl",
            "HEALTHCHECK cannot be followed by `curl`; write HEALTHCHECK CMD … or HEALTHCHECK NONE",
        ),
        (
            "ONBUILD ONBUILD RUN a",
            "ONBUILD",
            "ONBUILD cannot be an ONBUILD trigger; write it in the Dockerfile that uses the image",
        ),
        (
            "ONBUILD from a",
            "from",
            "FROM cannot be an ONBUILD trigger; write it in the Dockerfile that uses the image",
        ),
        ("COPY a <<EOF\nEOF", "a <<EOF", "COPY cannot write to a heredoc; its last argument must be a path"),
        (
            "RUN --mount=\"\" a",
            "--mount=\"\"",
            "--mount is malformed; write comma-separated key=value pairs, such as type=cache,target=/root/.cache",
        ),
        ("RUN <<EOF\na", "<<EOF", "the heredoc is never closed; end it with a line that is exactly `EOF`"),
    ] {
        assert_mistake(&format!("FROM a\n{text}"), marked, message);
    }
}

#[test]
fn stage_names_are_checked() {
    for name in ["1a", "a/b", "a:b", "é", "_a", "\"a\""] {
        let message = format!(
            "`{name}` cannot name a stage; use letters, digits, `-`, `_` and `.`, and begin with a letter"
        );
        assert_mistake(&format!("FROM x AS {name}\n"), name, &message);
    }
    assert_mistake(
        "FROM x AS one\nFROM y\nFROM z as ONE\n",
        "ONE",
        "the stage name `one` is already taken by line 1; choose another",
    );
}

#[test]
fn a_file_beyond_all_measure_is_refused_at_once() {
    let begun = std::time::Instant::now();
    let line = |length: usize| format!("FROM scratch\nCMD {}\n", "x".repeat(length));
    let many = |text: &str, count: usize| format!("FROM scratch\n{}", text.repeat(count));
    for (text, kind) in [
        (line(100 << 20), ErrorKind::TooLarge),
        (many("CMD x\n", 300_000), ErrorKind::TooManyInstructions),
        (many("FROM scratch\n", 5000), ErrorKind::TooManyStages),
    ] {
        assert_eq!(*parse_error(&text).kind, kind);
    }
    for text in [line(1 << 20), many("CMD x\n", 9000), many("FROM scratch\n", 900)] {
        crate::dockerfile::Dockerfile::parse("Dockerfile", &text).expect("large but honest");
    }
    let took = begun.elapsed();
    assert!(took.as_secs() < 20, "{took:?}");
}
