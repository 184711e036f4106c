use std::collections::{BTreeMap, BTreeSet};

use polyarch_actors::Platform;

use super::parse;
use crate::dockerfile::{
    Base, DockerfileError, ErrorKind, ExpandError, Plan, PlanOptions, plan, stage_number,
};

/// What a test asks for, as text.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) target: Option<&'a str>,
    pub(super) platform: &'a str,
    pub(super) args: &'a [(&'a str, &'a str)],
    pub(super) contexts: &'a [&'a str],
}

pub(super) const ARM: Ask<'static> = Ask { target: None, platform: "linux/arm64", args: &[], contexts: &[] };

pub(super) fn try_plan(text: &str, ask: Ask<'_>) -> Result<Plan, DockerfileError> {
    let build_args: BTreeMap<String, String> =
        ask.args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let contexts: BTreeSet<String> = ask.contexts.iter().map(|name| (*name).to_owned()).collect();
    let options = PlanOptions {
        target: ask.target,
        platform: &platform(ask.platform),
        build_platform: &platform("linux/amd64"),
        build_args: &build_args,
        contexts: &contexts,
    };
    plan(&parse(text), &options)
}

fn plan_of(text: &str, ask: Ask<'_>) -> Plan {
    try_plan(text, ask).unwrap_or_else(|error| panic!("{error}\n{}", error.snippet(text)))
}

fn platform(text: &str) -> Platform {
    text.parse().expect("a platform")
}

fn image(reference: &str) -> Base {
    Base::Image { reference: reference.to_owned() }
}

fn context(name: &str) -> Base {
    Base::Context { name: name.to_owned() }
}

fn numbers(plan: &Plan) -> Vec<usize> {
    plan.stages.iter().map(|stage| stage.number).collect()
}

fn bases(plan: &Plan) -> Vec<Base> {
    plan.stages.iter().map(|stage| stage.base.clone()).collect()
}

fn images(plan: &Plan) -> Vec<(String, String)> {
    plan.images().iter().map(|image| (image.reference.clone(), image.platform.to_string())).collect()
}

fn ran_on(plan: &Plan) -> Vec<String> {
    plan.platforms_that_run().into_iter().map(ToString::to_string).collect()
}

/// The kind of the mistake, and the text it marks.
fn mistake<'t>(text: &'t str, ask: Ask<'_>) -> (ErrorKind, &'t str) {
    let error = try_plan(text, ask).expect_err(text);
    (*error.kind, &text[error.span.start..error.span.end])
}

const CROSS: &str = "\
ARG GO=1.22
FROM --platform=$BUILDPLATFORM golang:$GO AS build
RUN go build
FROM alpine
COPY --from=build /app /app
";

#[test]
fn a_cross_build_runs_on_the_build_platform_only() {
    let plan = plan_of(CROSS, ARM);
    assert_eq!(bases(&plan), [image("golang:1.22"), image("alpine")]);
    let pairs = [("golang:1.22", "linux/amd64"), ("alpine", "linux/arm64")];
    assert_eq!(images(&plan), pairs.map(|(image, platform)| (image.to_owned(), platform.to_owned())));
    assert_eq!(ran_on(&plan), ["linux/amd64"]);
    let run = plan.stages[0].first_run.expect("a RUN");
    assert_eq!((&CROSS[run.start..run.end], run.line), ("RUN go build", 3));
    assert_eq!(plan.stages[1].first_run, None);
}

#[test]
fn only_what_the_target_needs_is_planned() {
    let text = "FROM a AS one\nFROM b AS two\nRUN x\nFROM one AS three\nCOPY --from=two a b\nFROM c\nRUN --mount=from=three,target=/x y\nFROM d AS last\n";
    for (target, expected) in [
        (None, vec![4]),
        (Some(""), vec![4]),
        (Some("one"), vec![0]),
        (Some("THREE"), vec![0, 1, 2]),
        (Some("3"), vec![0, 1, 2, 3]),
        (Some("last"), vec![4]),
    ] {
        let plan = plan_of(text, Ask { target, ..ARM });
        assert_eq!(numbers(&plan), expected, "{target:?}");
        assert_eq!(plan.target, *expected.last().expect("a stage"), "{target:?}");
    }
}

#[test]
fn an_unknown_target_is_answered_with_the_stages() {
    let text = "FROM a AS build\nFROM b\nFROM c AS test\n";
    let (kind, marked) = mistake(text, Ask { target: Some("biuld"), ..ARM });
    let expected = ErrorKind::UnknownStage {
        name: "biuld".to_owned(),
        suggestion: Some("build".to_owned()),
        stages: vec!["build".to_owned(), "1".to_owned(), "test".to_owned()],
    };
    assert_eq!((&kind, marked), (&expected, "FROM a AS build"));
    assert_eq!(
        kind.to_string(),
        "there is no stage `biuld` to build (did you mean build?); the stages are build, 1, test"
    );
    for target in ["3", "-1", "99999999999999999999999"] {
        assert!(matches!(
            mistake(text, Ask { target: Some(target), ..ARM }).0,
            ErrorKind::UnknownStage { .. }
        ));
    }
}

#[test]
fn a_stage_is_found_by_name_and_by_number_whether_it_is_needed_or_not() {
    let dockerfile = parse("FROM a AS build\nFROM b\nFROM c AS test\n");
    let options = PlanOptions {
        target: Some("build"),
        platform: &platform("linux/amd64"),
        build_platform: &platform("linux/amd64"),
        build_args: &BTreeMap::new(),
        contexts: &BTreeSet::new(),
    };
    for (name, number) in [("build", 0), ("BUILD", 0), ("1", 1), ("test", 2), ("2", 2)] {
        assert_eq!(stage_number(&dockerfile, &options, name).ok(), Some(number), "{name}");
    }
    for name in ["", "3", "tset"] {
        let error = stage_number(&dockerfile, &options, name).expect_err(name).to_string();
        assert!(error.contains("the stages are build, 1, test"), "{error}");
    }
}

#[test]
fn global_arguments_follow_each_other_and_build_args_replace_them() {
    let text = "ARG A=1\nARG B=x$A\nARG A=2\nFROM img:$A-$B-${C:-none}\n";
    assert_eq!(bases(&plan_of(text, ARM)), [image("img:2-x1-none")]);
    let args = &[("A", "9"), ("C", "ignored")];
    assert_eq!(bases(&plan_of(text, Ask { args, ..ARM })), [image("img:9-x9-none")]);
    let declared = "ARG A\nARG C\nFROM img:${A-unset}$C\n";
    assert_eq!(bases(&plan_of(declared, ARM)), [image("img:unset")]);
    assert_eq!(bases(&plan_of(declared, Ask { args: &[("A", ""), ("C", "c")], ..ARM })), [image("img:c")]);
}

#[test]
fn stage_arguments_are_not_seen_by_from() {
    let text = "FROM a\nARG X=1\nFROM b:${X:-none}\n";
    assert_eq!(bases(&plan_of(text, ARM)), [image("b:none")]);
}

#[test]
fn the_platforms_are_predefined() {
    let text = "FROM i:$TARGETPLATFORM,$TARGETOS,$TARGETARCH,$TARGETVARIANT,$BUILDPLATFORM,$BUILDOS,$BUILDARCH,$BUILDVARIANT,$TARGETSTAGE AS end\n";
    let arm = Ask { platform: "linux/arm/v6", ..ARM };
    assert_eq!(
        bases(&plan_of(text, arm)),
        [image("i:linux/arm/v6,linux,arm,v6,linux/amd64,linux,amd64,,end")]
    );
    let windows = plan_of(
        "ARG TARGETARCH\nFROM i:$TARGETOSVERSION-$TARGETARCH-$TARGETSTAGE\n",
        Ask { platform: "windows(10.0.20348.1)/amd64", ..ARM },
    );
    assert_eq!(bases(&windows), [image("i:10.0.20348.1-amd64-default")]);
    let given = plan_of(
        "FROM i:$TARGETARCH-$TARGETSTAGE\n",
        Ask { args: &[("TARGETARCH", "x")], target: Some("0"), ..ARM },
    );
    assert_eq!(bases(&given), [image("i:x-0")]);
}

#[test]
fn a_stage_goes_on_with_its_bases_platform() {
    let text = "FROM --platform=linux/s390x a AS one\nFROM --platform=$BUILDPLATFORM one AS two\nRUN x\nFROM --platform=$BUILDPLATFORM scratch\nCOPY --from=two a b\n";
    let plan = plan_of(text, ARM);
    let platforms: Vec<_> = plan.stages.iter().map(|stage| stage.platform.to_string()).collect();
    assert_eq!(platforms, ["linux/s390x", "linux/s390x", "linux/arm64"]);
    assert_eq!(bases(&plan), [image("a"), Base::Stage(0), Base::Scratch]);
    assert_eq!(ran_on(&plan), ["linux/s390x"]);
}

#[test]
fn names_refer_to_stages_before_images_in_any_case() {
    let text = "FROM a AS Base\nFROM BASE AS next\nCOPY --from=bAsE a b\nCOPY --from=1 c d\nFROM base\nCOPY --from=Next x y\n";
    let error = try_plan(text, ARM).expect_err("stage 1 copies from itself");
    assert_eq!(error.span.line, 4);
    let plan = plan_of(&text.replace("--from=1", "--from=0"), ARM);
    assert_eq!(bases(&plan), [image("a"), Base::Stage(0), Base::Stage(0)]);
    // A stage's own name is an image until the stage has begun.
    assert_eq!(bases(&plan_of("FROM alpine AS alpine\n", ARM)), [image("alpine")]);
    assert_eq!(
        bases(&plan_of("FROM later\nFROM x AS later\nFROM z\n", Ask { target: Some("0"), ..ARM })),
        [image("later")]
    );
}

#[test]
fn images_are_copied_and_mounted_for_the_target_platform() {
    let text = "FROM --platform=$BUILDPLATFORM a\nCOPY --from=nginx:1 x y\nCOPY --from=scratch x y\nRUN --mount=type=bind,from=tools,target=/t --mount=type=cache,target=/c --mount=from=0,target=/z make\nCOPY --from=nginx:1 z w\nRUN --mount=from=a,target=/a b\n";
    let plan = plan_of(text, ARM);
    let found = images(&plan);
    let pairs = [
        ("a", "linux/amd64"),
        ("nginx:1", "linux/arm64"),
        ("tools", "linux/arm64"),
        ("0", "linux/arm64"),
        ("a", "linux/arm64"),
    ];
    assert_eq!(found, pairs.map(|(image, platform)| (image.to_owned(), platform.to_owned())));
    let spans: Vec<_> = plan.images().iter().map(|image| &text[image.span.start..image.span.end]).collect();
    assert_eq!(spans[..2], ["a", "--from=nginx:1"]);
}

#[test]
fn contexts_replace_stages_and_images_however_they_are_spelled() {
    let text = "FROM golang AS build\nRUN go\nCOPY --from=tool a b\nFROM docker.io/library/alpine:latest\nCOPY --from=build a b\nCOPY --from=data c d\nRUN --mount=from=alpine:3,target=/x y\n";
    let contexts = &["build", "alpine", "data"];
    let plan = plan_of(text, Ask { contexts, ..ARM });
    assert_eq!(bases(&plan), [context("build"), context("alpine")]);
    assert_eq!(plan.stages[0].first_run, None);
    assert_eq!(images(&plan), [("alpine:3".to_owned(), "linux/arm64".to_owned())]);
    let plan =
        plan_of("FROM scratch\nCOPY --from=context a b\n", Ask { contexts: &["scratch", "context"], ..ARM });
    assert_eq!(bases(&plan), [Base::Scratch]);
    assert_eq!(images(&plan).len(), 1);
    let plan = plan_of("FROM host:5000/a:latest\n", Ask { contexts: &["host:5000/a"], ..ARM });
    assert_eq!(bases(&plan), [context("host:5000/a")]);
}

#[test]
fn a_context_may_replace_a_later_stage() {
    let text = "FROM a\nCOPY --from=later x y\nFROM b AS later\n";
    let ask = Ask { target: Some("0"), ..ARM };
    let (kind, marked) = mistake(text, ask);
    assert_eq!(
        (kind, marked),
        (ErrorKind::ForwardReference { name: "later".to_owned(), defined: 3 }, "--from=later")
    );
    assert_eq!(numbers(&plan_of(text, Ask { contexts: &["later"], ..ask })), [0, 1]);
}

#[test]
fn a_forward_reference_matters_only_where_it_is_built() {
    let text = "FROM a\nRUN --mount=from=later,target=/x y\nFROM b AS later\n";
    assert_eq!(numbers(&plan_of(text, ARM)), [1]);
    let ask = Ask { target: Some("0"), ..ARM };
    assert!(matches!(mistake(text, ask).0, ErrorKind::ForwardReference { .. }));
}

#[test]
fn stages_that_need_themselves_are_refused_even_where_they_are_not_built() {
    for (text, marked) in [
        ("FROM a AS x\nCOPY --from=x b c\nFROM d\n", "--from=x"),
        ("FROM a\nCOPY --from=0 b c\nFROM d\n", "--from=0"),
        ("FROM a AS x\nRUN --mount=from=X,target=/y z\nFROM d\n", "--mount=from=X,target=/y"),
        ("FROM a AS x\nCOPY --from=y b c\nFROM a AS y\nCOPY --from=x b c\nFROM d\n", "--from=x"),
    ] {
        let (kind, found) = mistake(text, ARM);
        assert!(matches!(kind, ErrorKind::CircularReference { .. }), "{text}");
        assert_eq!(found, marked, "{text}");
    }
}

#[test]
fn a_stage_number_must_exist() {
    for number in ["2", "-1", "99999999999999999999"] {
        let text = format!("FROM a\nFROM b\nCOPY --from={number} x y\n");
        let kind = ErrorKind::UnknownStageNumber { number: number.to_owned(), last: 1 };
        assert_eq!(mistake(&text, ARM), (kind, format!("--from={number}").as_str()));
    }
}

#[test]
fn triggers_happen_in_the_stage_that_begins_from_theirs() {
    let text = "FROM t AS tools\nFROM a AS base\nONBUILD COPY --from=tools x y\nONBUILD RUN make\nFROM base AS child\nFROM child\n";
    let base = plan_of(text, Ask { target: Some("base"), ..ARM });
    assert_eq!((numbers(&base), ran_on(&base)), (vec![1], vec![]));
    let child = plan_of(text, Ask { target: Some("child"), ..ARM });
    assert_eq!(numbers(&child), [0, 1, 2]);
    let run = child.stages[2].first_run.expect("the trigger runs");
    assert_eq!(&text[run.start..run.end], "RUN make");
    let grandchild = plan_of(text, ARM);
    assert_eq!(grandchild.stages[3].first_run, None);
}

#[test]
fn wrong_platforms_and_bases_are_explained() {
    for (text, marked, message) in [
        (
            "FROM --platform=$BULIDPLATFORM a\n",
            "--platform=$BULIDPLATFORM",
            "the platform `$BULIDPLATFORM` is empty: the variable BULIDPLATFORM has no value; did you mean BUILDPLATFORM?",
        ),
        (
            "FROM a:1\nFROM $NOTHING\n",
            "$NOTHING",
            "the base `$NOTHING` is empty: the variable NOTHING has no value; declare it with ARG before the first FROM",
        ),
        ("FROM \"\"\n", "\"\"", "the base `\"\"` is empty; give it a value"),
        (
            "FROM --platform=plan9/amd64 a\nFROM b\n",
            "--platform=plan9/amd64",
            "--platform=plan9/amd64: unknown OS: plan9 (expected linux or windows)",
        ),
        (
            "FROM a:${V:?choose-a-version}\n",
            "a:${V:?choose-a-version}",
            "the variable V must have a value: choose-a-version",
        ),
        ("ARG A='x\nFROM a\n", "A='x", "a ' is never closed; add the second one or escape it"),
    ] {
        let (kind, found) = mistake(text, ARM);
        assert_eq!((found, kind.to_string().as_str()), (marked, message), "{text}");
    }
}

#[test]
fn a_required_argument_can_be_given() {
    let text = "ARG V\nFROM a:${V:?}\n";
    let (kind, _) = mistake(text, ARM);
    assert!(matches!(kind, ErrorKind::Expand(ExpandError::Required { .. })));
    assert_eq!(bases(&plan_of(text, Ask { args: &[("V", "1")], ..ARM })), [image("a:1")]);
}

#[test]
fn undeclared_build_arguments_are_told_from_those_that_need_no_declaration() {
    let text = "ARG A\nFROM a\nARG B=1 C\nONBUILD ARG D\nFROM b\nARG E\n";
    let plan = plan_of(text, ARM);
    assert_eq!(
        plan.declared_args().iter().map(String::as_str).collect::<Vec<_>>(),
        ["A", "B", "C", "D", "E"]
    );
    let names = [
        "A",
        "E",
        "F",
        "HTTP_PROXY",
        "no_proxy",
        "TARGETARCH",
        "BUILDOS",
        "TARGETS",
        "BUILDKIT_INLINE_CACHE",
        "SOURCE_DATE_EPOCH",
    ];
    assert_eq!(plan.undeclared_args(names), ["F", "TARGETS"]);
}

#[test]
fn heredocs_are_found_in_every_stage() {
    let text = "FROM a\nRUN <<A cat\nA\nONBUILD COPY <<B /x\nB\nFROM b\nADD <<C <<D /x\nC\nD\n";
    let plan = plan_of(text, ARM);
    let found: Vec<_> = plan.heredocs.iter().map(|span| (&text[span.start..span.end], span.line)).collect();
    assert_eq!(found, [("<<A", 2), ("<<B", 4), ("<<C", 7), ("<<D", 7)]);
    assert!(plan_of(CROSS, ARM).heredocs.is_empty());
}

#[test]
fn many_stages_need_neither_stack_nor_patience() {
    let stage = |number: usize| format!("FROM s{number} AS s{}\nCOPY --from=s{number} a b\n", number + 1);
    let text = "FROM scratch AS s0\n".to_owned() + &(0..999).map(stage).collect::<String>();
    assert_eq!(plan_of(&text, ARM).stages.len(), 1000);
}

#[test]
fn a_mistake_in_a_variable_is_found_before_anything_runs() {
    for line in ["ENV A=${", "LABEL a=\"x", "COPY a${Y /b", "WORKDIR ${A!}", "USER ${}", "EXPOSE ${P"] {
        let text = format!("FROM scratch AS used\n{line}\nFROM scratch\nCOPY --from=used / /\n");
        let error = try_plan(&text, ARM).expect_err(line);
        assert_eq!(error.span.line, 2, "{line}");
        assert!(matches!(*error.kind, ErrorKind::Expand(_)), "{error}");
    }
}

#[test]
fn a_variable_without_a_value_is_no_mistake_in_the_file() {
    plan_of("FROM scratch\nENV A=${UNKNOWN:?unset} B=$C\nCOPY ${D:-a} ${E}/\n", ARM);
}
