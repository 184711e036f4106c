//! Root file systems as files of this user.
//!
//! Everything is unpacked into a folder of its own first, beside a new folder or in one that is there, and then moved
//! into place: each file is whole or not there, whenever this is killed. Owners and extended attributes are not kept,
//! as BuildKit gives everything to whoever asked for it; devices are left out, as only root could make them.

use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use polyarch_actors::BuiltImage;
use tokio_util::sync::CancellationToken;

use super::{
    beside::{self, Beside},
    contents::Contents,
    error::OutputError,
    merge::merge,
    rootfs::{Kind, RootFs},
    write::{Roots, Seen, folder_of},
};
use crate::{
    archive::{Member, MemberKind, PIECE, Place, fill},
    context::RelPath,
    draft::Draft,
    folder::share,
    oci::Store,
};

/// Writes the root file systems of `images` into `folder`. Says how many devices were left out.
pub(super) fn write(
    store: &Store,
    images: &[BuiltImage],
    roots: &Roots<'_>,
    folder: &Path,
    cancel: &CancellationToken,
) -> Result<usize, OutputError> {
    let failed = || OutputError::io(folder);
    // A link to a folder is that folder: it is the person's, not the image's.
    let there = folder.canonicalize().ok();
    let parent = folder.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if there.is_none() {
        fs::create_dir_all(parent).map_err(failed())?;
    }
    let beside = there.as_deref().unwrap_or(parent);
    let draft = Draft::new(beside).map_err(failed())?;
    let new = draft.path().join("new");
    make(&new)?;
    let mut devices = 0;
    let mut seen = Seen::default();
    for (number, image) in images.iter().enumerate() {
        let root = RootFs::read(store, image, cancel)?;
        let target = if roots.split {
            let target = new.join(folder_of(image, images));
            make(&target)?;
            target
        } else {
            seen.add(&root, &image.platform)?;
            new.clone()
        };
        devices += unpack(store, &root, roots.epoch, &target, cancel)?;
        for Beside { name, bytes } in beside::files(store, &root, roots, number, images, cancel)? {
            // A rename follows no symbolic link that the image may have there.
            let written = draft.path().join("statement");
            let place = target.join(&name);
            let finish = || {
                let mut file = fs::File::create(&written)?;
                file.write_all(&bytes)?;
                share(&written, beside::MODE)?;
                if let Some(seconds) = roots.epoch.and_then(|epoch| u64::try_from(epoch).ok()) {
                    file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))?;
                }
                fs::rename(&written, &place)
            };
            finish().map_err(OutputError::io(&place))?;
        }
    }
    match there {
        None => fs::rename(&new, folder).map_err(failed())?,
        Some(there) => merge(&new, &there)?,
    }
    Ok(devices)
}

fn make(folder: &Path) -> Result<(), OutputError> {
    fs::create_dir(folder).and_then(|()| share(folder, 0o755)).map_err(OutputError::io(folder))
}

fn unpack(
    store: &Store,
    root: &RootFs,
    epoch: Option<i64>,
    folder: &Path,
    cancel: &CancellationToken,
) -> Result<usize, OutputError> {
    let mut place = Place::open(folder)?;
    let mut devices = 0;
    let member = |path: &[u8], kind: MemberKind| {
        let entry = root.entries.get(path);
        Member {
            path: RelPath::clean(path),
            leads_out: false,
            kind,
            mode: entry.map_or(0o644, |entry| entry.mode),
            uid: 0,
            gid: 0,
            modified: epoch.or(entry.map(|entry| entry.modified)).unwrap_or_default(),
            nanoseconds: 0,
            xattrs: Vec::new(),
            windows: Vec::new(),
            offset: 0,
            size: 0,
        }
    };
    let nothing = |_: &mut fs::File| Ok(());
    for (path, entry) in &root.entries {
        if entry.kind == Kind::Directory {
            place.take(&member(path, MemberKind::Directory), nothing)?;
        }
    }
    let contents = Contents::of(root);
    let mut buffer: Box<[u8]> = vec![0; PIECE].into();
    contents.each(store, cancel, |path, _, mut bytes| {
        let member = member(path, MemberKind::File);
        let shown = folder.join(member.path.to_string());
        place.take(&member, |file| fill(&mut bytes, file, &shown, &mut buffer, cancel))?;
        Ok(())
    })?;
    for (path, first) in contents.hard_links() {
        place.take(&member(path, MemberKind::Hardlink(RelPath::clean(first))), nothing)?;
    }
    for (path, entry) in &root.entries {
        let kind = match &entry.kind {
            Kind::Directory | Kind::File { .. } => continue,
            Kind::Symlink(target) => MemberKind::Symlink(target.clone()),
            Kind::Fifo => MemberKind::Fifo,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {
                devices += 1;
                continue;
            }
        };
        place.take(&member(path, kind), nothing)?;
    }
    place.finish()?;
    Ok(devices)
}
