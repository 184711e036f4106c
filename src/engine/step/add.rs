//! ADD: what COPY does, from anywhere, and archives unpacked.

use std::{sync::Arc, time::UNIX_EPOCH};

use polyarch_actors::{EventKind, Material};

use super::ready::{Flags, Ready};
use crate::{
    context::{Context, Ignore, RelPath},
    dockerfile::Add,
    engine::{
        add,
        build::Build,
        copy,
        digests::Digests,
        error::{EngineError, blocking},
        key::Key,
        layer::{Content, NewEntry, NewKind},
        meter::Part,
        origins::Origin,
        source::{self, Item, Picked, Source},
        spool::Spools,
        stage::Stage,
        step::Step,
    },
    error::with_sources,
    fetch::{self, Checksum, FetchedFile, FetchedTree, GitAccess, GitSource},
};

/// Source: Dockerfile reference, "Adding files from a URL".
const DOWNLOADED_MODE: u32 = 0o600;

/// What one source of ADD led to.
struct Found {
    picked: Vec<Picked>,
    /// Whether archives among it are unpacked.
    unpack: bool,
}

impl Step<'_> {
    pub(super) async fn add(&self, stage: &mut Stage, instruction: &Add) -> Result<bool, EngineError> {
        let flags = Flags {
            chown: instruction.chown.as_ref(),
            chmod: instruction.chmod.as_ref(),
            exclude: &instruction.exclude,
            link: instruction.link,
            parents: false,
        };
        let ready = self.ready("ADD", stage, &instruction.sources, &flags)?;
        let mut key = ready.key("add", stage, self.build.epoch);
        let mut found = Vec::new();
        for path in &ready.paths {
            found.push(self.look(path, stage, instruction, &ready, &mut key).await?);
        }
        let cancel = self.build.cancel.clone();
        let read = blocking(move || {
            for one in &found {
                key.add([u8::from(one.unpack)]);
                key.add(source::key(&one.picked, &cancel)?.end().as_str());
            }
            Ok((key, found))
        });
        let (key, found) = self.meter.time(Part::Writing, read).await?;
        let parent = stage.ground(&ready.destination.path);
        let (reads, created_by) = (vec![parent.clone()], ready.created_by.clone());
        let make = move |build: &Build| {
            let mut plain = Vec::new();
            let (destination, mut changes) = ready.begin(build, &parent)?;
            for Found { picked, unpack } in found {
                for one in picked {
                    if unpack && add::is_archive(&one, &build.spools)? {
                        add::unpack(&one, &destination, &mut changes, &build.spools)?;
                    } else {
                        plain.push(one);
                    }
                }
            }
            plain.extend(ready.documents(build));
            copy::put(plain, &destination, &mut changes)?;
            Ok(changes.finish())
        };
        self.change(stage, &created_by, key.end(), reads, make).await
    }

    /// Looks at one source, and fetches it where it is somewhere else.
    async fn look(
        &self,
        path: &str,
        stage: &Stage,
        instruction: &Add,
        ready: &Ready,
        key: &mut Key,
    ) -> Result<Found, EngineError> {
        let checksum =
            instruction.checksum.as_deref().map(|text| self.words(stage).expand(text)).transpose()?;
        let repository = GitSource::parse(path).map_err(|error| EngineError::Invalid(error.to_string()))?;
        if let Some(source) = repository.filter(|source| !source.looks_local) {
            let source = GitSource { checksum: checksum.or(source.checksum.clone()), ..source };
            return self.fetch_tree(&source, instruction.keep_git_dir, &ready.exclude, key).await;
        }
        if path.starts_with("http://") || path.starts_with("https://") {
            let unpack = instruction.unpack.unwrap_or(false);
            return Ok(Found { picked: vec![self.fetch_file(path, checksum).await?], unpack });
        }
        if checksum.is_some() {
            let reason = format!("--checksum is for what is downloaded, and {path} is in the build context");
            return Err(EngineError::Invalid(reason));
        }
        let one = Ready { paths: vec![stage.path(path)?], ..ready.clone() };
        let (picked, _) = self.pick(Origin::Context(None), one).await?;
        Ok(Found { picked, unpack: instruction.unpack.unwrap_or(true) })
    }

    async fn fetch_file(&self, address: &str, checksum: Option<String>) -> Result<Picked, EngineError> {
        let build = self.build;
        let checksum: Option<Checksum> = checksum
            .map(|text| text.parse())
            .transpose()
            .map_err(|error: fetch::ChecksumError| EngineError::Invalid(error.to_string()))?;
        let (secrets, store) = (&build.request.secrets, &build.engine.store);
        let fetching = build.request.fetching;
        let fetched = fetch::http(address, checksum.as_ref(), secrets, fetching, store, &build.puller.cx);
        let FetchedFile { digest, size, name, modified } = self
            .meter
            .time(Part::Pulling, fetched)
            .await
            .map_err(|error| EngineError::Build(error.into()))?;
        let shown = fetch::shown(address);
        build.took(Material::File { address: shown.clone(), digest: digest.clone() });
        build.events.emit(EventKind::Fetched { address: shown });
        let blob = build.engine.store.open_blob(&digest)?;
        let bytes = Spools::of_file(blob, size, &digest);
        let seconds = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let seconds = seconds.and_then(|since| i64::try_from(since.as_secs()).ok());
        let entry = NewEntry {
            kind: NewKind::File { size, content: Content::Stored(bytes) },
            mode: DOWNLOADED_MODE,
            uid: 0,
            gid: 0,
            modified: seconds.unwrap_or(0),
            xattrs: Vec::new(),
        };
        let path = RelPath::clean(name.as_bytes());
        let items = vec![Item { below: Vec::new(), path, entry }];
        Ok(Picked { name: name.into_bytes(), is_directory: false, items })
    }

    async fn fetch_tree(
        &self,
        source: &GitSource,
        keep_git_dir: bool,
        exclude: &Ignore,
        key: &mut Key,
    ) -> Result<Found, EngineError> {
        let build = self.build;
        let access = GitAccess {
            helper: build.engine.options.helper.clone(),
            secrets: build.request.secrets.clone(),
            ssh: build.request.ssh.clone(),
            fetching: build.request.fetching,
        };
        let (store, cx) = (&build.engine.store, &build.puller.cx);
        let tree = self.meter.time(Part::Pulling, fetch::git(source, keep_git_dir, &access, store, cx)).await;
        let tree = tree.map_err(|error| EngineError::Build(error.into()))?;
        let commit = tree.commit().to_owned();
        build.took(Material::Git { address: source.to_string(), commit });
        build.events.emit(EventKind::Fetched { address: fetch::shown(&source.to_string()) });
        key.add(tree.commit());
        let (owned, exclude) = (Arc::clone(build), exclude.clone());
        let picked = blocking(move || pick_tree(tree, &exclude, &owned));
        let picked = self.meter.time(Part::Writing, picked).await?;
        Ok(Found { picked, unpack: false })
    }
}

/// Everything in a repository. It stays until the build has ended.
fn pick_tree(tree: FetchedTree, exclude: &Ignore, build: &Build) -> Result<Vec<Picked>, EngineError> {
    let context = Context::open(tree.directory(), Ignore::default())
        .map_err(|error| EngineError::Invalid(with_sources(&error)))?;
    let source = Source::Context(Arc::new(context), Arc::new(Digests::default()));
    build.keep(tree);
    copy::pick(&source, &["/".to_owned()], false, exclude)
}
