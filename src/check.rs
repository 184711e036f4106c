//! Build checks: what a spec's Dockerfile could do better, known without building it.

use std::collections::BTreeSet;

use polyarch_actors::DockerfileSource;

use crate::{
    context::{Ignore, read_ignore},
    dockerfile::{
        DockerfileError, ErrorKind, Span,
        lint::{CheckOptions, LintOptions, Rule, Warning, lint},
        plan,
    },
    error::{Error, SpecError},
    gather::{Part, gather},
    oci::Store,
    prepare::{Parsed, check_files},
    registry::TransferCx,
    spec::BuildSpec,
};

/// The build argument that stands in for `# check=`.
///
/// Source: BuildKit, `dockerui/config.go`.
const CHECK_ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// What the build checks found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The name of the Dockerfile.
    pub file: String,
    /// Its text.
    pub text: String,
    /// What it could do better, in the order of the file.
    pub warnings: Vec<Warning>,
    /// What keeps it from being built.
    pub mistake: Option<DockerfileError>,
}

/// Checks the Dockerfiles of a spec, each once and every stage of it unless a target is named, in the order in which
/// the platforms need them. Nothing is built; what the spec has elsewhere is fetched into the store.
///
/// # Errors
/// [`Error::Spec`], [`Error::Gather`] and [`Error::Dockerfile`] when there is no Dockerfile, or none that can be
/// read.
pub async fn check(spec: &BuildSpec, store: &Store) -> Result<Vec<CheckReport>, Error> {
    check_files(spec)?;
    let _lease = store.lease()?;
    let gathered = gather(spec, store, None, &TransferCx::unwatched(), &|_| {}).await?;
    let report = |parsed: &Parsed<'_>| {
        let warnings = found(parsed, true)?.warnings;
        let mut plans = parsed.parts.iter().map(|part| plan(&parsed.dockerfile, &parsed.options(part)));
        let mistake = plans.find_map(Result::err);
        let DockerfileSource { name, text, .. } = parsed.source.clone();
        Ok(CheckReport { file: name, text, warnings, mistake })
    };
    Parsed::all(&gathered)?.iter().map(report).collect()
}

/// What the checks found in one file.
pub(crate) struct Found {
    /// Each once, whatever the platforms are.
    pub(crate) warnings: Vec<Warning>,
    /// Whether a warning is an error.
    pub(crate) is_error: bool,
}

/// What the checks find in a file: in what is built of it, or in every stage where no target is named.
pub(crate) fn found(parsed: &Parsed<'_>, looks_everywhere: bool) -> Result<Found, Error> {
    let mut warnings = BTreeSet::new();
    let mut is_error = false;
    for part in &parsed.parts {
        let checks = check_options(part, parsed)?;
        let ignore = checks.applies(Rule::CopyIgnoredFile).then(|| ignore_file(parsed)).flatten();
        let all_stages = looks_everywhere && part.spec.target.as_deref().is_none_or(str::is_empty);
        let plan = parsed.options(part);
        let options = LintOptions { plan, all_stages, checks: &checks, ignore: ignore.as_ref() };
        warnings.extend(lint(&parsed.dockerfile, &parsed.source.text, &options));
        is_error |= checks.error;
    }
    Ok(Found { warnings: warnings.into_iter().collect(), is_error })
}

/// Which rules apply: the build argument's word goes before the file's.
fn check_options(part: &Part, parsed: &Parsed<'_>) -> Result<CheckOptions, Error> {
    if let Some(given) = part.spec.build_args.get(CHECK_ARGUMENT) {
        return given
            .parse()
            .map_err(|source| SpecError::CheckOption { name: CHECK_ARGUMENT, source }.into());
    }
    let Some(written) = &parsed.dockerfile.directives.check else { return Ok(CheckOptions::default()) };
    written.parse().map_err(|error| {
        let text = &parsed.source.text;
        let start = text.find(written).unwrap_or_default();
        let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
        let span = Span { start, end: start + written.len(), line, last_line: line };
        let kind = Box::new(ErrorKind::Check(error));
        parsed.mistake(DockerfileError { file: parsed.source.name.clone(), span, kind })
    })
}

/// What the context leaves out. A file that cannot be read is for the build to tell.
fn ignore_file(parsed: &Parsed<'_>) -> Option<Ignore> {
    let text = match &parsed.source.ignore {
        Some(text) => text.clone().into_bytes(),
        None => read_ignore(&parsed.open_context().ok()?).ok()??,
    };
    Ignore::parse(&text).ok()
}
