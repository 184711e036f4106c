//! Where the files are that a build takes: images, contexts, and what stages have become.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use dashmap::DashMap;
use polyarch_actors::{BuildError, Material, Materials, NamedContext, Platform};
use tokio::sync::OnceCell;

use super::{
    bases::Base as BaseImage,
    build::Build,
    chain::Chain,
    digests::Digests,
    error::{EngineError, blocking},
    index,
    meter::{Meter, Part},
    source::Source,
    stage::Stage,
    tree::Tree,
};
use crate::{
    context::{Context, Ignore, read_ignore},
    dockerfile::Base,
    error::with_sources,
    fetch::FetchedTree,
};

/// What a build has found so far.
#[derive(Default)]
pub(super) struct Found {
    images: DashMap<(String, Platform), Arc<OnceCell<FoundImage>>>,
    contexts: Mutex<HashMap<Option<String>, FoundContext>>,
    /// What the layers of chains put where, by the chain's id.
    trees: Mutex<HashMap<String, Tree>>,
    /// What was fetched for ADD and is read until the end.
    fetched: Mutex<Vec<FetchedTree>>,
    materials: Mutex<Materials>,
}

/// A base image that was looked for.
type FoundImage = Result<Arc<BaseImage>, BuildError>;
/// An open context.
type FoundContext = (Arc<Context>, Arc<Digests>);

/// What `--from` names.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// The files of a stage or an image, and what to call it.
    Chain(Chain, String),
    /// A build context: the named one, or the one of the build.
    Context(Option<String>),
}

impl Origin {
    /// Where the files are. It blocks, and the chain must be complete.
    pub(super) fn open(&self, build: &Build) -> Result<Source, EngineError> {
        match self {
            Self::Chain(chain, name) => Ok(Source::Tree(build.tree(chain)?, name.clone())),
            Self::Context(name) => build.context(name.as_deref()),
        }
    }
}

impl Build {
    /// An image from elsewhere, whose layers may still have to be fetched.
    pub(super) async fn image(
        &self,
        reference: &str,
        platform: &Platform,
    ) -> Result<Arc<BaseImage>, BuildError> {
        let key = (reference.to_owned(), platform.clone());
        let cell = Arc::clone(&self.found.images.entry(key).or_default());
        let find = || async {
            let found = tokio::select! {
                found = self.puller.find(reference, platform) => found,
                () = self.cancel.cancelled() => Err(BuildError::Cancelled),
            };
            found.map(Arc::new).map_err(|error| self.plan.blame(error, &self.dockerfile.file))
        };
        let found = cell.get_or_init(find).await.clone()?;
        let (reference, platform, digest) = (reference.to_owned(), platform.clone(), found.manifest.clone());
        self.took(Material::Image { reference, platform, digest });
        Ok(found)
    }

    /// Notes that something from elsewhere is in the build.
    pub(super) fn took(&self, material: Material) {
        self.found.materials.lock().unwrap_or_else(PoisonError::into_inner).add(material);
    }

    /// Everything from elsewhere that is in the build so far.
    pub(super) fn materials(&self) -> Materials {
        let found = self.found.materials.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Whatever an instruction takes goes through this engine, in imported and cached steps too.
        Materials { complete: true, ..found }
    }

    /// The image that a named context is, if it is one.
    pub(super) async fn named_image(
        &self,
        name: &str,
        platform: &Platform,
    ) -> Result<Option<Arc<BaseImage>>, BuildError> {
        match self.request.build_contexts.get(name) {
            Some(NamedContext::Image(reference)) => self.image(reference, platform).await.map(Some),
            Some(NamedContext::Stored(found)) => {
                let key = (format!("context {name}"), platform.clone());
                let cell = Arc::clone(&self.found.images.entry(key).or_default());
                let find = || async { self.puller.stored(name, found, platform).await.map(Arc::new) };
                let found = cell.get_or_init(find).await.clone()?;
                let (name, platform, digest) = (name.to_owned(), platform.clone(), found.manifest.clone());
                self.took(Material::LocalImage { name, platform, digest });
                Ok(Some(found))
            }
            Some(NamedContext::Directory(_)) | None => Ok(None),
        }
    }

    /// The root file system, or the context, that `--from` names.
    pub(super) async fn origin(
        self: &Arc<Self>,
        name: &str,
        numbers: bool,
        meter: &Meter,
    ) -> Result<Origin, EngineError> {
        // What is copied into an image comes from images of its own platform.
        let platform = &self.request.platform;
        let of_base = |base, name: &str| {
            Origin::Chain(Stage::from_base(&base, platform.clone()).chain, format!("the image {name}"))
        };
        match self.plan.source(name, numbers) {
            Base::Scratch => Ok(Origin::Chain(Chain::of(platform.os()), "scratch".into())),
            Base::Stage(number) => {
                meter.stage(number);
                let stage = meter.time(Part::Waiting, self.stage(number)).await?;
                Ok(Origin::Chain(stage.chain, format!("the stage {name}")))
            }
            Base::Image { reference } => {
                let base = meter.time(Part::Pulling, self.image(&reference, platform)).await?;
                Ok(of_base(base, &reference))
            }
            Base::Context { name } => {
                match meter.time(Part::Pulling, self.named_image(&name, platform)).await? {
                    Some(base) => Ok(of_base(base, &name)),
                    None => Ok(Origin::Context(Some(name))),
                }
            }
        }
    }

    /// Sees to it that every layer of a chain is in the store, and that imported ones are what they are said to be.
    pub(super) async fn complete(&self, chain: &Chain) -> Result<(), BuildError> {
        for base in chain.bases() {
            tokio::select! {
                done = self.puller.complete(&base) => {
                    done.map_err(|error| self.plan.blame(error, &self.dockerfile.file))?;
                }
                () = self.cancel.cancelled() => return Err(BuildError::Cancelled),
            }
        }
        tokio::select! {
            done = self.records.imports.complete(chain, &self.puller, &self.records) => done,
            () = self.cancel.cancelled() => Err(BuildError::Cancelled),
        }
    }

    /// What the layers of a complete chain put where. It blocks.
    pub(super) fn tree(&self, chain: &Chain) -> Result<Tree, EngineError> {
        let os = chain.os();
        let name = |id: &str| format!("{os} {id}");
        let known = |id: &str| {
            let trees = self.found.trees.lock().unwrap_or_else(PoisonError::into_inner);
            trees.get(&name(id)).cloned()
        };
        let layers = chain.layers();
        let begin = (0..layers.len()).rev().find_map(|at| Some((at + 1, known(layers[at].id.as_str())?)));
        let (mut seen, mut tree) = begin.unwrap_or_else(|| (0, Tree::of(os)));
        while let Some(layer) = layers.get(seen) {
            seen += 1;
            let entries = index::of_layer(
                &self.engine.store,
                &layer.blob.digest,
                &layer.diff_id,
                os,
                self.spools.limits,
                &self.cancel,
            )?;
            let spool = self.spools.of_layer(&layer.blob.digest);
            for entry in entries {
                tree.apply(entry, &spool, seen).map_err(|reason| EngineError::Malformed {
                    what: format!("layer {}", layer.blob.digest),
                    reason,
                })?;
            }
        }
        let mut trees = self.found.trees.lock().unwrap_or_else(PoisonError::into_inner);
        trees.insert(name(&chain.id()), tree.clone());
        Ok(tree.above_hidden_base(chain.hides_base()))
    }

    /// Keeps files until the build has ended.
    pub(super) fn keep(&self, fetched: FetchedTree) {
        self.found.fetched.lock().unwrap_or_else(PoisonError::into_inner).push(fetched);
    }

    /// The build context, or the named one. It blocks.
    pub(super) fn context(&self, name: Option<&str>) -> Result<Source, EngineError> {
        let mut contexts = self.found.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = name.map(str::to_owned);
        if let Some((context, digests)) = contexts.get(&key) {
            return Ok(Source::Context(Arc::clone(context), Arc::clone(digests)));
        }
        let (folder, opened) = match name {
            None => (self.request.context.folder(), Context::of(&self.request.context)),
            Some(name) => match self.request.build_contexts.get(name) {
                Some(NamedContext::Directory(folder)) => {
                    (folder.as_path(), Context::open(folder, Ignore::default()))
                }
                _ => return Err(EngineError::Invalid(format!("the build context {name} is no directory"))),
            },
        };
        let digests = self.engine.digests(folder);
        let context = opened.map_err(|error| EngineError::Invalid(with_sources(&error)))?;
        let own = self.request.dockerfile.ignore.as_deref().filter(|_| name.is_none());
        let text = match own {
            Some(text) => text.as_bytes().to_vec(),
            None => read_ignore(&context)
                .map_err(|error| EngineError::Invalid(format!("cannot read the .dockerignore: {error}")))?
                .unwrap_or_default(),
        };
        let ignore =
            Ignore::parse(&text).map_err(|error| EngineError::Invalid(format!(".dockerignore, {error}")))?;
        let context = Arc::new(context.ignoring(ignore));
        contexts.insert(key, (Arc::clone(&context), Arc::clone(&digests)));
        Ok(Source::Context(context, digests))
    }
}

/// Keeps what was learned of the contexts.
pub(super) async fn save_digests(build: &Arc<Build>) {
    let build = Arc::clone(build);
    let save = move || {
        let contexts = build.found.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        contexts.values().for_each(|(_, digests)| digests.save());
        Ok(())
    };
    // It is of use to a later build only.
    let _ = blocking(save).await;
}
