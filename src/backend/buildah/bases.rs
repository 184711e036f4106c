//! Fetches base images into storages that all workers share, one for each.
//!
//! A shared storage is only ever added to, and by no other base. What a reference stands for is remembered in a small file, so that a
//! build whose bases are here starts no process to look.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use polyarch_actors::{
    BaseImage, BuildError, BuildRequest, Descriptor, Digest, EventKind, EventSink, Material, Materials,
    NamedContext, Platform, PullPolicy,
};
use serde::{Deserialize, Serialize};

use super::{
    command::{self, Storage},
    failure,
    image_config::is_image_id,
    layout::{Layout, folder_name},
    lock,
    machine::Machine,
    pin::Pinned,
    reference::{is_loopback, qualified},
    storage,
};
use crate::{
    guard::{Guard, GuardError},
    oci::{Store, digest_of, layout},
};

/// The most that is read of what a pull prints.
const MOST: usize = 64 << 10;

/// How the reference of an image in the store begins; no registry's can.
const STORED: &str = "oci-layout:";
/// The name of the folder in which buildah finds it.
const LAYOUT: &str = "layout";

/// What a reference stands for.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    reference: String,
    image: String,
}

/// Where and how bases are fetched.
#[derive(Debug)]
pub(super) struct Bases<'a> {
    pub(super) machine: &'a Machine,
    pub(super) layout: &'a Layout,
    pub(super) store: &'a Store,
    pub(super) events: &'a EventSink,
    /// The worker's storage, whose driver and place for state are used.
    pub(super) worker: &'a Storage,
}

/// The images that a request needs: the bases of its plan, and named contexts that are images.
pub(super) fn needed(request: &BuildRequest) -> Vec<BaseImage> {
    let named = request.build_contexts.values().filter_map(|context| {
        Some(BaseImage { reference: reference_of(context)?, platform: request.platform.clone() })
    });
    let mut needed: Vec<BaseImage> = request
        .bases
        .iter()
        .filter(|base| !request.build_contexts.contains_key(&base.reference))
        .cloned()
        .chain(named)
        .collect();
    needed.sort();
    needed.dedup();
    needed
}

/// The name of a base's folder: `linux-arm-v7/…`.
pub(super) fn name(base: &BaseImage) -> String {
    let full =
        if base.reference.starts_with(STORED) { base.reference.clone() } else { qualified(&base.reference) };
    format!("{}/{}", folder_name(&base.platform), digest_of(full.as_bytes()).hex())
}

/// Named contexts that are images, by the names that the Dockerfile uses.
pub(super) fn named(request: &BuildRequest, bases: &[Pinned]) -> BTreeMap<String, String> {
    let image = |reference: &str| {
        let found =
            bases.iter().find(|base| base.reference == reference && base.platform == request.platform);
        found.map(|base| base.image.clone())
    };
    let named = request
        .build_contexts
        .iter()
        .filter_map(|(name, context)| Some((name.clone(), image(&reference_of(context)?)?)));
    named.collect()
}

/// How the image that a context stands for is called among the bases.
fn reference_of(context: &NamedContext) -> Option<String> {
    match context {
        NamedContext::Image(reference) => Some(reference.clone()),
        NamedContext::Stored(root) => Some(format!("{STORED}{}", root.digest)),
        NamedContext::Directory(_) => None,
    }
}

/// What a base in the store is there.
fn stored<'r>(request: &'r BuildRequest, reference: &str) -> Option<&'r Descriptor> {
    let digest = reference.strip_prefix(STORED)?;
    request.build_contexts.values().find_map(|context| match context {
        NamedContext::Stored(root) if root.digest.to_string() == digest => Some(root),
        _ => None,
    })
}

impl Bases<'_> {
    /// Makes sure that a base is here.
    pub(super) async fn fetch(
        &self,
        guard: &mut Guard,
        request: &BuildRequest,
        base: &BaseImage,
    ) -> Result<Pinned, BuildError> {
        let stored = stored(request, &base.reference);
        let full = if stored.is_some() { base.reference.clone() } else { qualified(&base.reference) };
        let pinned =
            |image| Pinned { reference: base.reference.clone(), platform: base.platform.clone(), image };
        let path = self.layout.reference(&name(base));
        if request.pull == PullPolicy::Missing
            && let Some(image) = self.remembered(&path, base)
        {
            return Ok(pinned(image));
        }
        // One process pulls, and the others find what it pulled.
        let _lock = lock::lock(&path.with_extension("lock")).await.map_err(host)?;
        if request.pull == PullPolicy::Missing
            && let Some(image) = self.remembered(&path, base)
        {
            return Ok(pinned(image));
        }
        self.events.emit(EventKind::PullStarted { image: base.reference.clone() });
        let pulled = self.pull(guard, request, base, &full, stored).await;
        if pulled.is_err() && !path.exists() {
            // What came of it would only take space. The guard may remove what other ids own.
            let root = self.layout.images(&name(base));
            if wipe(guard, &root).await.is_ok() {
                let _ = fs::create_dir(&root);
            }
        }
        let image = pulled?;
        let remembered = Remembered { reference: full, image };
        let new = path.with_extension("new");
        serde_json::to_vec(&remembered)
            .map_err(io::Error::from)
            .and_then(|bytes| fs::write(&new, bytes))
            .and_then(|()| fs::rename(&new, &path))
            .map_err(host)?;
        self.events.emit(EventKind::Pulled { image: base.reference.clone(), bytes: None });
        Ok(pinned(remembered.image))
    }

    /// What a request is made of, as far as it is known: what buildah fetches for ADD, and for the triggers of a base, it
    /// does not tell.
    pub(super) fn materials(&self, request: &BuildRequest, pinned: &[Pinned]) -> Materials {
        let mut materials = Materials::default();
        for base in pinned {
            let needed = BaseImage { reference: base.reference.clone(), platform: base.platform.clone() };
            let root = self.layout.images(&name(&needed));
            let digest = storage::manifest_digest(&root, &self.worker.driver, &base.image);
            if let Some(digest) = digest {
                materials.add(material(request, base, digest));
            }
        }
        materials
    }

    fn remembered(&self, path: &PathBuf, base: &BaseImage) -> Option<String> {
        let remembered: Remembered = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let root = self.layout.images(&name(base));
        storage::has_image(&root, &self.worker.driver, &remembered.image).then_some(remembered.image)
    }

    async fn pull(
        &self,
        guard: &mut Guard,
        request: &BuildRequest,
        base: &BaseImage,
        full: &str,
        stored: Option<&Descriptor>,
    ) -> Result<String, BuildError> {
        let root = self.layout.images(&name(base));
        fs::create_dir_all(&root).map_err(host)?;
        // The state of mounts is the worker's, so that nothing of a pull outlives it but the image.
        let shared =
            Storage { root, run: self.worker.run.join("pull"), shared: Vec::new(), ..self.worker.clone() };
        let tls_verify = request.registry.tls_verify && !is_loopback(full);
        let authfile = request.registry.authfile.as_deref();
        let layout = stored.map(|root| self.link(root)).transpose()?;
        let source = match stored {
            Some(root) => format!("oci:{LAYOUT}:{}", root.digest.hex()),
            None => format!("docker://{full}"),
        };
        let mut command =
            command::pull(&shared, self.machine.version, &source, &base.platform, authfile, tls_verify);
        // buildah makes a name of the path, which therefore must not have capital letters in it.
        command.cwd = layout.as_ref().map(|folder| folder.path().to_owned());
        let (exit, stdout, stderr) = guard.output(&command, MOST).await.map_err(lost)?;
        if exit.code != Some(0) {
            let (stderr, root) = (String::from_utf8_lossy(&stderr), shared.root.display().to_string());
            return Err(failure::classify_pull(exit, &stderr, &base.reference, &base.platform, &root));
        }
        let stdout = String::from_utf8_lossy(&stdout);
        let image = stdout.lines().map(str::trim).rfind(|line| is_image_id(line));
        let image = image.ok_or_else(|| BuildError::Host {
            reason: format!("buildah pull {full} printed no image id: {}", stdout.trim()),
            retryable: false,
        })?;
        // A reference that is no index gives the image of whatever platform it is for, with a mere warning.
        let config = storage::read_config(&shared.root, &shared.driver, image).map_err(host)?;
        if !config.platform().is_some_and(|found| suits(&base.platform, &found)) {
            let place = if stored.is_some() { "the layout" } else { "the registry" };
            let reason = format!("{place} has it for {} only", config.stated());
            return Err(failure::base_image(&base.reference, &base.platform, reason));
        }
        Ok(image.to_owned())
    }

    /// A folder with a layout of something in the store, named by its digest.
    fn link(&self, root: &Descriptor) -> Result<tempfile::TempDir, BuildError> {
        let link = || -> Result<_, layout::LayoutError> {
            let folder = self.store.scratch_dir("layout-")?;
            layout::link_directory(self.store, root, &folder.path().join(LAYOUT))?;
            Ok(folder)
        };
        link().map_err(|error| host(io::Error::other(error)))
    }
}

/// What a base is for those who want to know what an image is made of.
fn material(request: &BuildRequest, base: &Pinned, digest: Digest) -> Material {
    let platform = base.platform.clone();
    let is_it = |context: &NamedContext| {
        matches!(context, NamedContext::Stored(_)) && reference_of(context).as_ref() == Some(&base.reference)
    };
    let named = request.build_contexts.iter().find(|(_, context)| is_it(context));
    match named {
        Some((name, _)) => Material::LocalImage { name: name.clone(), platform, digest },
        None => Material::Image { reference: base.reference.clone(), platform, digest },
    }
}

/// Whether a base for `found` serves where one for `wanted` is needed: an older variant of the same CPU does.
fn suits(wanted: &Platform, found: &Platform) -> bool {
    wanted.arch() == found.arch() && wanted.runs(found)
}

/// Removes a storage root.
pub(super) async fn wipe(guard: &mut Guard, root: &Path) -> Result<(), BuildError> {
    let mut wipe = crate::guard::Command::new("rm");
    wipe.arg("-rf").arg(root);
    guard.output(&wipe, MOST).await.map_err(lost).map(drop)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(super) fn host(error: io::Error) -> BuildError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            BuildError::NoSpace { path: "the store".into() }
        }
        _ => BuildError::Host { reason: format!("buildah: {error}"), retryable: false },
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(super) fn lost(error: GuardError) -> BuildError {
    let retryable = matches!(error, GuardError::Lost(_));
    BuildError::Host { reason: error.to_string(), retryable }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polyarch_actors::{BuildId, ContextSource, DockerfileSource};

    #[test]
    fn an_older_variant_of_the_same_cpu_serves_as_base() {
        for (wanted, found, serves) in [
            ("linux/arm/v7", "linux/arm/v6", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("linux/arm64", "linux/arm64", true),
            ("linux/amd64", "linux/386", false),
            ("linux/arm64", "linux/arm/v7", false),
        ] {
            let [wanted, found] = [wanted, found].map(|text| text.parse().expect("platform"));
            assert_eq!(suits(&wanted, &found), serves, "{wanted} {found}");
        }
    }

    #[test]
    fn a_named_context_replaces_the_image_of_that_name() {
        let dockerfile = DockerfileSource::new("Dockerfile", "");
        let platform: Platform = "linux/arm64".parse().expect("platform");
        let mut request = BuildRequest::new(
            BuildId::generate(),
            platform.clone(),
            dockerfile,
            ContextSource::Directory("/c".into()),
        );
        let base = |reference: &str| BaseImage { reference: reference.into(), platform: platform.clone() };
        request.bases = vec![base("alpine"), base("debian")];
        request.build_contexts.insert("alpine".into(), NamedContext::Image("mine:1".into()));
        assert_eq!(needed(&request), [base("debian"), base("mine:1")]);
        let pinned = Pinned { reference: "mine:1".into(), platform: platform.clone(), image: "id".into() };
        assert_eq!(named(&request, &[pinned]), BTreeMap::from([("alpine".to_owned(), "id".to_owned())]));
    }
}
