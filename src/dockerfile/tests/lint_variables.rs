//! The build checks of variables: in FROM, and in the stages.

use super::lint::{Check, assert_clean, assert_noted, noted};

fn usual() -> Check<'static> {
    Check::default()
}

#[test]
fn from_uses_what_is_declared_before_it() {
    for text in [
        "ARG base=scratch\nFROM $base\n",
        "ARG BUILDPLATFORM=linux/amd64\nFROM --platform=$BUILDPLATFORM scratch\n",
        "FROM --platform=$BUILDPLATFORM scratch\n",
        "ARG DEBUG\nFROM scratch${DEBUG}\n",
        "ARG DEBUG\nFROM scra${DEBUG:-tch}\n",
        "ARG DEBUG=\"\"\nFROM scratch${DEBUG-@bogus}\n",
    ] {
        assert_clean(text, usual());
    }
    // The plan refuses such a file as well; the check says what is meant.
    assert_noted(
        "FROM --platform=$BULIDPLATFORM scratch\n",
        usual(),
        &[
            "UndefinedArgInFrom 1 [$BULIDPLATFORM] FROM argument 'BULIDPLATFORM' is not declared (did you mean \
           BUILDPLATFORM?)",
        ],
    );
    assert_noted(
        "ARG MY_ARCH=amd64\nFROM --platform=linux/${MYARCH} busybox\n",
        usual(),
        &["UndefinedArgInFrom 2 [${MYARCH}] FROM argument 'MYARCH' is not declared (did you mean MY_ARCH?)"],
    );
    assert_noted(
        "ARG tag=latest\nFROM busybox:${tag}${version} AS b\n",
        usual(),
        &["UndefinedArgInFrom 2 [${version}] FROM argument 'version' is not declared"],
    );
}

#[test]
fn from_names_an_image_without_build_arguments_too() {
    let message = |base: &str| {
        format!(
            "InvalidDefaultArgInFrom 2 [{base}] Default value for ARG {base} results in empty or invalid base image \
             name"
        )
    };
    for (head, base, given) in [
        ("ARG VERSION", "busybox:$VERSION", ("VERSION", "latest")),
        ("ARG IMAGE", "$IMAGE", ("IMAGE", "busybox:latest")),
        ("ARG SFX=\"box:\"", "busy${SFX}", ("SFX", "box:latest")),
    ] {
        let text = format!("{head}\nFROM {base}\n");
        assert_noted(&text, Check { args: &[given], ..usual() }, &[&message(base)]);
    }
    for (head, base, given) in [
        ("ARG VERSION=\"latest\"", "busybox:${VERSION}", ("VERSION", "latest")),
        ("ARG VARIANT=\"\"", "busybox:stable${VARIANT}", ("VARIANT", "-musl")),
        ("ARG VARIANT", "busybox:stable${VARIANT}", ("VARIANT", "-musl")),
    ] {
        assert_clean(&format!("{head}\nFROM {base}\n"), Check { args: &[given], ..usual() });
    }
}

#[test]
fn a_variable_is_set_before_it_is_used() {
    for text in [
        "FROM scratch\nARG foo\nCOPY Dockerfile${foo} .\n",
        "FROM alpine AS base\nARG foo=Dockerfile\nFROM base\nCOPY $foo .\n",
        "FROM alpine\nRUN echo $WHATEVER\nCMD [\"$x\"]\n",
        "FROM scratch\nENV PATH=$PATH:/x\n",
        "FROM scratch\nENV a=1\nUSER $a\nCOPY <<'E' /x\n$quoted\nE\n",
        "FROM scratch AS base\nONBUILD ENV later=1\nFROM base\nUSER $later\n",
        "FROM scratch\nEXPOSE $port\nHEALTHCHECK CMD $x\n",
        "FROM scratch\nARG one=1 two=$one\n",
    ] {
        assert_clean(text, usual());
    }
    assert_noted(
        "FROM alpine\nCOPY $foo .\nARG foo=bar\nRUN echo $foo\n",
        usual(),
        &["UndefinedVar 2 [$foo] Usage of undefined variable '$foo'"],
    );
    assert_noted(
        "FROM alpine\nARG DIR_BINARIES=b/\nARG DIR_ASSETS=a/\nARG DIR_CONFIG=c/\nCOPY $DIR_ASSET .\n",
        usual(),
        &["UndefinedVar 5 [$DIR_ASSET] Usage of undefined variable '$DIR_ASSET' (did you mean $DIR_ASSETS?)"],
    );
    assert_noted(
        "FROM alpine\nENV PATH=$PAHT:/tmp/bin\n",
        usual(),
        &["UndefinedVar 2 [$PAHT] Usage of undefined variable '$PAHT' (did you mean $PATH?)"],
    );
    assert_noted(
        "FROM scratch\nCOPY <<E /x\none ${two} $two\nE\n",
        usual(),
        &["UndefinedVar 2 [COPY <<E /x\none ${two} $two\nE] Usage of undefined variable '$two'"],
    );
}

#[test]
fn without_a_target_a_check_looks_at_every_stage_and_a_build_does_not() {
    let text = "FROM scratch AS first\nCOPY $foo .\nFROM scratch AS second\nCOPY $bar .\n";
    let bar = "UndefinedVar 4 [$bar] Usage of undefined variable '$bar'";
    assert_noted(text, usual(), &[bar]);
    let foo = "UndefinedVar 2 [$foo] Usage of undefined variable '$foo'";
    assert_noted(text, Check { all_stages: true, ..usual() }, &[foo, bar]);
}

#[test]
fn what_a_base_image_may_set_is_not_told_of() {
    for text in [
        "FROM golang\nWORKDIR $GOPATH/src\n",
        "FROM x\nENV LD_LIBRARY_PATH=/x:$LD_LIBRARY_PATH\nENV LIBRARY_PATH=$LIBRARY_PATH\n",
        "FROM x\nENV CLASSPATH=$CPATH\n",
        "FROM python AS base\nFROM base\nARG VERSION=$PYTHON_VERSION\n",
    ] {
        assert_clean(text, usual());
    }
    // Nothing sets these but an ARG of the stage.
    assert_noted(
        "ARG VERSION=1\nFROM alpine\nCOPY app-$TARGETARCH-$VERSION /app\n",
        usual(),
        &[
            "UndefinedVar 3 [$TARGETARCH] Usage of undefined variable '$TARGETARCH'",
            "UndefinedVar 3 [$VERSION] Usage of undefined variable '$VERSION'",
        ],
    );
}

#[test]
fn a_default_that_a_build_argument_replaces_is_not_looked_at() {
    let text = "FROM scratch\nARG a=$b\n";
    assert_eq!(noted(text, usual()).len(), 1);
    assert_clean(text, Check { args: &[("a", "1")], ..usual() });
}
