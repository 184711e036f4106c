//! What targets have for some of their platforms alone.

use polyarch_actors::{BackendId, Platform};

use super::{
    super::{for_platforms, report::Failure},
    BakeArgs,
    spec::{Job, Need, Wrong, contexts, dockerfile, wrong},
};
use crate::{
    ContextInput, Error, NamedInput, PlatformValues, SpecError, bake::Target, pattern::PlatformPattern,
    spec::BuildSpec,
};

/// What the file says of some platforms of a target.
pub(super) fn values(
    name: &str,
    target: &Target,
    context: &ContextInput,
    needs: &mut Vec<Need>,
) -> Result<Vec<PlatformValues>, Wrong> {
    let is_wrong = wrong("platform-overrides");
    let mut all = Vec::new();
    for (text, changes) in &target.platform_overrides {
        let pattern: PlatformPattern = text.parse().map_err(|error| is_wrong(format!("{error}")))?;
        let about = |reason: String| is_wrong(format!("{text}: {reason}"));
        let build_contexts = contexts(&changes.contexts, Some(&pattern), needs).map_err(about)?;
        let written = (changes.dockerfile.as_ref(), changes.dockerfile_inline.as_ref());
        let is_written = written.0.or(written.1).is_some_and(|text| !text.is_empty());
        let name = format!("{name} for {text}");
        let dockerfile =
            is_written.then(|| dockerfile(&name, written, context)).transpose().map_err(about)?;
        all.push(PlatformValues {
            pattern,
            dockerfile,
            target: changes.target.clone(),
            build_args: changes.args.clone(),
            build_contexts,
            backend: changes.backend.as_deref().filter(|name| !name.is_empty()).map(BackendId::new),
        });
    }
    Ok(all)
}

/// Adds what the command line says of some platforms to every target that has them, leaves out what is about others,
/// and makes sure that nothing contradicts itself.
pub(super) fn add(jobs: &mut [Job], args: &BakeArgs) -> Result<(), Failure> {
    let (backend, of_some) = for_platforms::backends(&args.backends)?;
    let all: Vec<Platform> = distinct(jobs.iter().flat_map(|job| platforms(&job.spec)));
    let patterns = args.optional.iter().chain(of_some.iter().map(|values| &values.pattern));
    for pattern in patterns {
        if !all.iter().any(|platform| pattern.matches(platform)) {
            let (pattern, platforms) = (pattern.clone(), all);
            return Err(Error::from(SpecError::UnusedPattern { pattern, platforms }).into());
        }
    }
    for job in jobs {
        let platforms = platforms(&job.spec);
        let is_here = |pattern: &PlatformPattern| platforms.iter().any(|platform| pattern.matches(platform));
        job.spec.backend.clone_from(&backend);
        job.spec.optional = args.optional.iter().filter(|pattern| is_here(pattern)).cloned().collect();
        // The command line's word goes before the file's.
        if backend.is_some() || !of_some.is_empty() {
            job.spec.for_platforms.iter_mut().for_each(|values| values.backend = None);
        }
        job.spec.for_platforms.extend(of_some.iter().cloned());
        job.spec.for_platforms.retain(|values| is_here(&values.pattern));
        job.needs.retain(|need| need.pattern.as_ref().is_none_or(is_here));
        check(job)?;
    }
    Ok(())
}

/// Makes sure that there is one value of each kind for each platform, those included that are not built yet.
fn check(job: &Job) -> Result<(), Failure> {
    if job.spec.for_platforms.is_empty() && job.needs.iter().all(|need| need.pattern.is_none()) {
        return Ok(());
    }
    let mut trial = job.spec.clone();
    for need in &job.needs {
        need.fill(&mut trial, NamedInput::Image(need.target.clone()));
    }
    trial.each().map(drop).map_err(|error| job.places.failure(error.into()))
}

impl Need {
    /// Gives a build the context.
    pub(super) fn fill(&self, spec: &mut BuildSpec, input: NamedInput) {
        let context = [(self.context.clone(), input)];
        match &self.pattern {
            None => spec.build_contexts.extend(context),
            Some(pattern) => {
                let build_contexts = context.into();
                let values = PlatformValues { build_contexts, ..PlatformValues::new(pattern.clone()) };
                spec.for_platforms.push(values);
            }
        }
    }
}

fn platforms(spec: &BuildSpec) -> Vec<Platform> {
    if spec.platforms.is_empty() { vec![Platform::host_linux()] } else { spec.platforms.clone() }
}

fn distinct(all: impl Iterator<Item = Platform>) -> Vec<Platform> {
    let mut kept = Vec::new();
    for platform in all {
        if !kept.contains(&platform) {
            kept.push(platform);
        }
    }
    kept
}
