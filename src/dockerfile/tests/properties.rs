//! What holds for every text.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::plan::{ARM, Ask, try_plan};
use crate::dockerfile::{Dockerfile, Expander, InstructionKind, Span, lexer::lex};

/// Lines that are Dockerfiles more often than chance would have it.
fn dockerfile() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => prop::sample::select(vec![
            "FROM alpine AS a", "FROM --platform=$BUILDPLATFORM a", "FROM b AS é", "ARG A=${B:-'c'}", "RUN make \\",
            "RUN <<EOF", "COPY --from=a <<-'EOF' \\", "EOF", "\tEOF", "# escape=`", "# syntax=x", "# c", "", "  ", "x`",
            "ENV a=b c='d e' \\", "LABEL a", "HEALTHCHECK --interval=5s CMD [\"a\"]", "ONBUILD RUN --mount=from=a b",
            "ONBUILD COPY --from=1 x y", "SHELL [\"a\",", "\"b\"]", "CMD [ 1 ]", "RNU x", "COPY --from=0 a \\", "b",
        ]).prop_map(str::to_owned),
        1 => "[A-Za-z $\\\\`'\"<#=\\[\\]{}:/%é한\t\r-]{0,20}",
    ];
    let lines = prop::collection::vec(line, 0..12);
    (prop::bool::ANY, lines, prop::bool::ANY).prop_map(|(bom, lines, ended)| {
        let text = lines.join("\n");
        format!("{}{text}{}", if bom { "\u{feff}" } else { "" }, if ended { "\n" } else { "" })
    })
}

fn assert_inside(text: &str, span: Span) {
    assert!(span.start <= span.end && span.end <= text.len(), "{span:?} in {text:?}");
    assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end), "{span:?} in {text:?}");
    let line_of = |at: usize| 1 + text[..at].matches('\n').count();
    assert_eq!(span.line, line_of(span.start), "{span:?} in {text:?}");
    assert!(span.last_line >= span.line && span.last_line <= line_of(text.len()), "{span:?} in {text:?}");
}

fn assert_all_inside(text: &str, file: &Dockerfile) {
    file.global_args.iter().for_each(|arg| assert_inside(text, arg.span));
    for stage in &file.stages {
        assert_inside(text, stage.span);
        assert_inside(text, stage.base.span);
        stage.platform.iter().for_each(|word| assert_inside(text, word.span));
        for instruction in &stage.instructions {
            assert_inside(text, instruction.span);
            match &instruction.kind {
                InstructionKind::Run(run) => {
                    run.heredocs.iter().for_each(|heredoc| assert_inside(text, heredoc.span));
                    let words = run.mounts.iter().filter_map(|mount| mount.from.as_ref());
                    words.for_each(|word| assert_inside(text, word.span));
                }
                InstructionKind::Copy(copy) => {
                    copy.from.iter().for_each(|word| assert_inside(text, word.span));
                }
                InstructionKind::Arg(args) => args.iter().for_each(|arg| assert_inside(text, arg.span)),
                InstructionKind::Onbuild(onbuild) => assert_inside(text, onbuild.trigger.span),
                _ => {}
            }
        }
    }
}

/// The parsed file, or the mistake, without the byte offsets that line breaks move.
fn without_offsets(text: &str) -> String {
    let parsed = match Dockerfile::parse("Dockerfile", text) {
        Ok(file) => format!("{file:?}"),
        Err(error) => format!("{error}"),
    };
    let mut parts = parsed.split("Span { start: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts
        .fold(first, |text, part| text + "Span { " + part.split_once("line: ").map_or(part, |(_, rest)| rest))
}

fn joined(text: &str) -> Option<Vec<String>> {
    Some(lex(text).ok()?.lines.into_iter().map(|line| line.text).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_file_panics_and_every_span_lies_inside(text in dockerfile(), contexts in prop::bool::ANY) {
        match Dockerfile::parse("Dockerfile", &text) {
            Ok(file) => {
                assert_all_inside(&text, &file);
                let contexts: &[&str] = if contexts { &["a"] } else { &[] };
                match try_plan(&text, Ask { contexts, ..ARM }) {
                    Ok(plan) => {
                        plan.heredocs.iter().for_each(|span| assert_inside(&text, *span));
                        plan.images().iter().for_each(|image| assert_inside(&text, image.span));
                        prop_assert!(plan.stages.iter().any(|stage| stage.number == plan.target));
                        prop_assert!(plan.stages.is_sorted_by_key(|stage| stage.number));
                    }
                    Err(error) => assert_inside(&text, error.span),
                }
            }
            Err(error) => {
                assert_inside(&text, error.span);
                prop_assert!(error.snippet(&text).contains('^'));
            }
        }
    }

    #[test]
    fn no_text_panics(text in "(?s).{0,80}") {
        match Dockerfile::parse("Dockerfile", &text) {
            Ok(file) => assert_all_inside(&text, &file),
            Err(error) => assert_inside(&text, error.span),
        }
    }

    #[test]
    fn line_breaks_of_either_kind_mean_the_same(text in dockerfile()) {
        prop_assert_eq!(without_offsets(&text), without_offsets(&text.replace('\n', "\r\n")));
    }

    #[test]
    fn a_comment_between_lines_changes_nothing(lines in prop::collection::vec("[A-Z ]{0,6}\\\\?", 1..6)) {
        let plain = joined(&(lines.join("\n") + "\n"));
        prop_assert_eq!(plain, joined(&(lines.join("\n # comment \\\n") + "\n")));
    }

    #[test]
    fn every_piece_of_a_line_leads_back_to_the_same_text(text in dockerfile()) {
        let Ok(lexed) = lex(&text) else { return Ok(()) };
        for line in lexed.lines {
            for (at, letter) in line.text.char_indices() {
                let span = line.span_of(at..at + letter.len_utf8());
                assert_inside(&text, span);
                prop_assert_eq!(&text[span.start..span.end], letter.to_string());
            }
        }
    }

    #[test]
    fn the_expander_never_panics(text in "[$a{}:#%/?+*\\\\'\"<` é한-]{0,30}", value in "[a*?/\\\\é\n]{0,8}") {
        let env = BTreeMap::from([("a".to_owned(), value)]);
        for escape in ['\\', '`'] {
            let _ = Expander::new(escape, &env).expand(&text);
            let _ = Expander::new(escape, &env).words(&text);
        }
        let _ = Expander::for_heredoc(&env).expand(&text);
    }

    #[test]
    fn text_in_single_quotes_is_left_alone(text in "[^']{0,20}") {
        let env = BTreeMap::new();
        let expansion = Expander::new('\\', &env).expand(&format!("'{text}'")).expect("a quoted text");
        prop_assert_eq!(expansion.text, text);
    }

    #[test]
    fn what_is_trimmed_and_what_stays_are_the_whole(value in "[ab.]{0,8}", pattern in "[ab.?*]{0,5}") {
        let env = BTreeMap::from([("v".to_owned(), value.clone())]);
        let expand = |operator: &str| {
            Expander::new('\\', &env).expand(&format!("${{v{operator}{pattern}}}")).expect("a pattern").text
        };
        let (short, long) = (expand("#"), expand("##"));
        prop_assert!(value.ends_with(&short) && short.ends_with(&long));
        let (short, long) = (expand("%"), expand("%%"));
        prop_assert!(value.starts_with(&short) && short.starts_with(&long));
    }
}
