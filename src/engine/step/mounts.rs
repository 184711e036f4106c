//! The mounts of a RUN.
//!
//! Source: Dockerfile reference, "RUN --mount"; BuildKit, `frontend/dockerfile/dockerfile2llb/convert_runmount.go`.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use polyarch_actors::{ImageOs, SecretRef, SecretSource};

use super::run::layers;
use crate::{
    agent,
    context::{Ignore, RelPath},
    dockerfile::{Mount as Written, Run},
    engine::{
        build::Build,
        chain::{Chain, LayerOrigin},
        changes::Changes,
        copy::{self, Destination},
        error::{EngineError, blocking},
        key::Key,
        metadata::Words,
        meter::Part,
        origins::Origin,
        reuse::Reuse,
        source,
        stage::Stage,
        step::Step,
        tree::Tree,
    },
    quantity,
    session::{self, Cache, Mount, MountKind, Secret, Sharing, Source},
};

/// The mounts of a step, what they show, and what of that decides the step's result.
pub(super) struct Prepared {
    pub(super) mounts: Vec<Mount>,
    /// Chains that must be complete.
    pub(super) reads: Vec<Chain>,
    pub(super) key: Key,
}

/// The options of one mount, expanded.
struct Options(BTreeMap<String, String>);

impl Step<'_> {
    pub(super) async fn mounts(&self, stage: &Stage, run: &Run) -> Result<Prepared, EngineError> {
        let mut prepared = Prepared { mounts: Vec::new(), reads: Vec::new(), key: Key::new("mounts") };
        let mut agents = 0;
        for written in &run.mounts {
            let options = Options::read(written, self.words(stage))?;
            for (name, value) in &options.0 {
                prepared.key.add(name);
                prepared.key.add(value);
            }
            let from = written.from.as_ref().map(|from| from.text.as_str());
            match options.get("type").unwrap_or("bind") {
                "cache" => self.cache(stage, &options, from, &mut prepared).await?,
                "tmpfs" => {
                    let size =
                        options.get("size").map(quantity::size).transpose().map_err(EngineError::Invalid)?;
                    let target = options.target(stage)?;
                    prepared.mounts.push(Mount { target, kind: MountKind::Tmpfs { size } });
                }
                "secret" => prepared.mounts.extend(self.secret(stage, &options)?),
                "ssh" => {
                    prepared.mounts.extend(self.agent(stage, &options, agents)?);
                    agents += 1;
                }
                _ => self.bind(stage, &options, from, &mut prepared).await?,
            }
        }
        Ok(prepared)
    }

    async fn bind(
        &self,
        stage: &Stage,
        options: &Options,
        from: Option<&str>,
        prepared: &mut Prepared,
    ) -> Result<(), EngineError> {
        let target = options.target(stage)?;
        let path = RelPath::clean(options.get("source").unwrap_or("/").as_bytes());
        let (chain, path) = self.files(from, &path, prepared).await?;
        let source = Source::Layers { layers: layers(&chain), path };
        let writable = options.is_on("readwrite") || options.get("readonly") == Some("false");
        prepared.mounts.push(Mount { target, kind: MountKind::Bind { source, writable } });
        Ok(())
    }

    async fn cache(
        &self,
        stage: &Stage,
        options: &Options,
        from: Option<&str>,
        prepared: &mut Prepared,
    ) -> Result<(), EngineError> {
        let target = options.target(stage)?;
        let clean = |path: &str| format!("/{}", RelPath::clean(path.as_bytes()));
        let id = match options.get("id") {
            Some(id) if !id.is_empty() => id.to_owned(),
            _ => clean(&target.to_string_lossy()),
        };
        let given = &self.build.request.build_args;
        let id =
            given.get("BUILDKIT_CACHE_MOUNT_NS").map_or(id.clone(), |namespace| format!("{namespace}/{id}"));
        let mut seed = None;
        if from.is_some() {
            let path = RelPath::clean(options.get("source").unwrap_or("/").as_bytes());
            let (chain, path) = self.files(from, &path, prepared).await?;
            seed = Some((layers(&chain), path));
        }
        let sharing = match options.get("sharing").map(str::to_ascii_lowercase).as_deref() {
            Some("private") => Sharing::Private,
            Some("locked") => Sharing::Locked,
            _ => Sharing::Shared,
        };
        let cache = Cache {
            id,
            sharing,
            seed,
            mode: options.mode(0o755)?,
            uid: options.number("uid")?,
            gid: options.number("gid")?,
            readonly: options.is_on("readonly"),
        };
        prepared.mounts.push(Mount { target, kind: MountKind::Cache(cache) });
        Ok(())
    }

    /// The layers that hold what a mount shows, and the path in them.
    async fn files(
        &self,
        from: Option<&str>,
        path: &RelPath,
        prepared: &mut Prepared,
    ) -> Result<(Chain, PathBuf), EngineError> {
        let origin = match from {
            Some(from) => self.build.origin(from, false, self.meter).await?,
            None => Origin::Context(None),
        };
        match origin {
            Origin::Chain(chain, name) if chain.os() != ImageOs::Linux => Err(EngineError::Invalid(format!(
                "{name} is for {}, and a mount shows only what is for Linux: use COPY --from",
                chain.os()
            ))),
            Origin::Chain(chain, _) => {
                prepared.key.add("chain");
                prepared.key.add(&*chain.id());
                prepared.reads.push(chain.clone());
                Ok((chain, PathBuf::from(format!("/{path}"))))
            }
            Origin::Context(_) => {
                let (build, wanted, last) =
                    (Arc::clone(self.build), path.clone(), self.last(&path.to_string()));
                let chosen = blocking(move || selection(&build, &origin, &wanted, &last));
                let (chain, key) = self.meter.time(Part::Writing, chosen).await?;
                prepared.key.add("context");
                prepared.key.add(key.end().as_str());
                Ok((chain, PathBuf::from(format!("/{path}"))))
            }
        }
    }

    /// The secret, unless there is none and it need not be.
    fn secret(&self, stage: &Stage, options: &Options) -> Result<Option<Mount>, EngineError> {
        let named = options.get("target").map(|target| target.rsplit('/').next().unwrap_or(target));
        let id = options.get("id").filter(|id| !id.is_empty()).or(named).unwrap_or_default();
        let known = self.build.request.secrets.iter().find(|secret| secret.id == id);
        let Some(SecretRef { source, .. }) = known else {
            if options.is_on("required") {
                return Err(EngineError::Invalid(format!(
                    "the secret {id} is required; give it with --secret id={id},src=FILE"
                )));
            }
            return Ok(None);
        };
        let env = options.get("env").map(str::to_owned);
        let target = match options.get("target") {
            Some(_) => options.target(stage)?,
            // With a variable alone there is no file.
            None if env.is_some() => PathBuf::new(),
            None => PathBuf::from("/run/secrets").join(id),
        };
        let source = match source {
            SecretSource::File(path) => session::SecretSource::File(path.clone()),
            SecretSource::Env(name) => {
                let value = std::env::var_os(name).ok_or_else(|| {
                    EngineError::Invalid(format!("the variable {name} of the secret {id} is not set"))
                })?;
                session::SecretSource::Bytes(value.into_encoded_bytes())
            }
        };
        let mode = options.mode(0o400)?;
        let (uid, gid) = (options.number("uid")?, options.number("gid")?);
        Ok(Some(Mount { target, kind: MountKind::Secret(Secret { source, env, mode, uid, gid }) }))
    }

    fn agent(&self, stage: &Stage, options: &Options, number: usize) -> Result<Option<Mount>, EngineError> {
        let id = options.get("id").filter(|id| !id.is_empty()).unwrap_or("default");
        let Some(known) = self.build.request.ssh.iter().find(|ssh| ssh.id == id) else {
            if options.is_on("required") {
                return Err(EngineError::Invalid(format!(
                    "the SSH agent {id} is required; give it with --ssh {id}"
                )));
            }
            return Ok(None);
        };
        let socket = match known.paths.as_slice() {
            [] => std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from).ok_or_else(|| {
                EngineError::Invalid("--ssh needs an agent: SSH_AUTH_SOCK is not set".into())
            })?,
            [path] if agent::is_agent(path) => path.clone(),
            _ => {
                return Err(EngineError::Invalid(format!(
                    "--ssh {id} names keys; add them to an agent with ssh-add and name its socket"
                )));
            }
        };
        let target = match options.get("target") {
            Some(_) => options.target(stage)?,
            None => PathBuf::from(format!("/run/buildkit/ssh_agent.{number}")),
        };
        let mode = options.mode(0o600)?;
        let (uid, gid) = (options.number("uid")?, options.number("gid")?);
        Ok(Some(Mount { target, kind: MountKind::Ssh { socket, mode, uid, gid } }))
    }
}

/// What a mount shows of a context, as a layer: what is ignored stays out, and everything belongs to root.
fn selection(
    build: &Build,
    origin: &Origin,
    path: &RelPath,
    last: &Reuse,
) -> Result<(Chain, Key), EngineError> {
    let opened = origin.open(build)?;
    let pattern = format!("/{path}");
    let picked = copy::pick(&opened, &[pattern], false, &Ignore::default())?;
    let key = source::key(&picked, &build.cancel)?;
    let is_directory = picked.first().is_none_or(|one| one.is_directory);
    let target = if is_directory { format!("/{path}/") } else { format!("/{path}") };
    let mut changes = Changes::new(Tree::default(), 0);
    let destination = Destination::new(&target, "/");
    if is_directory {
        changes.make_directories(path, (0, 0))?;
    }
    copy::put(picked, &destination, &mut changes)?;
    let record = super::dispatch::to_layer(build, &build.records, &changes.finish(), ImageOs::Linux, last)?;
    let mut chain = Chain::default();
    if let Some(layer) = record.layer {
        chain.push(layer.blob, layer.diff_id, LayerOrigin::Here);
    }
    Ok((chain, key))
}

impl Options {
    fn read(written: &Written, words: Words<'_>) -> Result<Self, EngineError> {
        let mut options = BTreeMap::new();
        for option in &written.options {
            let value = match &option.value {
                Some(value) => words.expand(value)?,
                None => "true".to_owned(),
            };
            options.insert(option.key.clone(), value);
        }
        Ok(Self(options))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "t" | "true"))
    }

    fn target(&self, stage: &Stage) -> Result<PathBuf, EngineError> {
        match self.get("target") {
            None | Some("") => {
                Err(EngineError::Invalid("a mount needs a target: --mount=…,target=/path".into()))
            }
            Some(target) => Ok(PathBuf::from(stage.workdir()).join(target)),
        }
    }

    fn mode(&self, default: u32) -> Result<u32, EngineError> {
        let wrong = |text: &str| EngineError::Invalid(format!("mode={text} of a mount is no octal number"));
        self.get("mode").map_or(Ok(default), |text| u32::from_str_radix(text, 8).map_err(|_| wrong(text)))
    }

    fn number(&self, name: &str) -> Result<u32, EngineError> {
        let wrong = |text: &str| EngineError::Invalid(format!("{name}={text} of a mount is no number"));
        self.get(name).map_or(Ok(0), |text| text.parse().map_err(|_| wrong(text)))
    }
}
