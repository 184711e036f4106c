//! Layers that stand unpacked: one directory each, what it changes in the form of an overlay.

use std::{
    fs::{self, File, FileTimes},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use nix::sys::{
    stat::{UtimensatFlags, utimensat},
    time::TimeSpec,
};
use polyarch_actors::Digest;

use super::{
    overlay::{Form, Overlay, upper},
    unpack,
    within::within,
};
use crate::{
    archive::Limits,
    oci::{Store, digest_of},
    session::{error::Failure, step::StepLayer},
};

/// An unpacked layer that nobody removes meanwhile.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Its directory.
    pub(super) path: PathBuf,
    _lock: File,
}

/// Where snapshots are kept.
#[derive(Debug)]
pub(super) struct Snapshots<'s> {
    store: &'s Store,
    folder: PathBuf,
    scratch: &'s Path,
    form: Form,
    /// How much one layer may hold.
    limits: Limits,
    made: usize,
}

impl<'s> Snapshots<'s> {
    pub(super) fn new(
        store: &'s Store,
        folder: &Path,
        scratch: &'s Path,
        form: Form,
        limits: Limits,
    ) -> Result<Self, Failure> {
        // What overlays note in extended attributes has other names in a user namespace.
        let folder = folder.join(match (form.copy, form.userns) {
            (false, false) => "snapshots",
            (false, true) => "snapshots-user",
            (true, false) => "trees",
            (true, true) => "trees-user",
        });
        fs::create_dir_all(&folder).map_err(Failure::system(format!("make {}", folder.display())))?;
        Ok(Self { store, folder, scratch, form, limits, made: 0 })
    }

    /// The snapshots of a chain of layers, bottom first; those that are missing are made.
    pub(super) fn chain(&mut self, layers: &[StepLayer]) -> Result<Vec<Snapshot>, Failure> {
        let mut snapshots: Vec<Snapshot> = Vec::new();
        let mut id = None;
        for layer in layers {
            let chain = chain_id(id.as_ref(), &layer.diff_id);
            let snapshot = self.get(&chain, layer, &snapshots)?;
            snapshots.push(snapshot);
            id = Some(chain);
        }
        Ok(snapshots)
    }

    /// Takes a directory as the snapshot of a chain, unless there is one.
    pub(super) fn adopt(&self, chain: &Digest, folder: &Path) -> Result<(), Failure> {
        let _lock = self.lock(chain, true)?;
        let target = self.folder.join(chain.hex());
        if target.exists() {
            return Ok(());
        }
        fs::rename(folder, &target).map_err(Failure::system("keep a snapshot"))
    }

    fn get(&mut self, chain: &Digest, layer: &StepLayer, below: &[Snapshot]) -> Result<Snapshot, Failure> {
        let folder = self.folder.join(chain.hex());
        let path = folder.join("fs");
        loop {
            let lock = self.lock(chain, false)?;
            if folder.exists() {
                // Whoever makes room looks at this time.
                let _ = lock.set_times(FileTimes::new().set_modified(SystemTime::now()));
                return Ok(Snapshot { path, _lock: lock });
            }
            drop(lock);
            let _lock = self.lock(chain, true)?;
            if !folder.exists() {
                let new = self.unpack(layer, below)?;
                fs::rename(&new, &folder).map_err(Failure::system("keep a snapshot"))?;
            }
        }
    }

    /// Waits for the lock of a snapshot.
    fn lock(&self, chain: &Digest, exclusive: bool) -> Result<File, Failure> {
        let path = self.folder.join(format!("{}.lock", chain.hex()));
        let try_it = || {
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            if exclusive { file.lock() } else { file.lock_shared() }?;
            Ok::<_, io::Error>(file)
        };
        // Whoever removes a snapshot removes its lock too; only the file that has the name counts.
        let locked = loop {
            match try_it() {
                Ok(file) if !is_at(&file, &path) => {}
                locked => break locked,
            }
        };
        locked.map_err(Failure::system(format!("lock {}", path.display())))
    }

    fn unpack(&mut self, layer: &StepLayer, below: &[Snapshot]) -> Result<PathBuf, Failure> {
        self.made += 1;
        let name = format!("unpack-{}", self.made);
        let upper = upper(self.scratch, &name);
        fs::create_dir_all(&upper).map_err(Failure::system("make a directory"))?;
        let odd = |reason: io::Error| match Failure::system("unpack a layer")(io::Error::from(reason.kind()))
        {
            full @ Failure::System { full: true, .. } => full,
            _ => Failure::Layer { digest: layer.digest.to_string(), reason: reason.to_string() },
        };
        let blob = self.store.open_blob(&layer.digest).map_err(|error| Failure::Layer {
            digest: layer.digest.to_string(),
            reason: error.to_string(),
        })?;
        let limits = self.limits;
        let found = if below.is_empty() {
            // Nothing is below, so nothing can be deleted either.
            fs::set_permissions(&upper, fs::Permissions::from_mode(0o755))
                .map_err(Failure::system("make a directory"))?;
            within(&upper, || unpack::unpack(blob, limits))
        } else {
            let lower: Vec<PathBuf> = below.iter().map(|snapshot| snapshot.path.clone()).collect();
            mirror(lower.last().map_or(&upper, |top| top), &upper)?;
            let overlay = Overlay::mount(self.scratch, &name, &lower, true, self.form)?;
            within(overlay.root(), || unpack::unpack(blob, limits))
        };
        let found = found.map_err(Failure::system("enter a root file system"))?.map_err(odd)?;
        if found != layer.diff_id {
            return Err(Failure::Layer {
                digest: layer.digest.to_string(),
                reason: format!("its archive has digest {found}, not {}", layer.diff_id),
            });
        }
        // What is left beside it belongs to the mount.
        let kept = self.scratch.join(format!("unpacked-{}", self.made));
        fs::create_dir(&kept)
            .and_then(|()| fs::rename(&upper, kept.join("fs")))
            .map_err(Failure::system("keep a snapshot"))?;
        Ok(kept)
    }
}

/// Whether an open file is the one that has a name.
fn is_at(file: &File, path: &Path) -> bool {
    let same =
        |ours: fs::Metadata, there: fs::Metadata| (ours.dev(), ours.ino()) == (there.dev(), there.ino());
    file.metadata().is_ok_and(|ours| fs::metadata(path).is_ok_and(|there| same(ours, there)))
}

/// Gives the top directory of a new layer what that of the layer below has: an overlay shows the uppermost one.
pub(super) fn mirror(below: &Path, upper: &Path) -> Result<(), Failure> {
    let failed = || Failure::system::<io::Error>("make the root of a layer");
    fs::create_dir_all(upper).map_err(failed())?;
    let metadata = fs::metadata(below).map_err(failed())?;
    std::os::unix::fs::chown(upper, Some(metadata.uid()), Some(metadata.gid())).map_err(failed())?;
    fs::set_permissions(upper, metadata.permissions()).map_err(failed())?;
    let modified = TimeSpec::new(metadata.mtime(), metadata.mtime_nsec());
    let at = nix::fcntl::AT_FDCWD;
    utimensat(at, upper, &modified, &modified, UtimensatFlags::FollowSymlink)
        .map_err(Failure::system("make the root of a layer"))
}

/// The id of a chain of layers with one more on top.
///
/// Source: OCI image specification, `config.md`, "Layer ChainID".
pub(super) fn chain_id(below: Option<&Digest>, diff_id: &Digest) -> Digest {
    match below {
        None => diff_id.clone(),
        Some(below) => digest_of(format!("{below} {diff_id}").as_bytes()),
    }
}

/// The id of a whole chain; `None` of none.
pub(super) fn chain_of(layers: &[StepLayer]) -> Option<Digest> {
    layers.iter().fold(None, |below, layer| Some(chain_id(below.as_ref(), &layer.diff_id)))
}
