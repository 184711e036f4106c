//! What a step asks to see besides its root file system.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, Permissions},
    io,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::PermissionsExt, fs::chown},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, openat2},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string,
        fsmount, fsopen, open_tree,
    },
};

use super::{
    agent, caches,
    chain::{Snapshot, Snapshots, mirror},
    memory,
    overlay::{Form, Overlay, upper},
    plan::{Planned, PlannedKind, restrict, tree},
};
use crate::session::{
    error::Failure,
    step::{MountKind, Secret, SecretSource, Source, Step, StepLayer},
};

/// The mounts of a step, and what they rest on.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) planned: Vec<Planned>,
    /// Variables that the step gets because of them.
    pub(super) environment: Vec<(OsString, OsString)>,
    overlays: Vec<Overlay>,
    snapshots: Vec<Snapshot>,
    locks: Vec<File>,
}

/// Prepares mounts.
pub(super) struct Preparing<'p, 's> {
    pub(super) snapshots: &'p mut Snapshots<'s>,
    pub(super) folder: &'p Path,
    pub(super) scratch: &'p Path,
    pub(super) form: Form,
}

impl Preparing<'_, '_> {
    /// Prepares all mounts of a step.
    pub(super) fn all(&mut self, step: &Step) -> Result<Mounts, Failure> {
        let mut mounts = Mounts::default();
        for (number, asked) in step.mounts.iter().enumerate() {
            let target = Path::new("/").join(&step.workdir).join(&asked.target);
            let named = |failure: Failure| match failure {
                Failure::Mount { reason, .. } => {
                    Failure::Mount { target: asked.target.display().to_string(), reason }
                }
                other => other,
            };
            let is_env_only =
                matches!(&asked.kind, MountKind::Secret(_)) && asked.target.as_os_str().is_empty();
            if target == Path::new("/") && !is_env_only {
                return Err(named(refused("it would take the place of the root file system")));
            }
            let tree = self.tree(number, &target, &asked.kind, !is_env_only, &mut mounts);
            if let Some(tree) = tree.map_err(named)? {
                let directory = is_directory(&tree)?;
                mounts.planned.push(Planned { target, kind: PlannedKind::Tree { tree, directory } });
            }
        }
        Ok(mounts)
    }

    /// What is to be mounted; `None` where it is only a variable.
    fn tree(
        &mut self,
        number: usize,
        target: &Path,
        kind: &MountKind,
        as_file: bool,
        mounts: &mut Mounts,
    ) -> Result<Option<OwnedFd>, Failure> {
        match kind {
            MountKind::Bind { source, writable } => self.bind(number, source, *writable, mounts),
            MountKind::Cache(cache) => {
                let (path, lock) = caches::take(self, cache)?;
                mounts.locks.push(lock);
                let read_only = if cache.readonly { libc::MOUNT_ATTR_RDONLY } else { 0 };
                bound(&path, libc::MOUNT_ATTR_NODEV | read_only).map(Some)
            }
            MountKind::Tmpfs { size } => tmpfs(*size).map(Some),
            MountKind::Secret(secret) => self.secret(number, secret, as_file, &mut mounts.environment),
            MountKind::Ssh { socket, mode, uid, gid } => {
                let path = agent::forward(&memory::folder(self.scratch), number, socket, (*mode, *uid, *gid))
                    .map_err(|error| refused(format!("the agent cannot be forwarded: {error}")))?;
                mounts.environment.push(("SSH_AUTH_SOCK".into(), target.into()));
                bound(&path, libc::MOUNT_ATTR_NODEV).map(Some)
            }
        }
    }

    fn bind(
        &mut self,
        number: usize,
        source: &Source,
        writable: bool,
        mounts: &mut Mounts,
    ) -> Result<Option<OwnedFd>, Failure> {
        let tree = match source {
            Source::Layers { layers, path } => {
                let overlay =
                    self.layers(&format!("mount-{number}"), layers, writable, &mut mounts.snapshots)?;
                let tree = inside(overlay.root(), path)?;
                mounts.overlays.push(overlay);
                tree
            }
            Source::Host(path) if writable && path.is_dir() => {
                let name = format!("mount-{number}");
                mirror(path, &upper(self.scratch, &name))?;
                let lower = std::slice::from_ref(path);
                let overlay = Overlay::mount(self.scratch, &name, lower, true, self.form)?;
                let tree = tree(overlay.root())?;
                mounts.overlays.push(overlay);
                tree
            }
            Source::Host(path) if writable => {
                let copy = self.scratch.join(format!("mount-{number}"));
                fs::copy(path, &copy).map_err(|error| refused(format!("{}: {error}", path.display())))?;
                tree(&copy)?
            }
            Source::Host(path) => tree(path).map_err(|failure| refused(failure.to_string()))?,
        };
        let read_only = if writable { 0 } else { libc::MOUNT_ATTR_RDONLY };
        restrict(&tree, libc::MOUNT_ATTR_NODEV | read_only)?;
        Ok(Some(tree))
    }

    /// Mounts a chain of layers.
    pub(super) fn layers(
        &mut self,
        name: &str,
        layers: &[StepLayer],
        writable: bool,
        held: &mut Vec<Snapshot>,
    ) -> Result<Overlay, Failure> {
        let chain = self.snapshots.chain(layers)?;
        let mut lower: Vec<PathBuf> = chain.iter().map(|snapshot| snapshot.path.clone()).collect();
        held.extend(chain);
        if lower.is_empty() {
            let nothing = memory::folder(self.scratch).join(name).join("nothing");
            fs::create_dir_all(&nothing).map_err(Failure::system("make a directory"))?;
            lower.push(nothing);
        }
        if let (true, Some(top)) = (writable, lower.last()) {
            mirror(top, &upper(self.scratch, name))?;
        }
        Overlay::mount(self.scratch, name, &lower, writable, self.form)
    }

    fn secret(
        &self,
        number: usize,
        secret: &Secret,
        as_file: bool,
        environment: &mut Vec<(OsString, OsString)>,
    ) -> Result<Option<OwnedFd>, Failure> {
        let bytes = match &secret.source {
            SecretSource::Bytes(bytes) => bytes.clone(),
            SecretSource::File(path) => {
                fs::read(path).map_err(|error| refused(format!("the secret cannot be read: {error}")))?
            }
        };
        if let Some(name) = &secret.env {
            environment.push((name.into(), OsStr::from_bytes(&bytes).to_owned()));
        }
        if !as_file {
            return Ok(None);
        }
        let path = memory::folder(self.scratch).join(format!("secret-{number}"));
        fs::write(&path, bytes)
            .and_then(|()| chown(&path, Some(secret.uid), Some(secret.gid)))
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(secret.mode)))
            .map_err(Failure::system("keep a secret in memory"))?;
        let strict = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
        bound(&path, strict | libc::MOUNT_ATTR_RDONLY).map(Some)
    }
}

/// A mount of a path that resists whatever the path leads through: it is looked up as if `root` were the root.
pub(super) fn inside(root: &Path, path: &Path) -> Result<OwnedFd, Failure> {
    let look = || -> rustix::io::Result<OwnedFd> {
        let root = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let path = path.strip_prefix("/").unwrap_or(path);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let found = openat2(&root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH
            | OpenTreeFlags::AT_RECURSIVE;
        open_tree(&found, "", flags)
    };
    look().map_err(|error| refused(format!("{}: {}", path.display(), io::Error::from(error))))
}

/// Why a mount is impossible; whoever knows the target adds it.
pub(super) fn refused(reason: impl Into<String>) -> Failure {
    Failure::Mount { target: String::new(), reason: reason.into() }
}

fn bound(path: &Path, attributes: u64) -> Result<OwnedFd, Failure> {
    let tree = tree(path)?;
    restrict(&tree, attributes)?;
    Ok(tree)
}

fn tmpfs(size: Option<u64>) -> Result<OwnedFd, Failure> {
    let make = || {
        let new = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        if let Some(size) = size {
            fsconfig_set_string(&new, "size", size.to_string())?;
        }
        fsconfig_create(&new)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        fsmount(&new, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    make().map_err(|error: rustix::io::Errno| refused(io::Error::from(error).to_string()))
}

fn is_directory(tree: &OwnedFd) -> Result<bool, Failure> {
    let status = rustix::fs::fstat(tree).map_err(Failure::system("look at a mount"))?;
    Ok(rustix::fs::FileType::from_raw_mode(status.st_mode).is_dir())
}
