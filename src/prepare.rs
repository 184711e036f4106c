//! From a spec to one request a platform: everything that can be known to be wrong before anything runs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
};

use polyarch_actors::{
    BaseImage, BuildId, BuildRequest, ContextSource, DockerfileSource, ImageOs, Platform, SecretSource,
    StepIsolation,
};

use crate::{
    cache::{CacheExport, CachePlace},
    check::found,
    context::{Context, ContextError},
    dockerfile::{
        Dockerfile, DockerfileError, ErrorKind, Plan, PlanOptions, Span, first_unfit_run, lint::Rule, plan,
        stage_number,
    },
    error::{Error, SpecError},
    gather::{Gathered, Part},
    oci::{Reference, check_layout, layer::Compression},
    output::{ImageForm, Loader, MediaTypes, Output, Push},
    sources::NamedInput,
    spec::BuildSpec,
};

/// One Dockerfile of a build, understood.
#[derive(Debug)]
pub(crate) struct Parsed<'g> {
    /// The file as it is.
    pub(crate) source: &'g DockerfileSource,
    /// What it says.
    pub(crate) dockerfile: Dockerfile,
    /// The platforms it is for; there is at least one.
    pub(crate) parts: Vec<&'g Part>,
    /// The context.
    pub(crate) context: &'g ContextSource,
    host: Platform,
}

impl<'g> Parsed<'g> {
    /// Reads every Dockerfile of a build.
    pub(crate) fn all(gathered: &'g Gathered) -> Result<Vec<Self>, Error> {
        let one = |(at, source): (usize, &'g DockerfileSource)| {
            let dockerfile = Dockerfile::parse(&source.name, &source.text)
                .map_err(|error| Error::Dockerfile { snippet: error.snippet(&source.text), error })?;
            let parts = gathered.parts.iter().filter(|part| part.dockerfile == at).collect();
            Ok(Self { source, dockerfile, parts, context: &gathered.context, host: Platform::host_linux() })
        };
        gathered.dockerfiles.iter().enumerate().map(one).collect()
    }

    /// Opens the context as the build does.
    pub(crate) fn open_context(&self) -> Result<Context, ContextError> {
        Context::of(self.context)
    }

    /// What is asked of the file for one platform.
    pub(crate) fn options<'o>(&'o self, part: &'o Part) -> PlanOptions<'o> {
        PlanOptions {
            target: part.spec.target.as_deref(),
            platform: &part.platform,
            build_platform: &self.host,
            build_args: &part.spec.build_args,
            contexts: &part.context_names,
        }
    }

    /// A mistake in the file, with its lines.
    pub(crate) fn mistake(&self, error: DockerfileError) -> Error {
        Error::Dockerfile { snippet: error.snippet(&self.source.text), error }
    }

    fn plan(&self, part: &Part) -> Result<Plan, Error> {
        let plan = plan(&self.dockerfile, &self.options(part)).map_err(|error| self.mistake(error))?;
        if let Some((span, unfit)) = first_unfit_run(&self.dockerfile, &plan) {
            let (file, kind) = (self.source.name.clone(), Box::new(unfit.into()));
            return Err(self.mistake(DockerfileError { file, span, kind }));
        }
        let steps = &part.spec.steps;
        let insecure = plan.first_insecure().filter(|_| !steps.allow_insecure);
        let on_host = plan.first_on_host().filter(|_| steps.refuse_host_network);
        let refused =
            [(insecure, ErrorKind::InsecureNotAllowed), (on_host, ErrorKind::HostNetworkNotAllowed)];
        for (span, kind) in refused {
            if let Some(span) = span {
                let (file, kind) = (self.source.name.clone(), Box::new(kind));
                return Err(self.mistake(DockerfileError { file, span, kind }));
            }
        }
        Ok(plan)
    }

    fn request(&self, part: &Part, plan: &Plan, build: &BuildId) -> Result<BuildRequest, Error> {
        let anew = part.spec.no_cache_stages.iter().map(|name| {
            stage_number(&self.dockerfile, &self.options(part), name).map_err(|error| self.mistake(error))
        });
        let (platform, source, context) = (part.platform.clone(), self.source.clone(), self.context.clone());
        let request = BuildRequest::new(build.clone(), platform, source, context);
        Ok(BuildRequest { anew: anew.collect::<Result<_, _>>()?, ..filled(request, part, plan) })
    }
}

/// A spec that has been looked through.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// One request a platform, in the requested order.
    pub(crate) requests: Vec<BuildRequest>,
    /// The Dockerfile of each of them, and what was planned.
    pub(crate) plans: Vec<(Dockerfile, Plan)>,
    /// The first RUN of each Windows image, which not every machine can run.
    pub(crate) windows_runs: HashMap<Platform, Span>,
    /// What a person should know, one sentence each.
    pub(crate) warnings: Vec<String>,
    /// Why nothing may run after all, once the warnings have been told.
    pub(crate) refusal: Option<Error>,
}

/// Plans every platform and checks the files.
pub(crate) fn prepare(gathered: &Gathered, build: &BuildId) -> Result<Prepared, Error> {
    let files = Parsed::all(gathered)?;
    let mut requests = Vec::new();
    let (mut plans, mut windows_runs) = (Vec::new(), HashMap::new());
    // Whether any of the Dockerfiles that get an argument declares it.
    let mut is_declared: BTreeMap<&str, bool> = BTreeMap::new();
    for part in &gathered.parts {
        let parsed = &files[part.dockerfile];
        let plan = parsed.plan(part)?;
        let names = || part.spec.build_args.keys().map(String::as_str);
        let undeclared = plan.undeclared_args(names());
        for name in names() {
            *is_declared.entry(name).or_default() |= !undeclared.contains(&name);
        }
        if let Some(run) = plan.first_run_of(ImageOs::Windows) {
            windows_runs.insert(part.platform.clone(), run);
        }
        requests.push(parsed.request(part, &plan, build)?);
        plans.push((parsed.dockerfile.clone(), plan));
    }
    let mut warnings = gathered.warnings.clone();
    let spec = &gathered.parts[0].spec;
    let is_windows = |part: &Part| part.platform.os() == ImageOs::Windows;
    if spec.steps.isolation != StepIsolation::Default && !gathered.parts.iter().any(is_windows) {
        return Err(SpecError::IsolationElsewhere.into());
    }
    let forms = || spec.outputs.iter().filter_map(Output::form);
    if forms().any(|form| form.rewrite_timestamp) && spec.epoch()?.is_none() {
        warnings.push("rewrite-timestamp changes nothing without SOURCE_DATE_EPOCH".into());
    }
    let whose = if files.len() == 1 { "the Dockerfile" } else { "the Dockerfiles" };
    let undeclared = is_declared.into_iter().filter(|(_, is_declared)| !is_declared);
    warnings.extend(
        undeclared
            .map(|(name, _)| format!("the build argument {name} is not declared by any ARG of {whose}")),
    );
    let mut refusal = None;
    for parsed in &files {
        let found = found(parsed, false)?;
        warnings.extend(found.warnings.iter().map(|warning| warning.line(&parsed.source.name)));
        if let Some(first) = found.warnings.first().filter(|_| found.is_error && refusal.is_none()) {
            let rules: BTreeSet<Rule> = found.warnings.iter().map(|warning| warning.rule).collect();
            let snippet = first.snippet(&parsed.source.name, &parsed.source.text);
            refusal = Some(Error::Checks { rules: rules.into_iter().collect(), snippet });
        }
    }
    Ok(Prepared { requests, plans, windows_runs, warnings, refusal })
}

/// A request with everything that is asked for its platform.
fn filled(request: BuildRequest, part: &Part, plan: &Plan) -> BuildRequest {
    let spec = &part.spec;
    let base = |image: &crate::dockerfile::ExternalImage| BaseImage {
        reference: image.reference.clone(),
        platform: image.platform.clone(),
    };
    BuildRequest {
        scope: spec.scope.clone(),
        build_contexts: part.build_contexts.clone(),
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
        fetching: spec.fetching,
        runs_on: plan.platforms_that_run().into_iter().cloned().collect(),
        bases: plan.images().iter().map(base).collect(),
        backend: spec.backend.clone(),
        emulation: spec.emulation,
        steps: spec.steps.clone(),
        resources: spec.resources,
        insecure: plan.first_insecure().is_some(),
        optional: spec.optional.iter().any(|pattern| pattern.matches(&part.platform)),
        ..request
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
    let of_some = spec.for_platforms.iter().flat_map(|values| &values.build_contexts);
    for (name, context) in spec.build_contexts.iter().chain(of_some) {
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
    check_forms(spec)?;
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

/// Refuses forms of images that contradict each other, or something else that was asked for.
fn check_forms(spec: &BuildSpec) -> Result<(), SpecError> {
    let mut pushed: Vec<(Reference, &ImageForm)> = Vec::new();
    for output in &spec.outputs {
        let Some(form) = output.form() else { continue };
        if form.media_types == MediaTypes::Docker {
            let what = if !(spec.annotations.is_empty() && form.annotations.is_empty()) {
                Some("annotations")
            } else if !spec.attestations.is_empty() {
                Some("attestations")
            } else if matches!(form.compression, Some(Compression::Zstd(_))) {
                Some("layers with zstd")
            } else {
                None
            };
            if let Some(what) = what {
                return Err(SpecError::NoDockerTypes { what });
            }
        }
        let names = if output.push() == Push::Tags { spec.names_of(output) } else { Vec::new() };
        for name in names {
            if pushed.iter().any(|(known, other)| *known == name && *other != form) {
                return Err(SpecError::TwoForms { name: name.familiar() });
            }
            pushed.push((name, form));
        }
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
