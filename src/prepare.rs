//! From a spec to one request a platform: everything that can be known to be wrong before anything runs.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::Path,
};

use polyarch_actors::{
    BaseImage, BuildId, BuildRequest, ContextSource, DockerfileSource, Platform, SecretSource,
};

use crate::{
    cache::{CacheExport, CachePlace},
    check::{check_options, warnings},
    dockerfile::{Dockerfile, DockerfileError, ErrorKind, Plan, PlanOptions, lint::Rule, plan, stage_number},
    error::{Error, SpecError},
    gather::Gathered,
    oci::check_layout,
    output::{Loader, Output, Push},
    pattern::PlatformPattern,
    sources::NamedInput,
    spec::BuildSpec,
};

/// A spec's Dockerfile, understood.
#[derive(Debug)]
pub(crate) struct Parsed<'g> {
    /// Where it is from.
    pub(crate) gathered: &'g Gathered,
    /// What it says.
    pub(crate) dockerfile: Dockerfile,
    /// What to build for, in the requested order; there is at least one.
    pub(crate) platforms: Vec<Platform>,
    host: Platform,
    contexts: BTreeSet<String>,
}

impl<'g> Parsed<'g> {
    pub(crate) fn read(spec: &BuildSpec, gathered: &'g Gathered) -> Result<Self, Error> {
        let source = &gathered.dockerfile;
        let host = Platform::host_linux();
        let platforms = if spec.platforms.is_empty() { vec![host.clone()] } else { spec.platforms.clone() };
        let mut seen = HashSet::new();
        if let Some(platform) = platforms.iter().find(|platform| !seen.insert(*platform)) {
            return Err(SpecError::DuplicatePlatform { platform: platform.clone() }.into());
        }
        check_annotations(spec, &platforms)?;
        let is_used = |pattern: &&PlatformPattern| platforms.iter().any(|platform| pattern.matches(platform));
        if let Some(pattern) = spec.optional.iter().find(|pattern| !is_used(pattern)) {
            return Err(SpecError::UnusedPattern { pattern: pattern.clone(), platforms }.into());
        }
        let dockerfile = Dockerfile::parse(&source.name, &source.text)
            .map_err(|error| Error::Dockerfile { snippet: error.snippet(&source.text), error })?;
        let contexts = spec.build_contexts.keys().cloned().collect();
        Ok(Self { gathered, dockerfile, platforms, host, contexts })
    }

    /// The file as it is.
    pub(crate) fn source(&self) -> &'g DockerfileSource {
        &self.gathered.dockerfile
    }

    /// What is asked of the file for one platform.
    pub(crate) fn options<'o>(&'o self, spec: &'o BuildSpec, platform: &'o Platform) -> PlanOptions<'o> {
        PlanOptions {
            target: spec.target.as_deref(),
            platform,
            build_platform: &self.host,
            build_args: &spec.build_args,
            contexts: &self.contexts,
        }
    }

    /// A mistake in the file, with its lines.
    pub(crate) fn mistake(&self, error: DockerfileError) -> Error {
        Error::Dockerfile { snippet: error.snippet(&self.source().text), error }
    }
}

/// A spec that has been looked through.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The Dockerfile, for errors that a step gives later.
    pub(crate) dockerfile: Dockerfile,
    /// Its text.
    pub(crate) text: String,
    /// One request a platform, in the requested order.
    pub(crate) requests: Vec<BuildRequest>,
    /// What was planned for each of them.
    pub(crate) plans: Vec<Plan>,
    /// What a person should know, one sentence each.
    pub(crate) warnings: Vec<String>,
    /// Why nothing may run after all, once the warnings have been told.
    pub(crate) refusal: Option<Error>,
}

/// Plans every platform and checks the file.
pub(crate) fn prepare(spec: &BuildSpec, gathered: &Gathered, build: &BuildId) -> Result<Prepared, Error> {
    let parsed = Parsed::read(spec, gathered)?;
    let checks = check_options(spec, &parsed)?;
    let mut requests = Vec::new();
    let mut plans = Vec::new();
    let mut undeclared = BTreeSet::new();
    for platform in &parsed.platforms {
        let plan = plan(&parsed.dockerfile, &parsed.options(spec, platform))
            .map_err(|error| parsed.mistake(error))?;
        if let Some(span) = plan.first_insecure().filter(|_| !spec.steps.allow_insecure) {
            let (file, kind) = (parsed.source().name.clone(), Box::new(ErrorKind::InsecureNotAllowed));
            return Err(parsed.mistake(DockerfileError { file, span, kind }));
        }
        for name in plan.undeclared_args(spec.build_args.keys().map(String::as_str)) {
            undeclared
                .insert(format!("the build argument {name} is not declared by any ARG of the Dockerfile"));
        }
        let anew = spec.no_cache_stages.iter().map(|name| {
            stage_number(&parsed.dockerfile, &parsed.options(spec, platform), name)
                .map_err(|error| parsed.mistake(error))
        });
        let anew = anew.collect::<Result<_, _>>()?;
        requests.push(BuildRequest { anew, ..request(spec, build, platform, gathered, &plan) });
        plans.push(plan);
    }
    let source = parsed.source();
    let found = warnings(spec, &parsed, &checks, false);
    let refusal = found.first().filter(|_| checks.error).map(|first| {
        let rules: BTreeSet<Rule> = found.iter().map(|warning| warning.rule).collect();
        let snippet = first.snippet(&source.name, &source.text);
        Error::Checks { rules: rules.into_iter().collect(), snippet }
    });
    let lines = found.iter().map(|warning| warning.line(&source.name));
    let warnings = gathered.warnings.iter().cloned().chain(undeclared).chain(lines).collect();
    let text = source.text.clone();
    Ok(Prepared { dockerfile: parsed.dockerfile, text, requests, plans, warnings, refusal })
}

fn request(
    spec: &BuildSpec,
    build: &BuildId,
    platform: &Platform,
    gathered: &Gathered,
    plan: &Plan,
) -> BuildRequest {
    let base = |image: &crate::dockerfile::ExternalImage| BaseImage {
        reference: image.reference.clone(),
        platform: image.platform.clone(),
    };
    BuildRequest {
        build_contexts: gathered.build_contexts.clone(),
        target: spec.target.clone(),
        build_args: spec.build_args.clone(),
        labels: spec.labels.clone(),
        cache: spec.cache,
        // Who reads caches wants a backend that could, even where there is none yet.
        notes_steps: !spec.cache_to.is_empty() || !spec.caches_to_read().is_empty(),
        pull: spec.pull,
        secrets: spec.secrets.clone(),
        ssh: spec.ssh.clone(),
        registry: spec.registry.clone(),
        runs_on: plan.platforms_that_run().into_iter().cloned().collect(),
        bases: plan.images().iter().map(base).collect(),
        backend: spec.backend.clone(),
        emulation: spec.emulation,
        steps: spec.steps.clone(),
        insecure: plan.first_insecure().is_some(),
        optional: spec.optional.iter().any(|pattern| pattern.matches(platform)),
        ..BuildRequest::new(
            build.clone(),
            platform.clone(),
            gathered.dockerfile.clone(),
            ContextSource::Directory(gathered.context.clone()),
        )
    }
}

/// Files and folders that only a later part of the build would miss.
pub(crate) fn check_files(spec: &BuildSpec) -> Result<(), SpecError> {
    let must_exist = |what: String, path: &Path| {
        if path.exists() { Ok(()) } else { Err(SpecError::Missing { what, path: path.to_owned() }) }
    };
    for secret in &spec.secrets {
        if let SecretSource::File(path) = &secret.source {
            must_exist(format!("the file of secret {}", secret.id), path)?;
        }
    }
    for (name, context) in &spec.build_contexts {
        if let NamedInput::Directory(path) = context {
            must_exist(format!("the build context {name} at"), path)?;
        }
    }
    spec.epoch()?;
    for output in &spec.outputs {
        check_output(output)?;
        let platforms = spec.platforms.len();
        if matches!(output, Output::Docker { .. } | Output::Load { .. }) && platforms > 1 {
            return Err(SpecError::SeveralPlatforms { platforms });
        }
        if matches!(output, Output::Load { .. }) && Loader::find().is_none() {
            return Err(SpecError::NothingToLoadInto);
        }
    }
    for export in &spec.cache_to {
        match export {
            CacheExport::Separate {
                place: CachePlace::Directory { folder, .. },
                ignore_error: false,
                ..
            } => {
                check_layout(folder).map_err(|source| SpecError::CacheFolder { source })?;
            }
            CacheExport::Separate { place: CachePlace::Registry(name), .. } if name.digest().is_some() => {
                return Err(SpecError::DigestInTag { name: name.familiar() });
            }
            CacheExport::Separate { place: CachePlace::Registry(name), .. }
                if spec
                    .pushed_names(Push::Tags)
                    .iter()
                    .any(|tag| (tag.name(), tag.tag_or_latest()) == (name.name(), name.tag_or_latest())) =>
            {
                return Err(SpecError::CacheOverImage { name: name.familiar() });
            }
            CacheExport::Separate { .. } | CacheExport::Inline => {}
        }
    }
    if let Some(tag) = spec.names().iter().find(|tag| tag.digest().is_some()) {
        return Err(SpecError::DigestInTag { name: tag.familiar() });
    }
    if spec.outputs.iter().any(|output| output.pushes() && spec.names_of(output).is_empty()) {
        return Err(SpecError::NothingToPush);
    }
    if let Some(name) = spec.pushed_names(Push::ByDigest).iter().find(|name| name.tag().is_some()) {
        return Err(SpecError::TagByDigest { name: name.familiar() });
    }
    Ok(())
}

/// What would only be missed when everything is built.
fn check_output(output: &Output) -> Result<(), SpecError> {
    let Some(path) = output.path() else { return Ok(()) };
    // A folder for files is made with all that is above it, as buildx does.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|_| !matches!(output, Output::Local { .. }))
        && !parent.exists()
    {
        return Err(SpecError::Missing { what: "the output folder".into(), path: parent.to_owned() });
    }
    let reason = match output {
        Output::Local { .. } | Output::OciDirectory { .. } if path.exists() && !path.is_dir() => {
            "it is no directory"
        }
        Output::OciDirectory { .. } if has_entries(path) => {
            "it is not empty; name another directory, or remove it first"
        }
        Output::Tar { .. } | Output::OciArchive { .. } | Output::Docker { .. } if path.is_dir() => {
            "it is a directory"
        }
        _ => return Ok(()),
    };
    Err(SpecError::Occupied { path: path.clone(), reason })
}

fn has_entries(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

fn check_annotations(spec: &BuildSpec, platforms: &[Platform]) -> Result<(), SpecError> {
    for annotation in &spec.annotations {
        if let Some(platform) = annotation.platform.as_ref().filter(|platform| !platforms.contains(platform))
        {
            return Err(SpecError::UnusedAnnotation {
                key: annotation.key.clone(),
                platform: platform.clone(),
            });
        }
    }
    Ok(())
}
