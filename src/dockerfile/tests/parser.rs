use std::time::Duration;

use super::{instruction, instructions, parse};
use crate::dockerfile::{
    Add, CommandLine, Copy, Healthcheck, InstructionKind, KeyValue, Network, Onbuild, Run, Security, Sources,
};

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn exec(words: &[&str]) -> CommandLine {
    CommandLine::Exec(strings(words))
}

fn line(text: &str) -> CommandLine {
    CommandLine::Shell(text.to_owned())
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| KeyValue { key: (*key).to_owned(), value: (*value).to_owned() }).collect()
}

fn run(text: &str) -> Run {
    let InstructionKind::Run(run) = instruction(text) else { panic!("{text} is a RUN") };
    run
}

fn copy(text: &str) -> Copy {
    let InstructionKind::Copy(copy) = instruction(text) else { panic!("{text} is a COPY") };
    copy
}

fn add(text: &str) -> Add {
    let InstructionKind::Add(add) = instruction(text) else { panic!("{text} is an ADD") };
    add
}

fn paths(sources: &Sources) -> (Vec<&str>, &str) {
    (sources.paths.iter().map(String::as_str).collect(), &sources.destination)
}

#[test]
fn stages_have_bases_names_and_platforms() {
    let file =
        parse("ARG A\nARG B=1 C=\nfrom --platform=$X alpine:$A as Build\nRUN a\nFROM build\nRUN b\nRUN c\n");
    let args: Vec<_> =
        file.global_args.iter().map(|arg| (arg.name.as_str(), arg.default.as_deref())).collect();
    assert_eq!(args, [("A", None), ("B", Some("1")), ("C", Some(""))]);
    let stages: Vec<_> = file
        .stages
        .iter()
        .map(|stage| {
            let platform = stage.platform.as_ref().map(|word| word.text.as_str());
            (stage.name.as_deref(), stage.base.text.as_str(), platform, stage.instructions.len())
        })
        .collect();
    assert_eq!(stages, [(Some("build"), "alpine:$A", Some("$X"), 1), (None, "build", None, 2)]);
}

#[test]
fn commands_are_json_or_a_line_for_the_shell() {
    for (text, expected) in [
        (r#"["a", "b c"]"#, exec(&["a", "b c"])),
        ("[]", exec(&[])),
        ("a  b # c", line("a  b # c")),
        ("[ -f x ] && y", line("[ -f x ] && y")),
        (r#"["a", 'b']"#, line(r#"["a", 'b']"#)),
        ("a \\\n\n # no\n && b", line("a  && b")),
        ("", line("")),
    ] {
        assert_eq!(instruction(&format!("CMD {text}")), InstructionKind::Cmd(expected.clone()), "{text}");
        assert_eq!(
            instruction(&format!("entrypoint\t{text}")),
            InstructionKind::Entrypoint(expected),
            "{text}"
        );
    }
}

#[test]
fn run_flags_are_read() {
    let one = run(
        "RUN --mount=type=cache,target=/x --mount=\"from=b,dst=/y\" --network=none --security=insecure make --j",
    );
    assert_eq!(one.command, line("make --j"));
    assert_eq!((one.network, one.security), (Network::None, Security::Insecure));
    let froms: Vec<_> =
        one.mounts.iter().map(|mount| mount.from.as_ref().map(|from| from.text.as_str())).collect();
    assert_eq!(froms, [None, Some("b")]);
    let plain = run("RUN -- --x");
    assert_eq!(
        (plain.command, plain.network, plain.security),
        (line("--x"), Network::Default, Security::Sandbox)
    );
}

#[test]
fn heredocs_belong_to_their_instruction() {
    let script = run("RUN <<-EOF\n\techo\n\tEOF\n");
    assert_eq!(script.command, line("<<-EOF"));
    assert_eq!(
        (script.heredocs[0].content.as_str(), script.heredocs[0].text().as_str()),
        ("\techo\n", "echo\n")
    );

    let files = copy("COPY a <<one \"<<'two'\" <<three /d/\n1\none\n3\nthree\n");
    assert_eq!(paths(&files.sources), (vec!["a", "\"<<'two'\""], "/d/"));
    let names: Vec<_> =
        files.sources.heredocs.iter().map(|doc| (doc.name.as_str(), doc.content.as_str())).collect();
    assert_eq!(names, [("one", "1\n"), ("three", "3\n")]);
    assert_eq!(paths(&copy(r#"COPY ["<<EOF", "/d"]"#).sources), (vec!["<<EOF"], "/d"));
}

#[test]
fn copy_and_add_have_their_flags() {
    let one = copy(
        "COPY --from=Base --chown=1:$G --chmod=0644 --link --parents=false --exclude=a --exclude=*.b  x\ty z/",
    );
    assert_eq!(paths(&one.sources), (vec!["x", "y"], "z/"));
    assert_eq!(one.from.map(|word| word.text).as_deref(), Some("Base"));
    assert_eq!((one.chown.as_deref(), one.chmod.as_deref()), (Some("1:$G"), Some("0644")));
    assert_eq!((one.link, one.parents, one.exclude), (true, false, strings(&["a", "*.b"])));

    let one =
        add("ADD --link=TRUE --checksum=sha256:x --keep-git-dir --unpack=false --exclude=a https://x/y /z");
    assert_eq!((one.link, one.keep_git_dir, one.unpack), (true, true, Some(false)));
    assert_eq!((one.checksum.as_deref(), one.exclude), (Some("sha256:x"), strings(&["a"])));
    let plain = add(r#"ADD ["a b", "c"]"#);
    assert_eq!(paths(&plain.sources), (vec!["a b"], "c"));
    assert_eq!((plain.unpack, plain.link, plain.keep_git_dir), (None, false, false));
    assert_eq!(copy("COPY --from= a b").from, None);
}

#[test]
fn pairs_keep_quotes_and_escapes_for_the_expander() {
    for (text, expected) in [
        ("a=b", pairs(&[("a", "b")])),
        (
            "a=b c=\"d e\" f='g h' i=j\\ k",
            pairs(&[("a", "b"), ("c", "\"d e\""), ("f", "'g h'"), ("i", "j\\ k")]),
        ),
        ("a=b=c d=", pairs(&[("a", "b=c"), ("d", "")])),
        ("a='b\\' c=d\\", pairs(&[("a", "'b\\'"), ("c", "d")])),
        ("a=\"b\\\" c\" d=1", pairs(&[("a", "\"b\\\" c\""), ("d", "1")])),
        ("a=b \\\n  c=d", pairs(&[("a", "b"), ("c", "d")])),
        ("a   b c=d ", pairs(&[("a", "b c=d")])),
        ("\"a b\"=c", pairs(&[("\"a b\"", "c")])),
    ] {
        assert_eq!(instruction(&format!("ENV {text}")), InstructionKind::Env(expected.clone()), "{text}");
        assert_eq!(instruction(&format!("LABEL {text}")), InstructionKind::Label(expected), "{text}");
    }
}

#[test]
fn the_escape_character_of_the_file_counts_in_pairs() {
    let file = parse("# escape=`\nFROM a\nENV p=C:\\x` y q=`\"z\n");
    let expected = pairs(&[("p", "C:\\x` y"), ("q", "`\"z")]);
    assert_eq!(file.stages[0].instructions[0].kind, InstructionKind::Env(expected));
}

#[test]
fn an_arg_declares_several_names() {
    let InstructionKind::Arg(args) = instruction("ARG A B=1 C=\"x y\" D=") else { panic!("an ARG") };
    let args: Vec<_> = args.iter().map(|arg| (arg.name.as_str(), arg.default.as_deref())).collect();
    assert_eq!(args, [("A", None), ("B", Some("1")), ("C", Some("\"x y\"")), ("D", Some(""))]);
}

#[test]
fn the_simple_instructions_take_words_or_the_whole_line() {
    assert_eq!(
        instructions(
            "EXPOSE 80 $P/udp\nVOLUME /a /b\nVOLUME [\"/a b\"]\nUSER a b\nWORKDIR /a b\nSTOPSIGNAL SIG$X\nSHELL [\"sh\", \"-c\"]\nMAINTAINER A <b@c>"
        ),
        [
            InstructionKind::Expose(strings(&["80", "$P/udp"])),
            InstructionKind::Volume(strings(&["/a", "/b"])),
            InstructionKind::Volume(strings(&["/a b"])),
            InstructionKind::User("a b".to_owned()),
            InstructionKind::Workdir("/a b".to_owned()),
            InstructionKind::StopSignal("SIG$X".to_owned()),
            InstructionKind::Shell(strings(&["sh", "-c"])),
            InstructionKind::Maintainer("A <b@c>".to_owned()),
        ]
    );
}

#[test]
fn a_healthcheck_is_a_command_or_none() {
    assert_eq!(instruction("HEALTHCHECK none"), InstructionKind::Healthcheck(Healthcheck::None));
    let text = "HEALTHCHECK --interval=5m --timeout=1.5s --start-period=0s --start-interval=10ms --retries=3 CMD [\"a\"]";
    let InstructionKind::Healthcheck(Healthcheck::Probe(probe)) = instruction(text) else {
        panic!("a probe")
    };
    assert_eq!(probe.command, exec(&["a"]));
    assert_eq!(probe.interval, Some(Duration::from_mins(5)));
    assert_eq!(probe.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(probe.start_period, None);
    assert_eq!(probe.start_interval, Some(Duration::from_millis(10)));
    assert_eq!(probe.retries, Some(3));
    let InstructionKind::Healthcheck(Healthcheck::Probe(probe)) = instruction("HEALTHCHECK cmd a b") else {
        panic!("a probe")
    };
    assert_eq!((probe.command, probe.retries), (line("a b"), None));
}

#[test]
fn a_trigger_is_read_and_kept_as_text() {
    let text = "FROM a\n  ONBUILD   RUN --network=host <<E cat\nx\nE\n";
    let file = parse(text);
    let InstructionKind::Onbuild(Onbuild { trigger, expression }) = &file.stages[0].instructions[0].kind
    else {
        panic!("an ONBUILD")
    };
    assert_eq!(expression, "RUN --network=host <<E cat\nx\nE");
    let InstructionKind::Run(run) = &trigger.kind else { panic!("a RUN") };
    assert_eq!((run.network, run.heredocs.len()), (Network::Host, 1));
    assert!(text[trigger.span.start..trigger.span.end].starts_with("RUN --network"));
}

#[test]
fn instructions_know_their_place() {
    let text = "FROM a\nRUN x \\\n  y\n\nCOPY --from=b \\\n  c d\n";
    let file = parse(text);
    let spans: Vec<_> = file.stages[0].instructions.iter().map(|one| one.span).collect();
    let seen: Vec<_> =
        spans.iter().map(|span| (&text[span.start..span.end], span.line, span.last_line)).collect();
    assert_eq!(seen, [("RUN x \\\n  y", 2, 3), ("COPY --from=b \\\n  c d", 5, 6)]);
}
