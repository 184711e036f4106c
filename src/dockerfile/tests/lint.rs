//! Every build check, with the cases of BuildKit's own `dockerfile_lint_test.go`.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::parse;
use crate::{
    context::Ignore,
    dockerfile::{
        Dockerfile, PlanOptions, Span,
        lint::{CheckOptionError, CheckOptions, LintOptions, Rule, Warning, lint},
    },
};

/// What a check is asked for, as text.
#[derive(Clone, Copy, Default)]
pub(super) struct Check<'a> {
    pub(super) args: &'a [(&'a str, &'a str)],
    pub(super) options: Option<&'a str>,
    pub(super) ignore: Option<&'a str>,
    pub(super) target: Option<&'a str>,
    pub(super) contexts: &'a [&'a str],
    pub(super) platform: Option<&'a str>,
    pub(super) all_stages: bool,
}

fn warnings(text: &str, check: Check<'_>) -> Vec<Warning> {
    lint_file(&parse(text), text, check)
}

fn lint_file(dockerfile: &Dockerfile, text: &str, check: Check<'_>) -> Vec<Warning> {
    let written = check.options.or(dockerfile.directives.check.as_deref()).unwrap_or_default();
    let checks: CheckOptions = written.parse().expect("check options");
    let build_args: BTreeMap<String, String> =
        check.args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let contexts: BTreeSet<String> = check.contexts.iter().map(|name| (*name).to_owned()).collect();
    let ignore = check.ignore.map(|text| Ignore::parse(text.as_bytes()).expect("an ignore file"));
    let plan = PlanOptions {
        target: check.target,
        platform: &check.platform.unwrap_or("linux/arm64").parse().expect("a platform"),
        build_platform: &"linux/amd64".parse().expect("a platform"),
        build_args: &build_args,
        contexts: &contexts,
    };
    let all_stages = check.all_stages;
    lint(dockerfile, text, &LintOptions { plan, all_stages, checks: &checks, ignore: ignore.as_ref() })
}

/// The warnings as a reader would note them down: the rule, the line, the marked text and the message.
pub(super) fn noted(text: &str, check: Check<'_>) -> Vec<String> {
    let note = |warning: Warning| {
        let Span { start, end, line, .. } = warning.span;
        format!("{} {line} [{}] {}", warning.rule.name(), &text[start..end], warning.message)
    };
    warnings(text, check).into_iter().map(note).collect()
}

pub(super) fn assert_noted(text: &str, check: Check<'_>, expected: &[&str]) {
    assert_eq!(noted(text, check), expected, "{text}");
}

pub(super) fn assert_clean(text: &str, check: Check<'_>) {
    assert_noted(text, check, &[]);
}

const USUAL: Check<'static> = Check {
    args: &[],
    options: None,
    ignore: None,
    target: None,
    contexts: &[],
    platform: None,
    all_stages: false,
};

#[test]
fn names_of_stages_and_as_are_written_like_from() {
    assert_noted(
        "# c\n#\nFROM scratch AS BigName\n\nFROM scratch as two\n\nFROM scratch AS three\n",
        USUAL,
        &[
            "StageNameCasing 3 [BigName] Stage name 'BigName' should be lowercase",
            "FromAsCasing 5 [as] 'as' and 'FROM' keywords' casing do not match",
        ],
    );
    assert_noted(
        "from scratch AS one\nfrom scratch as two\n",
        USUAL,
        &["FromAsCasing 1 [AS] 'AS' and 'from' keywords' casing do not match"],
    );
}

#[test]
fn an_empty_line_inside_an_instruction_is_told_of_once() {
    assert_noted(
        "FROM scratch\nCOPY a \\\n\n\n  b\nCOPY c \\\n# comment\nd\n",
        USUAL,
        &["NoEmptyContinuation 5 [  b] Empty continuation line"],
    );
    assert_noted(
        "FROM scratch\nCOPY <<E /x \\\n\n\nbody\nE\n",
        USUAL,
        &["NoEmptyContinuation 5 [body] Empty continuation line"],
    );
}

#[test]
fn keywords_are_written_like_most_of_them() {
    let message = |line: usize, keyword: &str, casing: &str| {
        format!(
            "ConsistentInstructionCasing {line} [{keyword}] Command '{keyword}' should match the case of the \
             command majority ({casing})"
        )
    };
    for (text, line, keyword, casing) in [
        ("From scratch as base\nFROM scratch AS base2\n", 1, "From", "uppercase"),
        ("FROM scratch\ncopy a /b\nCOPY a /c\n", 2, "copy", "uppercase"),
        ("frOM scratch as base\nfrom scratch as base2\n", 1, "frOM", "lowercase"),
        ("from scratch\nCOPY a /b\ncopy a /c\n", 2, "COPY", "lowercase"),
        ("from scratch\nCOPY a /b\nCOPY a /c\nCOPY a /d\n", 1, "from", "uppercase"),
        ("FROM scratch\ncopy a /b\ncopy a /c\ncopy a /d\n", 1, "FROM", "lowercase"),
    ] {
        assert_noted(text, USUAL, &[&message(line, keyword, casing)]);
    }
    for text in [
        "from scratch\ncopy a /b\n",
        "FROM scratch\nCOPY a /b\n",
        "arg x=scratch\nFROM $x\nCOPY a /b\n",
        "FROM alpine\nRUN <<'E'\nenv\nE\n",
    ] {
        assert_clean(text, USUAL);
    }
}

#[test]
fn reserved_names_are_not_for_stages() {
    let reserved = "Stage name should not use the same name as reserved stage";
    assert_noted(
        "FROM scratch AS scratch\nFROM scratch AS context\n",
        USUAL,
        &[
            &format!("ReservedStageName 1 [scratch] {reserved} \"scratch\""),
            &format!("ReservedStageName 2 [context] {reserved} \"context\""),
        ],
    );
    assert_clean("FROM scratch\nFROM scratch AS a\n", USUAL);
}

#[test]
fn commands_are_better_in_json_where_no_shell_is_chosen() {
    for keyword in ["CMD", "ENTRYPOINT"] {
        let expected = format!(
            "JSONArgsRecommended 2 [{keyword} my command] JSON arguments recommended for {keyword} to prevent \
             unintended behavior related to OS signals"
        );
        assert_noted(&format!("FROM scratch\n{keyword} my command\n"), USUAL, &[&expected]);
        assert_clean(&format!("FROM scratch\n{keyword} [\"mine\"]\n"), USUAL);
        assert_clean(&format!("FROM scratch\nSHELL [\"/sh\"]\n{keyword} mine\n"), USUAL);
        assert_clean(&format!("FROM scratch AS b\nSHELL [\"/sh\"]\nFROM b\n{keyword} mine\n"), USUAL);
    }
}

#[test]
fn maintainers_are_labels_in_every_stage() {
    let text = "FROM scratch AS unused\nMAINTAINER me@example.org\nFROM scratch\n";
    assert_noted(
        text,
        USUAL,
        &[
            "MaintainerDeprecated 2 [MAINTAINER me@example.org] Maintainer instruction is deprecated in favor of \
           using label",
        ],
    );
    assert_clean("FROM scratch\nLABEL org.opencontainers.image.authors=\"me@example.org\"\n", USUAL);
}

#[test]
fn a_relative_working_directory_needs_an_absolute_one_first() {
    let message = "can have unexpected results if the base image changes";
    assert_noted(
        "FROM scratch\nWORKDIR app/\nWORKDIR deeper\n",
        USUAL,
        &[&format!("WorkdirRelativePath 2 [app/] Relative workdir \"app/\" {message}")],
    );
    assert_clean("FROM scratch AS a\nWORKDIR /app\nFROM a\nWORKDIR sub/\n", USUAL);
    assert_clean("FROM scratch\nWORKDIR \"/a b\"\n", USUAL);
    assert_clean("FROM scratch\nENV HERE=/x\nWORKDIR ${HERE}/y\n", USUAL);
    let windows = Check { platform: Some("windows/amd64"), ..USUAL };
    let text = "# escape=`\nFROM scratch\nWORKDIR c:\\app\n";
    assert_clean(text, windows);
    assert_eq!(noted(text, USUAL).len(), 1);
}

#[test]
fn what_counts_once_is_given_once_in_a_stage() {
    let message = |line: usize, text: &str, keyword: &str| {
        format!(
            "MultipleInstructionsDisallowed {line} [{text}] Multiple {keyword} instructions should not be used in \
             the same stage because only the last one will be used"
        )
    };
    let text = "FROM scratch\nENTRYPOINT [\"/a\"]\nCMD [\"/a\"]\nHEALTHCHECK CMD [\"/a\"]\nCOPY <<E /x\nhi\nE\n\
                ENTRYPOINT [\"/b\"]\nCMD [\"/b\"]\nHEALTHCHECK NONE\n";
    assert_noted(
        text,
        USUAL,
        &[
            &message(2, "ENTRYPOINT [\"/a\"]", "ENTRYPOINT"),
            &message(3, "CMD [\"/a\"]", "CMD"),
            &message(4, "HEALTHCHECK CMD [\"/a\"]", "HEALTHCHECK"),
        ],
    );
    assert_clean("FROM scratch AS a\nCMD [\"/a\"]\nFROM a\nCMD [\"/b\"]\n", USUAL);
}

#[test]
fn pairs_are_joined_by_an_equals_sign_where_they_are_built() {
    let legacy = "format";
    let expected = [
        format!(
            "LegacyKeyValueFormat 2 [ENV a b c] \"ENV key=value\" should be used instead of legacy \"ENV key value\" {legacy}"
        ),
        format!(
            "LegacyKeyValueFormat 3 [LABEL d e] \"LABEL key=value\" should be used instead of legacy \"LABEL key value\" {legacy}"
        ),
    ];
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    assert_noted("FROM scratch\nENV a b c\nLABEL d e\n", USUAL, &expected);
    assert_clean("FROM scratch\nENV a=b\nLABEL d=e\n", USUAL);
    let unreached = "FROM scratch AS a\nFROM a AS b\nENV k v\nLABEL k v\nFROM a AS c\n";
    assert_clean(unreached, USUAL);
    assert_eq!(noted(unreached, Check { all_stages: true, ..USUAL }).len(), 2);
    assert_eq!(noted(unreached, Check { target: Some("b"), ..USUAL }).len(), 2);
    assert_clean(unreached, Check { target: Some("b"), contexts: &["b"], ..USUAL });
}

#[test]
fn a_platform_that_is_so_anyway_is_left_out() {
    let message = "in FROM is redundant as this is the default behavior";
    for platform in ["$TARGETPLATFORM", "${TARGETPLATFORM}"] {
        let expected = format!(
            "RedundantTargetPlatform 1 [--platform={platform}] Setting platform to predefined {platform} {message}"
        );
        assert_noted(&format!("FROM --platform={platform} scratch\n"), USUAL, &[&expected]);
    }
    assert_clean("FROM --platform=$TARGETOS/$TARGETARCH scratch\n", USUAL);
}

#[test]
fn a_platform_that_never_changes_belongs_into_the_name() {
    assert_noted(
        "FROM --platform=linux/amd64 scratch\n",
        USUAL,
        &[
            "FromPlatformFlagConstDisallowed 1 [--platform=linux/amd64] FROM --platform flag should not use constant \
           value \"linux/amd64\"",
        ],
    );
    for name in ["my_amd64_stage", "linux"] {
        assert_clean(&format!("FROM --platform=linux/amd64 scratch AS {name}\n"), USUAL);
    }
    assert_clean("FROM --platform=$BUILDPLATFORM scratch\n", USUAL);
}

#[test]
fn secrets_are_no_variables() {
    let message = |line: usize, text: &str, instruction: &str, name: &str| {
        format!(
            "SecretsUsedInArgOrEnv {line} [{text}] Do not use ARG or ENV instructions for sensitive data \
             ({instruction} {name:?})"
        )
    };
    let text = "ARG GLOBAL_TOKEN\nFROM scratch\nARG SECRET_PASSPHRASE\nENV SUPER_Secret=foo\nENV password=bar \
                secret=baz\nARG long_secret_token=foo auth=bar\nENV apikey=bar sunflower=foo\nENV git_key=\nENV \
                PUBLIC_KEY=\nARG public_token\nENV KEY_FILE=/k TOKEN_VERSION=1 monkey=1\n";
    assert_noted(
        text,
        USUAL,
        &[
            &message(3, "SECRET_PASSPHRASE", "ARG", "SECRET_PASSPHRASE"),
            &message(4, "SUPER_Secret=foo", "ENV", "SUPER_Secret"),
            &message(5, "password=bar", "ENV", "password"),
            &message(5, "secret=baz", "ENV", "secret"),
            &message(6, "long_secret_token=foo", "ARG", "long_secret_token"),
            &message(6, "auth=bar", "ARG", "auth"),
            &message(7, "apikey=bar", "ENV", "apikey"),
            &message(8, "git_key=", "ENV", "git_key"),
        ],
    );
}

#[test]
fn ports_are_the_containers_and_protocols_small() {
    let outside = "EXPOSE instruction should not define an IP address or host-port mapping, found";
    assert_noted(
        "FROM scratch\nEXPOSE 80/TCP 81/tcp 82 ${PORT}/UDP\nEXPOSE 127.0.0.1:80:80 5000:5000/tcp [::1]:1:1\n",
        USUAL,
        &[
            "ExposeProtoCasing 2 [80/TCP] Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
            &format!("ExposeInvalidFormat 3 [127.0.0.1:80:80] {outside} '127.0.0.1:80:80'"),
            &format!("ExposeInvalidFormat 3 [5000:5000/tcp] {outside} '5000:5000/tcp'"),
            &format!("ExposeInvalidFormat 3 [[::1]:1:1] {outside} '[::1]:1:1'"),
        ],
    );
}

#[test]
fn a_copy_of_what_is_ignored_is_told_of_when_asked_for() {
    let text = |head: &str| {
        format!(
            "{head}FROM scratch AS base\nCOPY ./a.txt .\nADD /a.txt b/ /x\nADD https://x/a.txt /y\nFROM base\nCOPY --from=base /a.txt /z\n"
        )
    };
    let ignoring = |ignore| Check { ignore: Some(ignore), ..USUAL };
    assert_clean(&text(""), ignoring("a.txt\n"));
    let message = "that is excluded by .dockerignore";
    let expected = [
        format!("CopyIgnoredFile 3 [./a.txt] Attempting to Copy file \"a.txt\" {message}"),
        format!("CopyIgnoredFile 4 [/a.txt] Attempting to Add file \"a.txt\" {message}"),
    ];
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    for head in ["# check=experimental=CopyIgnoredFile\n", "# check=skip=all;experimental=all\n"] {
        assert_noted(&text(head), ignoring("a.txt\n"), &expected);
        assert_clean(&text(head), ignoring("other\n"));
        assert_clean(&text(head), ignoring("*\n!a.txt\n"));
        assert_clean(&text(head), USUAL);
    }
    let all = "# check=experimental=all\nFROM scratch\nCOPY . /\n";
    assert_clean(all, ignoring("a\n"));
    assert_eq!(noted(all, ignoring("*\n")).len(), 1);
}

#[test]
fn a_comment_above_a_definition_describes_it_when_asked_for() {
    let good = "# check=experimental=InvalidDefinitionDescription\n# foo this is the foo\nARG foo=scratch\n\n# base \
                the base image\nFROM scratch AS base\n# version of it\nARG version=latest\n# baz the baz\nARG foo=baz \
                bar=qux baz=quux\n# any\n#\nARG bit=bat\n# any\n\nARG x\n# for something else\nCOPY a .\n";
    assert_clean(good, USUAL);
    let message = |line: usize, instruction: &str, name: &str| {
        format!(
            "InvalidDefinitionDescription {line} [{instruction}] Comment for {instruction} should follow the \
             format: `# {name} <description>`"
        )
    };
    let bad = "# check=experimental=InvalidDefinitionDescription\n# bar this is the bar\nARG foo=bar\n# BasE \
               image\nFROM scratch AS base\n# any bad comment\nARG version=latest\n# any bad comment\nARG a=b c=d\n";
    assert_noted(
        bad,
        USUAL,
        &[
            &message(3, "ARG", "foo"),
            &message(5, "FROM", "base"),
            &message(7, "ARG", "version"),
            &message(9, "ARG", "<arg_key>"),
        ],
    );
    assert_clean(&bad.replacen("experimental=", "skip=", 1), USUAL);
}

#[test]
fn check_options_choose_the_rules() {
    let text = |head: &str| format!("{head}FROM scratch as base\ncopy a .\n");
    for (head, expected) in [
        ("", &["ConsistentInstructionCasing", "FromAsCasing"][..]),
        ("#check=skip=all\n", &[]),
        ("# check = skip=ConsistentInstructionCasing, FromAsCasing;error=true\n", &[]),
        ("#check=skip=ConsistentInstructionCasing\n", &["FromAsCasing"]),
        ("#check=error=true\n", &["ConsistentInstructionCasing", "FromAsCasing"]),
    ] {
        let text = text(head);
        let mut rules: Vec<&str> =
            warnings(&text, USUAL).into_iter().map(|warning| warning.rule.name()).collect();
        rules.sort_unstable();
        assert_eq!(rules, expected, "{head}");
    }
    let stated = Check { options: Some("skip=FromAsCasing"), ..USUAL };
    assert_eq!(warnings(&text("#check=skip=all\n"), stated).len(), 1, "an argument goes before the file");
}

#[test]
fn check_options_that_are_none_are_named() {
    let read = |text: &str| text.parse::<CheckOptions>();
    assert_eq!(read(" "), Ok(CheckOptions::default()));
    assert_eq!(read("error=1").map(|options| options.error), Ok(true));
    assert_eq!(read("error=maybe"), Err(CheckOptionError::NotBoolean { value: "maybe".into() }));
    for text in ["skip", "all", "skip=A;x", "ignore=A"] {
        assert!(matches!(read(text), Err(CheckOptionError::Unknown { .. })), "{text}");
    }
}

#[test]
fn every_rule_has_a_page_of_its_own() {
    let pages: BTreeSet<String> = Rule::ALL.into_iter().map(Rule::url).collect();
    assert_eq!(pages.len(), Rule::ALL.len());
    for (rule, page) in [
        (Rule::JsonArgsRecommended, "json-args-recommended"),
        (Rule::SecretsUsedInArgOrEnv, "secrets-used-in-arg-or-env"),
        (Rule::FromPlatformFlagConstDisallowed, "from-platform-flag-const-disallowed"),
        (Rule::ExposeProtoCasing, "expose-proto-casing"),
    ] {
        assert_eq!(rule.url(), format!("https://docs.docker.com/go/dockerfile/rule/{page}/"));
        assert!(!rule.description().is_empty());
    }
}

#[test]
fn a_file_made_of_warnings_gives_no_more_than_a_person_reads() {
    let text = "FROM scratch\n".to_owned() + &"MAINTAINER m\n".repeat(5000);
    assert_eq!(warnings(&text, USUAL).len(), 1000);
}

#[test]
fn files_that_are_hostile_to_the_checks_take_seconds_at_most() {
    let started = std::time::Instant::now();
    let names = |count: usize| (0..count).map(|number| format!("v{number:05}")).collect::<Vec<String>>();
    let declared = names(4500).iter().map(|name| format!("ENV {name}=1\n")).collect::<Vec<_>>().concat();
    let used = names(4500).iter().map(|name| format!("USER $x{name}\n")).collect::<Vec<_>>().concat();
    let chain = (1..1000)
        .map(|number| format!("FROM s{} AS s{number}\nUSER $v\n", number - 1))
        .collect::<Vec<_>>()
        .concat();
    let wide = "USER ".to_owned() + &names(20_000).join("$");
    for text in [
        format!("FROM scratch\n{declared}{used}"),
        format!("FROM scratch AS s0\n{chain}"),
        format!("FROM scratch\n{wide}\n"),
    ] {
        let _ = warnings(&text, USUAL);
    }
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

proptest! {
    #[test]
    fn no_file_and_no_other_text_panics(lines in prop::collection::vec(prop::sample::select(vec![
        "FROM scratch AS A", "from $x as b", "FROM --platform=$TARGETPLATFORM a:${v", "ARG a=$b c", "# c", "#",
        "", "ENV k v", "ENV t_token=$a \\", "COPY $é /", "CMD x", "cmd [\"a\"]", "EXPOSE 1:2/TCP é", "WORKDIR a$b",
        "ONBUILD ENV q=$r", "COPY <<E /x", "$z", "E", "MAINTAINER é", "LABEL a='b c' \\", "SHELL [\"a\"]", "한",
    ]), 0..14), all_stages in prop::bool::ANY, other in "(?s).{0,60}") {
        let text = lines.join("\n");
        let Ok(file) = Dockerfile::parse("Dockerfile", &text) else { return Ok(()) };
        let check = Check { all_stages, options: Some("experimental=all"), ignore: Some("*"), ..USUAL };
        for warning in lint_file(&file, &text, check) {
            let Span { start, end, line, last_line } = warning.span;
            prop_assert!(start <= end && text.get(start..end).is_some(), "{:?}", warning);
            prop_assert_eq!(line, 1 + text[..start].matches('\n').count());
            prop_assert!(line <= last_line);
        }
        let _ = lint_file(&file, &other, check);
    }
}
