//! From a spec to one request a platform: everything that can be known to be wrong before anything runs.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::Path,
};

use polyarch_actors::{BaseImage, BuildId, BuildRequest, ContextSource, Platform, SecretSource};

use crate::{
    dockerfile::{Dockerfile, DockerfileError, Plan, PlanOptions, plan},
    error::{Error, SpecError},
    gather::Gathered,
    sources::NamedInput,
    spec::{BuildSpec, Output},
};

/// A spec that has been looked through.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The Dockerfile, for errors that a step gives later.
    pub(crate) dockerfile: Dockerfile,
    /// Its text.
    pub(crate) text: String,
    /// One request a platform, in the requested order.
    pub(crate) requests: Vec<BuildRequest>,
    /// What a person should know, one sentence each.
    pub(crate) warnings: Vec<String>,
}

/// Plans every platform.
pub(crate) fn prepare(spec: &BuildSpec, gathered: &Gathered, build: &BuildId) -> Result<Prepared, Error> {
    let source = &gathered.dockerfile;
    let host = Platform::host_linux();
    let platforms = if spec.platforms.is_empty() { vec![host.clone()] } else { spec.platforms.clone() };
    let mut seen = HashSet::new();
    if let Some(platform) = platforms.iter().find(|platform| !seen.insert(*platform)) {
        return Err(SpecError::DuplicatePlatform { platform: platform.clone() }.into());
    }
    check_annotations(spec, &platforms)?;

    let at_its_line =
        |error: DockerfileError| Error::Dockerfile { snippet: error.snippet(&source.text), error };
    let dockerfile = Dockerfile::parse(&source.name, &source.text).map_err(at_its_line)?;
    let contexts: BTreeSet<String> = spec.build_contexts.keys().cloned().collect();
    let mut requests = Vec::new();
    let mut warnings: BTreeSet<String> = gathered.warnings.iter().cloned().collect();
    for platform in &platforms {
        let options = PlanOptions {
            target: spec.target.as_deref(),
            platform,
            build_platform: &host,
            build_args: &spec.build_args,
            contexts: &contexts,
        };
        let plan = plan(&dockerfile, &options).map_err(at_its_line)?;
        for name in plan.undeclared_args(spec.build_args.keys().map(String::as_str)) {
            warnings
                .insert(format!("the build argument {name} is not declared by any ARG of the Dockerfile"));
        }
        requests.push(request(spec, build, platform, gathered, &plan));
    }
    Ok(Prepared { dockerfile, text: source.text.clone(), requests, warnings: warnings.into_iter().collect() })
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
        pull: spec.pull,
        secrets: spec.secrets.clone(),
        ssh: spec.ssh.clone(),
        registry: spec.registry.clone(),
        runs_on: plan.platforms_that_run().into_iter().cloned().collect(),
        bases: plan.images().iter().map(base).collect(),
        backend: spec.backend.clone(),
        emulation: spec.emulation,
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
    for output in &spec.outputs {
        if let Output::OciArchive(path) | Output::OciDirectory(path) = output
            && let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty())
        {
            must_exist("the output folder".into(), parent)?;
        }
        let taken = match output {
            Output::OciArchive(path) if path.is_dir() => Some((path, "it is a directory")),
            Output::OciDirectory(path) if path.exists() && !path.is_dir() => {
                Some((path, "it is no directory"))
            }
            Output::OciDirectory(path) if has_entries(path) => {
                Some((path, "it is not empty; name another directory, or remove it first"))
            }
            _ => None,
        };
        if let Some((path, reason)) = taken {
            return Err(SpecError::Occupied { path: path.clone(), reason });
        }
    }
    if let Some(tag) = spec.tags.iter().find(|tag| tag.digest().is_some()) {
        return Err(SpecError::DigestInTag { name: tag.familiar() });
    }
    if spec.outputs.contains(&Output::Registry) && spec.tags.is_empty() {
        return Err(SpecError::NothingToPush);
    }
    Ok(())
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
