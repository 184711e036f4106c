//! Base images, brought into the store on this side: registries, credentials and proxies are those of this machine.

use std::collections::{BTreeMap, BTreeSet};

use polyarch_actors::{
    BuildCx, BuildError, BuildRequest, Descriptor, Material, Materials, NamedContext, Platform,
};

use crate::{
    engine::{Base, Puller},
    oci::Store,
    registry::{ClientOptions, RegistryClient, RetryLimits, TransferCx},
};

/// Where an image that a build needs comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    /// A registry, by this reference.
    Registry(String),
    /// The store, under a name of the command line.
    Stored(String),
}

/// An image that is complete in the store.
#[derive(Debug)]
pub(super) struct Fetched {
    origin: Origin,
    pub(super) platform: Platform,
    pub(super) base: Base,
}

impl Fetched {
    /// What the Dockerfile or the command line calls it.
    pub(super) fn name(&self) -> &str {
        match &self.origin {
            Origin::Registry(name) | Origin::Stored(name) => name,
        }
    }

    fn material(&self) -> Material {
        let (platform, digest) = (self.platform.clone(), self.base.manifest.clone());
        match self.origin.clone() {
            Origin::Registry(reference) => Material::Image { reference, platform, digest },
            Origin::Stored(name) => Material::LocalImage { name, platform, digest },
        }
    }
}

/// Fetches everything that a request needs.
pub(super) async fn fetch(
    store: &Store,
    request: &BuildRequest,
    cx: &BuildCx,
) -> Result<Vec<Fetched>, BuildError> {
    let puller = Puller {
        store: store.clone(),
        client: RegistryClient::new(ClientOptions::of_process(request.registry.clone(), request.fetching)),
        cx: TransferCx::new(cx.cancel.clone(), RetryLimits::default(), |_| {}),
        pull: request.pull,
        events: cx.events.clone(),
    };
    let mut fetched = Vec::new();
    for (origin, platform) in needed(request) {
        let base = match &origin {
            Origin::Registry(reference) => puller.find(reference, &platform).await?,
            Origin::Stored(name) => match stored(request, name) {
                Some(root) => puller.stored(name, root, &platform).await?,
                None => continue,
            },
        };
        puller.complete(&base).await?;
        fetched.push(Fetched { origin, platform, base });
    }
    Ok(fetched)
}

/// The images that a request needs: the bases of its plan, and named contexts that are images.
fn needed(request: &BuildRequest) -> BTreeSet<(Origin, Platform)> {
    let bases = request.bases.iter().filter(|base| !request.build_contexts.contains_key(&base.reference));
    let bases = bases.map(|base| (Origin::Registry(base.reference.clone()), base.platform.clone()));
    let named = request.build_contexts.iter().filter_map(|(name, context)| {
        let origin = match context {
            NamedContext::Image(reference) => Origin::Registry(reference.clone()),
            NamedContext::Stored(_) => Origin::Stored(name.clone()),
            NamedContext::Directory(_) => return None,
        };
        Some((origin, request.platform.clone()))
    });
    bases.chain(named).collect()
}

fn stored<'r>(request: &'r BuildRequest, name: &str) -> Option<&'r Descriptor> {
    match request.build_contexts.get(name) {
        Some(NamedContext::Stored(root)) => Some(root),
        _ => None,
    }
}

/// Named contexts that are images, by the names that the Dockerfile uses; `images` are the ids of what was fetched.
pub(super) fn named(
    request: &BuildRequest,
    fetched: &[Fetched],
    images: &[String],
) -> BTreeMap<String, String> {
    let image = |origin: &Origin| {
        let is_it = |one: &Fetched| one.origin == *origin && one.platform == request.platform;
        images.get(fetched.iter().position(is_it)?).cloned()
    };
    let named = request.build_contexts.iter().filter_map(|(name, context)| {
        let origin = match context {
            NamedContext::Image(reference) => Origin::Registry(reference.clone()),
            NamedContext::Stored(_) => Origin::Stored(name.clone()),
            NamedContext::Directory(_) => return None,
        };
        Some((name.clone(), image(&origin)?))
    });
    named.collect()
}

/// What a request is made of, as far as it is known: what buildah fetches for ADD it does not tell.
pub(super) fn materials(fetched: &[Fetched]) -> Materials {
    let mut materials = Materials::default();
    for one in fetched {
        materials.add(one.material());
    }
    materials
}
