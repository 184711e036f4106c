//! Where archives of contexts are kept: `<data>/contexts/<tenant>/<digest>`, each whole or not there.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use polyarch_actors::Digest;
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;

use crate::{
    service::{problem::Problem, tenants::TenantName},
    whole_file::{put_in_place, sync_folder},
};

/// What the names of files begin with that are not whole.
const DRAFT: &str = ".draft-";

/// Keeps archives of contexts. Only one process uses a folder.
#[derive(Clone, Debug)]
pub(in crate::service) struct Shelf {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    kept: Duration,
    /// How many bytes each tenant has here, with those that are arriving.
    used: Mutex<HashMap<TenantName, u64>>,
    /// Whoever holds it can be sure that no archive comes or goes.
    still: Mutex<()>,
}

/// An archive that is arriving. It is gone when this is dropped, which takes a while where it is large.
#[derive(Debug)]
pub(super) struct Draft {
    shelf: Shelf,
    tenant: TenantName,
    file: Option<NamedTempFile>,
    reserved: u64,
}

/// An archive that is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// Whether it was there before.
    pub(super) was_there: bool,
    /// Until when it is kept, if nobody uses it.
    pub(super) expires: SystemTime,
}

impl Shelf {
    /// Opens the folder, and removes what was left behind half written.
    pub(in crate::service) fn open(data: &Path, kept: Duration) -> io::Result<Self> {
        let folder = data.join("contexts");
        make_private(&folder)?;
        let mut used = HashMap::new();
        each_file(&folder, |tenant, path| {
            if is_draft(path) {
                return fs::remove_file(path);
            }
            *used.entry(tenant.clone()).or_default() += fs::metadata(path)?.len();
            Ok(())
        })?;
        Ok(Self { inner: Arc::new(Inner { folder, kept, used: Mutex::new(used), still: Mutex::default() }) })
    }

    /// A place for a new archive.
    pub(super) fn begin(&self, tenant: &TenantName) -> io::Result<Draft> {
        let folder = self.folder(tenant);
        make_private(&folder)?;
        let file = tempfile::Builder::new().prefix(DRAFT).tempfile_in(folder)?;
        Ok(Draft { shelf: self.clone(), tenant: tenant.clone(), file: Some(file), reserved: 0 })
    }

    /// The archive with this digest, if the tenant has it; it is kept for a while from now on.
    pub(in crate::service) async fn take(
        &self,
        tenant: &TenantName,
        digest: &Digest,
    ) -> Result<Option<PathBuf>, Problem> {
        let (shelf, path) = (self.clone(), self.folder(tenant).join(digest.hex()));
        let touched =
            spawn_blocking(move || touch(&path, &shelf.still()).map(|there| there.then_some(path))).await;
        touched.map_err(io::Error::other).and_then(|touched| touched).map_err(|error| failed(&error))
    }

    /// Removes archives that nobody has used for a while and that are not among `in_use`.
    pub(in crate::service) fn sweep(&self, in_use: &BTreeSet<PathBuf>, now: SystemTime) -> io::Result<usize> {
        let mut removed = 0;
        each_file(&self.inner.folder, |tenant, path| {
            if is_draft(path) || in_use.contains(path) {
                return Ok(());
            }
            // Nobody can take it between the look at its age and its end.
            let _still = self.still();
            let metadata = fs::metadata(path)?;
            let age = now.duration_since(metadata.modified()?).unwrap_or_default();
            if age > self.inner.kept {
                fs::remove_file(path)?;
                self.give_back(tenant, metadata.len());
                removed += 1;
            }
            Ok(())
        })?;
        Ok(removed)
    }

    fn folder(&self, tenant: &TenantName) -> PathBuf {
        self.inner.folder.join(tenant.as_str())
    }

    fn give_back(&self, tenant: &TenantName, bytes: u64) {
        if let Some(used) = self.used().get_mut(tenant) {
            *used = used.saturating_sub(bytes);
        }
    }

    fn still(&self) -> MutexGuard<'_, ()> {
        self.inner.still.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used(&self) -> MutexGuard<'_, HashMap<TenantName, u64>> {
        self.inner.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Draft {
    /// Where the bytes go.
    pub(super) fn file(&self) -> io::Result<fs::File> {
        self.named().as_file().try_clone()
    }

    /// Where they are.
    pub(super) fn path(&self) -> &Path {
        self.named().path()
    }

    /// Takes room for more bytes; `false` where the tenant would have more than `most`.
    pub(super) fn reserve(&mut self, bytes: u64, most: u64) -> bool {
        let mut all = self.shelf.used();
        let used = all.entry(self.tenant.clone()).or_default();
        if used.saturating_add(bytes) > most {
            return false;
        }
        *used += bytes;
        drop(all);
        self.reserved += bytes;
        true
    }

    /// Keeps the archive under its digest.
    pub(super) fn keep(mut self, digest: &Digest) -> io::Result<Kept> {
        let shelf = self.shelf.clone();
        let folder = shelf.folder(&self.tenant);
        let path = folder.join(digest.hex());
        let expires = SystemTime::now() + shelf.inner.kept;
        if touch(&path, &shelf.still())? {
            return Ok(Kept { was_there: true, expires });
        }
        self.named().as_file().sync_all()?;
        let still = shelf.still();
        // The same may have come meanwhile.
        if touch(&path, &still)? {
            return Ok(Kept { was_there: true, expires });
        }
        if let Some(file) = self.file.take() {
            put_in_place(file, &path)?;
            // It stays, and so does the room for it, whatever comes.
            self.reserved = 0;
        }
        drop(still);
        sync_folder(&folder)?;
        Ok(Kept { was_there: false, expires })
    }

    fn named(&self) -> &NamedTempFile {
        self.file.as_ref().expect("a draft is there until it is kept, which ends this")
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        drop(self.file.take());
        self.shelf.give_back(&self.tenant, self.reserved);
    }
}

/// What a failure of the disk means for whoever asks.
pub(super) fn failed(error: &io::Error) -> Problem {
    tracing::error!(%error, "the contexts cannot be reached");
    if error.kind() == io::ErrorKind::StorageFull {
        let detail = "the disk of the server is full";
        return Problem::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(60);
    }
    Problem::internal()
}

/// Notes that an archive is used now; `false` if it is not there.
fn touch(path: &Path, _still: &MutexGuard<'_, ()>) -> io::Result<bool> {
    match fs::File::options().write(true).open(path) {
        Ok(file) => file.set_modified(SystemTime::now()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_draft(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(DRAFT))
}

/// Does something with each file of each tenant that does not go meanwhile. One where it fails keeps no other from it, and
/// the first such failure is in the log.
fn each_file(contexts: &Path, mut act: impl FnMut(&TenantName, &Path) -> io::Result<()>) -> io::Result<()> {
    let mut failures = Vec::new();
    for entry in fs::read_dir(contexts)? {
        let entry = entry?;
        let folder = entry.path();
        let tenant = entry.file_name().to_str().and_then(|name| name.parse::<TenantName>().ok());
        let Some(tenant) = tenant.filter(|_| folder.is_dir()) else { continue };
        let one = |file: io::Result<fs::DirEntry>| {
            let file = file?;
            if file.file_type()?.is_file() { act(&tenant, &file.path()) } else { Ok(()) }
        };
        match fs::read_dir(&folder) {
            Ok(files) => failures.extend(files.map(one).filter_map(Result::err)),
            Err(error) => failures.push(error),
        }
    }
    failures.retain(|error: &io::Error| error.kind() != io::ErrorKind::NotFound);
    if let Some(error) = failures.first() {
        tracing::warn!(%error, failures = failures.len(), "not all contexts could be looked at or removed");
    }
    Ok(())
}

/// Makes a folder that nobody else reads.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
#[path = "shelf_tests.rs"]
mod tests;
