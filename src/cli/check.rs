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
    let mut reports = crate::check(spec, images.store()).await?;
    if call.json {
        print(&format!("{:#}\n", as_json(&reports)))?;
    } else {
        print(&as_text(&reports))?;
    }
    if call.ignores_status {
        return Ok(());
    }
    for CheckReport { text, mistake, .. } in &mut reports {
        if let Some(error) = mistake.take() {
            return Err(Error::Dockerfile { snippet: error.snippet(text), error }.into());
        }
    }
    match count(&reports) {
        0 => Ok(()),
        1 => Err(Failure::new(exit::WARNINGS, "the build checks found a warning")),
        count => Err(Failure::new(exit::WARNINGS, format!("the build checks found {count} warnings"))),
    }
}

fn count(reports: &[CheckReport]) -> usize {
    reports.iter().map(|report| report.warnings.len()).sum()
}

fn as_text(reports: &[CheckReport]) -> String {
    let mut shown = match count(reports) {
        0 if reports.iter().any(|report| report.mistake.is_some()) => String::new(),
        0 => "Check complete, no warnings found.\n".into(),
        1 => "Check complete, 1 warning has been found!\n".into(),
        count => format!("Check complete, {count} warnings have been found!\n"),
    };
    for report in reports {
        for Warning { span, rule, message } in &report.warnings {
            let lines = text::lines(&crate::dockerfile::snippet(&report.file, &report.text, *span));
            let (name, url, message) = (rule.name(), rule.url(), text::line(message));
            // A text can be written to without fail.
            let _ = write!(shown, "\nWARNING: {name} - {url}\n{message}\n{lines}");
        }
    }
    shown
}

/// Source: BuildKit, `frontend/subrequests/lint`, `LintResults`.
fn as_json(reports: &[CheckReport]) -> Value {
    let mut results = json!({ "warnings": [], "sources": [] });
    for (number, report) in reports.iter().enumerate() {
        let warnings = report.warnings.iter().map(|warning| {
            json!({
                "ruleName": warning.rule.name(),
                "description": warning.rule.description(),
                "url": warning.rule.url(),
                "detail": warning.message,
                "location": location(number, report, warning.span),
            })
        });
        let source = json!({
            "filename": report.file,
            "language": "Dockerfile",
            "data": STANDARD.encode(&report.text),
        });
        if let Value::Array(all) = &mut results["warnings"] {
            all.extend(warnings);
        }
        if let Value::Array(all) = &mut results["sources"] {
            all.push(source);
        }
        if let Some(mistake) = report.mistake.as_ref().filter(|_| results.get("buildError").is_none()) {
            let location = location(number, report, mistake.span);
            results["buildError"] = json!({ "message": mistake.kind.to_string(), "location": location });
        }
    }
    results
}

/// Where in which source something is; the first one goes without saying.
fn location(source: usize, report: &CheckReport, span: Span) -> Value {
    let place = |at: usize, line: usize| {
        let before = report.text.get(..at).unwrap_or_default();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        json!({ "line": line, "character": column })
    };
    let range = json!({ "start": place(span.start, span.line), "end": place(span.end, span.last_line) });
    if source == 0 {
        json!({ "ranges": [range] })
    } else {
        json!({ "sourceIndex": source, "ranges": [range] })
    }
}
