//! Dockerfiles: parsing, planning, expanding and checking.

use std::collections::{BTreeMap, BTreeSet};

use polyarch::{
    context::Ignore,
    dockerfile::{
        Dockerfile, DockerfileError, Expander, PlanOptions, Span,
        lint::{CheckOptions, LintOptions, Warning, lint},
        plan,
    },
};
use polyarch_actors::Platform;

/// The most characters that carets may be asked under; longer lines draw longer texts.
const LONGEST: usize = 1 << 16;

/// Reads the input as a Dockerfile. Its first line is also an expression, check options and a target.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let first = text.lines().next().unwrap_or_default();
    expand(first);
    let _ = first.parse::<CheckOptions>();
    match Dockerfile::parse("Dockerfile", text) {
        Ok(file) => check_file(&file, text, first),
        Err(error) => assert_mistake(text, &error),
    }
}

fn expand(text: &str) {
    let values = BTreeMap::from([("a".to_owned(), text.to_owned()), ("b".to_owned(), String::new())]);
    for escape in ['\\', '`'] {
        let expander = Expander::new(escape, &values);
        let (expanded, words) = (expander.expand(text), expander.words(text));
        assert_eq!(expanded.is_err(), words.is_err(), "{text:?}");
        assert!(expanded.is_err() || expander.expand(text) == expanded);
    }
    let _ = Expander::for_heredoc(&values).expand(text);
}

fn check_file(file: &Dockerfile, text: &str, target: &str) {
    assert!(!file.stages.is_empty());
    for stage in &file.stages {
        assert_inside(text, stage.span);
        stage.instructions.iter().for_each(|instruction| assert_inside(text, instruction.span));
        for instruction in stage.instructions.iter().take(4) {
            let written = &text[instruction.span.start..instruction.span.end];
            assert!(
                file.locate(text, written).is_some(),
                "an instruction is not found by its own text: {written:?}"
            );
        }
    }
    let given = BTreeMap::from([("A".to_owned(), "alpine".to_owned())]);
    let contexts = BTreeSet::from(["base".to_owned()]);
    let build_platform: Platform = "linux/amd64".parse().expect("a platform");
    let checks: CheckOptions = "experimental=all".parse().expect("check options");
    let ignore = Ignore::parse(b"*.log\nsecret\n").expect("an ignore file");
    let (no_args, no_contexts) = (BTreeMap::new(), BTreeSet::new());
    for (platform, target, build_args, contexts) in
        [("linux/arm64", None, &no_args, &no_contexts), ("windows/amd64", Some(target), &given, &contexts)]
    {
        let platform: Platform = platform.parse().expect("a platform");
        let options = PlanOptions {
            target,
            platform: &platform,
            build_platform: &build_platform,
            build_args,
            contexts,
        };
        match plan(file, &options) {
            Ok(plan) => {
                assert!(plan.stages.iter().any(|stage| stage.number == plan.target));
                assert!(plan.stages.is_sorted_by_key(|stage| stage.number));
                plan.images().iter().for_each(|image| assert_inside(text, image.span));
                plan.heredocs.iter().for_each(|span| assert_inside(text, *span));
            }
            Err(error) => assert_mistake(text, &error),
        }
        let found = |all_stages| {
            lint(
                file,
                text,
                &LintOptions { plan: options, all_stages, checks: &checks, ignore: Some(&ignore) },
            )
        };
        assert_warnings(text, &found(false), &found(true));
    }
}

fn assert_warnings(text: &str, some: &[Warning], all: &[Warning]) {
    for warning in all {
        assert_inside(text, warning.span);
        assert!(text.len() > LONGEST || warning.snippet("D", text).contains('^'));
    }
    assert!(all.is_sorted());
    // Lists that are cut off need not hold each other.
    let all: BTreeSet<&Warning> = all.iter().collect();
    assert!(all.len() > 500 || some.iter().all(|warning| all.contains(warning)));
}

fn assert_mistake(text: &str, error: &DockerfileError) {
    assert_inside(text, error.span);
    assert!(text.len() > LONGEST || error.snippet(text).contains('^'));
    assert!(!error.to_string().is_empty());
}

fn assert_inside(text: &str, span: Span) {
    assert!(text.get(span.start..span.end).is_some(), "{span:?}");
    assert_eq!(span.line, 1 + text[..span.start].matches('\n').count(), "{span:?}");
    assert!(span.line <= span.last_line && span.last_line <= 1 + text.matches('\n').count(), "{span:?}");
}
