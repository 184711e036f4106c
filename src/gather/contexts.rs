//! Brings every context here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use polyarch_actors::{ContextSource, DockerfileSource, Material, Materials, NamedContext, Platform};

use super::{
    dockerfile::text_of,
    dockerfiles::Place,
    error::GatherError,
    stdin::{self, Arrived},
};
use crate::{
    archive::{ARCHIVE_HEAD, Limits, Unpacked, is_archive, unpack},
    context::{Context, Ignore},
    dockerfile::LARGEST_DOCKERFILE,
    error::{Error, SpecError},
    fetch::{self, FetchError, FetchedFile, FetchedTree, GitAccess, GitSource, shown},
    images::blocking,
    oci::{Store, StoreError, read_layout},
    registry::TransferCx,
    sources::{ContextInput, NamedInput},
    spec::{BuildSpec, DockerfileInput},
    values::KEEP_GIT_DIR,
};

/// The name of a file that a named context is, as in BuildKit.
const FILE_NAME: &str = "context";

/// What a build is made of, on this machine. What was fetched for it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// The context, absolute. It is enclosed where it was named so, and for others whatever it is.
    pub(crate) context: ContextSource,
    /// The Dockerfiles, each once.
    pub(crate) dockerfiles: Vec<DockerfileSource>,
    /// What each platform is built of, in the requested order; there is at least one.
    pub(crate) parts: Vec<Part>,
    /// What a person should know, one sentence each.
    pub(crate) warnings: Vec<String>,
    /// What of it is from elsewhere.
    pub(crate) materials: Materials,
    _kept: Vec<Kept>,
}

/// What one platform is built of, beside the context.
#[derive(Debug)]
pub(crate) struct Part {
    /// The platform.
    pub(crate) platform: Platform,
    /// What is asked for it.
    pub(crate) spec: BuildSpec,
    /// Which of the Dockerfiles it has.
    pub(crate) dockerfile: usize,
    /// Its named contexts.
    pub(crate) build_contexts: BTreeMap<String, NamedContext>,
    /// Their names.
    pub(crate) context_names: BTreeSet<String>,
}

/// What lives as long as the build.
#[derive(Debug)]
enum Kept {
    Folder { _folder: tempfile::TempDir },
    Tree { _tree: FetchedTree },
}

/// What is told the address of everything that was fetched.
pub(crate) type Told<'t> = dyn Fn(String) + Sync + 't;

/// Brings everything of a spec here.
pub(crate) async fn gather(
    spec: &BuildSpec,
    store: &Store,
    helper: Option<&Path>,
    cx: &TransferCx,
    fetched: &Told<'_>,
) -> Result<Gathered, Error> {
    let access = GitAccess {
        helper: helper.map(Path::to_owned),
        secrets: spec.secrets.clone(),
        ssh: spec.ssh.clone(),
        fetching: spec.fetching,
    };
    let (kept, warnings, materials) = (Vec::new(), Vec::new(), Materials::default());
    let mut gathering = Gathering { store, access, cx, fetched, kept, warnings, materials };
    let each = spec.each()?;
    let (context, place) = gathering.context(spec).await?;
    let is_enclosed = matches!(spec.context, ContextInput::Enclosed(_)) || !spec.fetching.is_own();
    let context =
        if is_enclosed { ContextSource::Enclosed(context) } else { ContextSource::Directory(context) };
    let mut dockerfiles: Vec<DockerfileSource> = Vec::new();
    // What several platforms have is brought here once.
    let mut read: Vec<(DockerfileInput, usize)> = Vec::new();
    let mut named: Vec<(String, NamedInput, NamedContext)> = Vec::new();
    let mut parts = Vec::new();
    for (platform, spec) in each {
        let known = read.iter().find(|(input, _)| *input == spec.dockerfile).map(|(_, at)| *at);
        let dockerfile = if let Some(at) = known {
            at
        } else {
            let source = gathering.dockerfile(&place, &spec.dockerfile).await?;
            let at = dockerfiles.iter().position(|earlier| *earlier == source).unwrap_or(dockerfiles.len());
            if at == dockerfiles.len() {
                dockerfiles.push(source);
            }
            read.push((spec.dockerfile.clone(), at));
            at
        };
        let mut build_contexts = BTreeMap::new();
        for (name, input) in &spec.build_contexts {
            let known = named.iter().find(|(known, of, _)| known == name && of == input);
            let context = if let Some((_, _, context)) = known {
                context.clone()
            } else {
                let context = gathering.named(name, input).await?;
                named.push((name.clone(), input.clone(), context.clone()));
                context
            };
            build_contexts.insert(name.clone(), context);
        }
        let context_names = build_contexts.keys().cloned().collect();
        parts.push(Part { platform, spec, dockerfile, build_contexts, context_names });
    }
    let Gathering { kept, warnings, mut materials, .. } = gathering;
    materials.complete = !parts.iter().any(|part: &Part| reads_this_machine(&part.spec));
    Ok(Gathered { context, dockerfiles, parts, warnings, materials, _kept: kept })
}

pub(super) struct Gathering<'g> {
    store: &'g Store,
    access: GitAccess,
    cx: &'g TransferCx,
    fetched: &'g Told<'g>,
    kept: Vec<Kept>,
    warnings: Vec<String>,
    materials: Materials,
}

impl Gathering<'_> {
    /// Brings the context here, and says where the Dockerfiles are.
    async fn context(&mut self, spec: &BuildSpec) -> Result<(PathBuf, Place), Error> {
        Ok(match &spec.context {
            ContextInput::Directory(path) => (directory(path)?, Place::Here(path.clone())),
            ContextInput::Enclosed(path) => {
                // Nobody follows a link in this path from here on, so that it stays the directory that was allowed.
                if Context::open_exact(path, Ignore::default()).is_err() {
                    return Err(SpecError::NoContext { path: path.clone() }.into());
                }
                let folder = path.clone();
                (folder.clone(), Place::Inside { folder, shown: String::new(), is_all: true })
            }
            ContextInput::Archive(path) => {
                let folder = self.folder()?;
                let unpacked = self.unpack_file(path.clone(), folder.clone()).await?;
                self.note(&unpacked);
                (folder.clone(), Place::Inside { folder, shown: String::new(), is_all: true })
            }
            ContextInput::Stdin => {
                let folder = self.folder()?;
                let stdin = tokio::io::stdin();
                match stdin::receive(stdin, folder.clone(), self.cx).await? {
                    Arrived::Archive(unpacked) => self.note(&unpacked),
                    Arrived::Text(text) => {
                        let what = "what came on standard input".to_owned();
                        return Ok((folder, Place::Only { what, name: "Dockerfile".into(), text }));
                    }
                }
                (folder.clone(), Place::Inside { folder, shown: String::new(), is_all: true })
            }
            ContextInput::Git(source) => {
                let keep = spec.build_args.get(KEEP_GIT_DIR);
                let keep = keep.is_some_and(|value| matches!(value.as_str(), "1" | "true"));
                let folder = self.git(source, keep, "the context").await?;
                let whole = source.subdirectory.is_none();
                let hash = if whole && source.reference.is_none() {
                    "#:"
                } else if whole {
                    ":"
                } else {
                    "/"
                };
                let shown = format!("{source}{hash}");
                (folder.clone(), Place::Inside { folder, shown, is_all: false })
            }
            ContextInput::Url(url) => {
                let file = self.file(url, "the context").await?;
                let folder = self.folder()?;
                let what = shown(url);
                let Some(unpacked) = self.unpack(&file, folder.clone(), &what).await? else {
                    let text = self.text(&file, &what).await?;
                    let written = fs::write(folder.join("Dockerfile"), &text);
                    written.map_err(|source| GatherError::Read { what: what.clone(), source })?;
                    return Ok((folder, Place::Only { name: what.clone(), what, text }));
                };
                self.note(&unpacked);
                (folder.clone(), Place::Inside { folder, shown: format!("{what}:"), is_all: false })
            }
        })
    }

    async fn named(&mut self, name: &str, input: &NamedInput) -> Result<NamedContext, Error> {
        let what = format!("the build context {name}");
        Ok(match input {
            NamedInput::Directory(path) => {
                NamedContext::Directory(std::path::absolute(path).unwrap_or_else(|_| path.clone()))
            }
            NamedInput::Image(image) => NamedContext::Image(image.clone()),
            NamedInput::Stored(image) => NamedContext::Stored(image.clone()),
            NamedInput::Git(source) => NamedContext::Directory(self.git(source, false, &what).await?),
            NamedInput::Url(url) => {
                let file = self.file(url, &what).await?;
                let folder = self.folder()?;
                let (from, to) = (self.store.blob_path(&file.digest), folder.join(FILE_NAME));
                let copy = move || {
                    fs::copy(&from, &to)?;
                    let times = fs::FileTimes::new();
                    let modified = file.modified.unwrap_or(std::time::UNIX_EPOCH);
                    fs::File::options().write(true).open(&to)?.set_times(times.set_modified(modified))
                };
                let failed = |source| GatherError::Read { what: what.clone(), source };
                blocking(move || Ok(copy())).await?.map_err(failed)?;
                NamedContext::Directory(folder)
            }
            NamedInput::Layout { folder, tag, digest } => {
                let (store, name) = (self.store.clone(), name.to_owned());
                let (folder, tag, digest) = (folder.clone(), tag.clone(), digest.clone());
                let read = move || {
                    let root = read_layout(&store, &folder, tag.as_deref(), digest.as_ref());
                    Ok(root.map_err(|source| GatherError::Layout { name, source })?)
                };
                NamedContext::Stored(blocking(read).await?)
            }
        })
    }

    async fn git(&mut self, source: &GitSource, keep: bool, what: &str) -> Result<PathBuf, GatherError> {
        let fetched = fetch::git(source, keep, &self.access, self.store, self.cx).await;
        let tree = fetched.map_err(|source| failed(what, source))?;
        self.materials.add(Material::Git { address: source.to_string(), commit: tree.commit().to_owned() });
        (self.fetched)(source.to_string());
        let folder = tree.directory().to_owned();
        self.kept.push(Kept::Tree { _tree: tree });
        Ok(folder)
    }

    pub(super) async fn file(&mut self, url: &str, what: &str) -> Result<FetchedFile, GatherError> {
        let file = fetch::http(url, None, &self.access.secrets, self.access.fetching, self.store, self.cx)
            .await
            .map_err(|source| failed(what, source))?;
        self.materials.add(Material::File { address: shown(url), digest: file.digest.clone() });
        (self.fetched)(shown(url));
        Ok(file)
    }

    /// Unpacks a fetched file into a folder; `None` if it is no archive.
    async fn unpack(
        &self,
        file: &FetchedFile,
        folder: PathBuf,
        place: &str,
    ) -> Result<Option<Unpacked>, Error> {
        let (store, digest, token) = (self.store.clone(), file.digest.clone(), self.cx.cancel_token());
        let (place, limits) = (place.to_owned(), Limits::of(self.access.fetching));
        blocking(move || {
            let mut head = Vec::new();
            let unreadable = |source| GatherError::Read { what: place.clone(), source };
            let read = store.open_blob(&digest)?.take(ARCHIVE_HEAD as u64).read_to_end(&mut head);
            read.map_err(unreadable)?;
            if !is_archive(&head) {
                return Ok(None);
            }
            let unpacked = unpack(store.open_blob(&digest)?, &folder, limits, &token);
            Ok(Some(unpacked.map_err(|source| GatherError::Unpack { what: place, source })?))
        })
        .await
    }

    /// Unpacks an archive of this machine into a folder.
    async fn unpack_file(&self, file: PathBuf, folder: PathBuf) -> Result<Unpacked, Error> {
        let token = self.cx.cancel_token();
        // Where it lies is of no use to whoever sent it.
        let what = || "the archive of the context".to_owned();
        blocking(move || {
            let file = fs::File::open(file).map_err(|source| GatherError::Read { what: what(), source })?;
            let unpacked = unpack(file, &folder, Limits::default(), &token);
            Ok(unpacked.map_err(|source| GatherError::Unpack { what: what(), source })?)
        })
        .await
    }

    /// A fetched file as the text of a Dockerfile.
    pub(super) async fn text(&self, file: &FetchedFile, place: &str) -> Result<String, Error> {
        let (store, digest, place) = (self.store.clone(), file.digest.clone(), place.to_owned());
        blocking(move || {
            let mut bytes = Vec::new();
            let read = store.open_blob(&digest)?.take(LARGEST_DOCKERFILE + 1).read_to_end(&mut bytes);
            read.map_err(|source| GatherError::Read { what: place.clone(), source })?;
            Ok(text_of(bytes).map_err(|reason| GatherError::NeitherNor { what: place, reason })?)
        })
        .await
    }

    /// A new empty folder that lives as long as the build.
    fn folder(&mut self) -> Result<PathBuf, StoreError> {
        let folder = self.store.scratch_dir("context-")?;
        let path = folder.path().to_owned();
        self.kept.push(Kept::Folder { _folder: folder });
        Ok(path)
    }

    fn note(&mut self, unpacked: &Unpacked) {
        if unpacked.devices > 0 {
            let devices = unpacked.devices;
            self.warnings.push(format!("{devices} devices of the context's archive were left out"));
        }
    }
}

/// Whether files of a build are of this machine, or came on standard input, so that nobody can tell which they were.
fn reads_this_machine(spec: &BuildSpec) -> bool {
    let is_here = spec.context.is_here();
    let is_named = |input: &NamedInput| matches!(input, NamedInput::Directory(_));
    let dockerfile = match &spec.dockerfile {
        DockerfileInput::InContext | DockerfileInput::Url(_) => false,
        DockerfileInput::Path(path) => path.is_absolute(),
        DockerfileInput::Text { .. } => true,
    };
    is_here || dockerfile || spec.build_contexts.values().any(is_named)
}

/// The absolute path of a directory that must be there.
fn directory(path: &Path) -> Result<PathBuf, SpecError> {
    match path.canonicalize() {
        Ok(found) if found.is_dir() => Ok(found),
        Ok(_) => Err(SpecError::ContextNotDirectory { path: path.to_owned() }),
        Err(_) => Err(SpecError::NoContext { path: path.to_owned() }),
    }
}

fn failed(what: &str, source: FetchError) -> GatherError {
    GatherError::Fetch { what: what.to_owned(), source }
}

#[cfg(test)]
#[path = "contexts_tests.rs"]
mod tests;
