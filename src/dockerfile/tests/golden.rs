//! Whole files and what is planned for them, side by side in `testdata`.

use std::fmt::Write;

use super::plan::{ARM, Ask, try_plan};
use crate::dockerfile::Plan;

/// A plan as a reader would note it down.
fn describe(plan: &Plan) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for stage in &plan.stages {
        let name = stage.name.as_deref().unwrap_or("-");
        let run = stage.first_run.map_or("none".to_owned(), |span| format!("line {}", span.line));
        writeln!(
            text,
            "stage {} {name} on {} from {:?}, first RUN: {run}",
            stage.number, stage.platform, stage.base
        )?;
    }
    for image in plan.images() {
        writeln!(text, "image {} for {}, line {}", image.reference, image.platform, image.span.line)?;
    }
    for platform in plan.platforms_that_run() {
        writeln!(text, "runs on {platform}")?;
    }
    for heredoc in &plan.heredocs {
        writeln!(text, "heredoc at line {}", heredoc.line)?;
    }
    writeln!(text, "target {}", plan.target)?;
    Ok(text)
}

fn assert_golden(dockerfile: &str, expected: &str, ask: Ask<'_>) {
    let plan =
        try_plan(dockerfile, ask).unwrap_or_else(|error| panic!("{error}\n{}", error.snippet(dockerfile)));
    assert_eq!(describe(&plan).expect("a text can be written to"), expected);
}

#[test]
fn a_go_program_is_cross_compiled_for_arm() {
    let ask = Ask { platform: "linux/arm/v7", args: &[("XX_VERSION", "1.5.0")], ..ARM };
    assert_golden(include_str!("../testdata/cross/Dockerfile"), include_str!("../testdata/cross/plan"), ask);
}

#[test]
fn a_windows_image_is_assembled_without_running_windows() {
    let ask = Ask { platform: "windows/amd64", ..ARM };
    assert_golden(
        include_str!("../testdata/windows/Dockerfile"),
        include_str!("../testdata/windows/plan"),
        ask,
    );
}

#[test]
fn scripts_and_files_live_in_the_dockerfile() {
    let ask = Ask { target: Some("App"), contexts: &["certs"], ..ARM };
    assert_golden(
        include_str!("../testdata/heredocs/Dockerfile"),
        include_str!("../testdata/heredocs/plan"),
        ask,
    );
}
