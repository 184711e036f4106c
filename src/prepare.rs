//! From a spec to one request a platform: everything that can be known to be wrong before anything runs.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use polyarch_actors::{
    BaseImage, BuildId, BuildRequest, ContextSource, DockerfileSource, NamedContext, Platform, SecretSource,
};

use crate::{
    dockerfile::{Dockerfile, DockerfileError, Plan, PlanOptions, plan},
    error::{Error, SpecError},
    spec::{BuildSpec, DockerfileInput, Output},
};

/// The largest Dockerfile that is read, in bytes; BuildKit's limit is the same.
const LARGEST_DOCKERFILE: u64 = 2 << 20;

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

/// Reads the Dockerfile and plans every platform.
pub(crate) fn prepare(spec: &BuildSpec, build: &BuildId) -> Result<Prepared, Error> {
    let context = directory(&spec.context)?;
    let source = read_dockerfile(&spec.dockerfile, &spec.context)?;
    check_files(spec)?;
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
    let mut warnings = BTreeSet::new();
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
        requests.push(request(spec, build, platform, &source, &context, &plan));
    }
    Ok(Prepared { dockerfile, text: source.text, requests, warnings: warnings.into_iter().collect() })
}

fn request(
    spec: &BuildSpec,
    build: &BuildId,
    platform: &Platform,
    dockerfile: &DockerfileSource,
    context: &Path,
    plan: &Plan,
) -> BuildRequest {
    let base = |image: &crate::dockerfile::ExternalImage| BaseImage {
        reference: image.reference.clone(),
        platform: image.platform.clone(),
    };
    BuildRequest {
        build_contexts: spec.build_contexts.clone(),
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
            dockerfile.clone(),
            ContextSource::Directory(context.to_owned()),
        )
    }
}

/// The absolute path of a directory that must be there.
fn directory(path: &Path) -> Result<PathBuf, SpecError> {
    match path.canonicalize() {
        Ok(found) if found.is_dir() => Ok(found),
        Ok(_) => Err(SpecError::ContextNotDirectory { path: path.to_owned() }),
        Err(_) => Err(SpecError::NoContext { path: path.to_owned() }),
    }
}

fn read_dockerfile(input: &DockerfileInput, context: &Path) -> Result<DockerfileSource, SpecError> {
    let path = match input {
        DockerfileInput::Text { name, text } => {
            return Ok(DockerfileSource::new(name, text));
        }
        DockerfileInput::InContext => context.join("Dockerfile"),
        DockerfileInput::Path(path) => path.clone(),
    };
    let unreadable = |source| SpecError::UnreadableDockerfile { path: path.clone(), source };
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SpecError::NoDockerfile { path });
        }
        Err(error) => return Err(unreadable(error)),
    };
    let text = read_text(file).map_err(unreadable)?;
    let mut ignore_file = path.clone().into_os_string();
    ignore_file.push(".dockerignore");
    let ignore = match fs::File::open(&ignore_file) {
        Ok(file) => Some(
            read_text(file)
                .map_err(|source| SpecError::UnreadableDockerfile { path: ignore_file.into(), source })?,
        ),
        Err(_) => None,
    };
    Ok(DockerfileSource { ignore, ..DockerfileSource::new(path.display().to_string(), text) })
}

fn read_text(file: fs::File) -> io::Result<String> {
    let mut text = String::new();
    let read = file.take(LARGEST_DOCKERFILE + 1).read_to_string(&mut text)?;
    if read as u64 > LARGEST_DOCKERFILE {
        let reason = format!("it has more than {LARGEST_DOCKERFILE} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(text)
}

/// Files and folders that only a later part of the build would miss.
fn check_files(spec: &BuildSpec) -> Result<(), SpecError> {
    let must_exist = |what: String, path: &Path| {
        if path.exists() { Ok(()) } else { Err(SpecError::Missing { what, path: path.to_owned() }) }
    };
    for secret in &spec.secrets {
        if let SecretSource::File(path) = &secret.source {
            must_exist(format!("the file of secret {}", secret.id), path)?;
        }
    }
    for (name, context) in &spec.build_contexts {
        if let NamedContext::Directory(path) = context {
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
