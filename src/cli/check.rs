//! `polyarch build --check`: what the build checks find, with the lines it is about.

use std::{fmt::Write as _, path::PathBuf, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    images,
    report::{Failure, exit},
    run::print,
    text,
};
use crate::{
    CheckReport, Error,
    dockerfile::{Span, lint::Warning},
    spec::BuildSpec,
};

/// `--call`: what to do with the Dockerfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Build,
    Check(CheckCall),
}

/// How a check is shown and how it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CheckCall {
    json: bool,
    ignores_status: bool,
}

impl Call {
    /// How to check, where that is asked for here or by `--check`.
    pub(super) fn check(self, flag: bool) -> Option<CheckCall> {
        match self {
            Self::Check(call) => Some(call),
            Self::Build => flag.then(CheckCall::default),
        }
    }
}

impl FromStr for Call {
    type Err = String;

    /// Reads `method[,format=json][,ignorestatus=true]`, as buildx has it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (method, fields) = text.split_once(',').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let mut call = CheckCall::default();
        for field in fields.into_iter().flat_map(|fields| fields.split(',')) {
            match field {
                "format=json" => call.json = true,
                "format=text" => call.json = false,
                "ignorestatus=true" => call.ignores_status = true,
                "ignorestatus=false" => call.ignores_status = false,
                _ => return Err(format!("{field:?} is neither format=json nor ignorestatus=true")),
            }
        }
        match method {
            "build" if fields.is_none() => Ok(Self::Build),
            "build" => Err("build has no fields".into()),
            "check" | "lint" => Ok(Self::Check(call)),
            _ => Err(format!("{method:?} is not supported (use build or check)")),
        }
    }
}

/// Prints what the checks find. Like buildx, it ends badly where there is a warning.
pub(super) async fn run(store: Option<PathBuf>, spec: &BuildSpec, call: CheckCall) -> Result<(), Failure> {
    let images = images::open(store, None)?;
    let report = crate::check(spec, images.store()).await?;
    if call.json {
        print(&format!("{:#}\n", as_json(&report)))?;
    } else {
        print(&as_text(&report))?;
    }
    if call.ignores_status {
        return Ok(());
    }
    if let Some(error) = report.mistake {
        return Err(Error::Dockerfile { snippet: error.snippet(&report.text), error }.into());
    }
    match report.warnings.len() {
        0 => Ok(()),
        1 => Err(Failure::new(exit::WARNINGS, "the build checks found a warning")),
        count => Err(Failure::new(exit::WARNINGS, format!("the build checks found {count} warnings"))),
    }
}

fn as_text(report: &CheckReport) -> String {
    let mut shown = match report.warnings.len() {
        0 if report.mistake.is_some() => String::new(),
        0 => "Check complete, no warnings found.\n".into(),
        1 => "Check complete, 1 warning has been found!\n".into(),
        count => format!("Check complete, {count} warnings have been found!\n"),
    };
    for Warning { span, rule, message } in &report.warnings {
        let lines = text::lines(&crate::dockerfile::snippet(&report.file, &report.text, *span));
        // A text can be written to without fail.
        let _ =
            write!(shown, "\nWARNING: {} - {}\n{}\n{lines}", rule.name(), rule.url(), text::line(message));
    }
    shown
}

/// Source: BuildKit, `frontend/subrequests/lint`, `LintResults`.
fn as_json(report: &CheckReport) -> Value {
    let location = |span: Span| {
        let place = |at: usize, line: usize| {
            let before = report.text.get(..at).unwrap_or_default();
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
            json!({ "line": line, "character": column })
        };
        json!({ "ranges": [{ "start": place(span.start, span.line), "end": place(span.end, span.last_line) }] })
    };
    let warnings = report.warnings.iter().map(|warning| {
        json!({
            "ruleName": warning.rule.name(),
            "description": warning.rule.description(),
            "url": warning.rule.url(),
            "detail": warning.message,
            "location": location(warning.span),
        })
    });
    let mut results = json!({
        "warnings": warnings.collect::<Vec<Value>>(),
        "sources": [{
            "filename": report.file,
            "language": "Dockerfile",
            "data": STANDARD.encode(&report.text),
        }],
    });
    if let Some(mistake) = &report.mistake {
        results["buildError"] =
            json!({ "message": mistake.kind.to_string(), "location": location(mistake.span) });
    }
    results
}
