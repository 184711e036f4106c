//! Putting sources in place, after BuildKit's rules.
//!
//! Source: fsutil, `copy/copy.go` (`Copy`, `prepareTargetDir`, `copyDirectory`); BuildKit,
//! `frontend/dockerfile/dockerfile2llb/convert.go` (`dispatchCopy`).

use super::{
    changes::Changes,
    error::EngineError,
    layer::{Content, NewEntry, NewKind},
    mode::Mode,
    source::{self, Item, Picked, Source},
};
use crate::context::{Ignore, RelPath};

/// Where things go, and what becomes of them.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) path: RelPath,
    /// Whether it was written as a directory: with a slash at its end.
    pub(super) is_directory: bool,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) mode: Option<Mode>,
    /// Whether the layer depends on nothing below it.
    pub(super) link: bool,
}

impl Destination {
    /// Reads the last argument of COPY and ADD.
    pub(super) fn new(text: &str, workdir: &str) -> Self {
        let path = if text.starts_with('/') { text.to_owned() } else { format!("{workdir}/{text}") };
        let is_directory = text.ends_with('/') || matches!(text.rsplit('/').next(), Some("." | ".."));
        let path = RelPath::clean(path.as_bytes());
        Self { path, is_directory, owner: None, mode: None, link: false }
    }

    /// An entry with the owner and the permissions that were asked for.
    pub(super) fn dress(&self, mut entry: NewEntry) -> NewEntry {
        if let Some((uid, gid)) = self.owner {
            (entry.uid, entry.gid) = (uid, gid);
        }
        if let Some(mode) = self.mode.as_ref().filter(|_| !matches!(entry.kind, NewKind::Symlink(_))) {
            entry.mode = mode.apply(entry.mode, matches!(entry.kind, NewKind::Directory));
        }
        entry
    }

    fn make(&self, changes: &mut Changes, path: &RelPath) -> Result<(), EngineError> {
        changes.make_directories(path, self.owner.unwrap_or((0, 0)))
    }
}

/// What the patterns select in `source`.
pub(super) fn pick(
    source: &Source,
    patterns: &[String],
    parents: bool,
    exclude: &Ignore,
) -> Result<Vec<Picked>, EngineError> {
    let mut picked = Vec::new();
    for pattern in patterns {
        if parents {
            picked.extend(source::pick_with_parents(source, pattern, exclude)?);
        } else {
            picked.extend(source.pick(pattern, exclude)?);
        }
    }
    Ok(picked)
}

/// A document of the Dockerfile as something to copy.
pub(super) fn document(name: &str, text: String, modified: i64) -> Picked {
    let bytes = text.into_bytes();
    let kind = NewKind::File { size: bytes.len() as u64, content: Content::Inline(bytes) };
    let entry = NewEntry { kind, mode: 0o644, uid: 0, gid: 0, modified, xattrs: Vec::new() };
    let path = RelPath::clean(name.as_bytes());
    let name = path.split().map(|(_, name)| name.to_vec()).unwrap_or_default();
    Picked { name, is_directory: false, items: vec![Item { below: Vec::new(), path, entry }] }
}

/// Puts everything in place. Several things need a directory to go to.
pub(super) fn put(
    picked: Vec<Picked>,
    destination: &Destination,
    changes: &mut Changes,
) -> Result<(), EngineError> {
    let files = picked.iter().filter(|one| !one.is_directory).count();
    if files > 0 && picked.len() > 1 && !destination.is_directory {
        let resolved = changes.resolve(&destination.path)?;
        if !changes.tree().get(&resolved).is_some_and(super::node::Node::is_directory) {
            let path = &destination.path;
            let reason = format!("several sources need a directory to go to: write /{path}/ with a slash");
            return Err(EngineError::Invalid(reason));
        }
    }
    for one in picked {
        put_one(one, destination, changes)?;
    }
    Ok(())
}

fn put_one(picked: Picked, destination: &Destination, changes: &mut Changes) -> Result<(), EngineError> {
    let resolved = changes.resolve(&destination.path)?;
    if picked.is_directory {
        destination.make(changes, &resolved)?;
        for item in picked.items {
            let path = RelPath::clean(&[resolved.as_bytes(), &item.below].join(&b'/'));
            changes.put(&path, destination.dress(item.entry))?;
        }
        return Ok(());
    }
    let Some(item) = picked.items.into_iter().next() else { return Ok(()) };
    let there = changes.tree().get(&resolved).is_some_and(super::node::Node::is_directory);
    let path = if destination.is_directory || there {
        destination.make(changes, &resolved)?;
        resolved.child(&picked.name)
    } else {
        let parent = resolved.split().map(|(parent, _)| parent).unwrap_or_default();
        destination.make(changes, &parent)?;
        resolved
    };
    changes.put(&path, destination.dress(item.entry))
}
