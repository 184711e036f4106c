//! What ADD does beyond COPY: archives are unpacked.
//!
//! Source: BuildKit, `solver/llbsolver/file/unpack.go`; moby, `pkg/archive`.

use std::sync::Arc;

use super::{
    changes::Changes,
    copy::Destination,
    error::EngineError,
    index::IndexEntry,
    layer::{Content, NewKind},
    source::Picked,
    spool::{Spool, Spools},
    tree::Tree,
};
use crate::{
    archive::{Archive, decompress},
    context::RelPath,
};

/// What a file holds, if it is one.
fn content(picked: &Picked) -> Option<&Content> {
    let item = picked.items.first().filter(|_| !picked.is_directory)?;
    match &item.entry.kind {
        NewKind::File { content, .. } => Some(content),
        _ => None,
    }
}

/// Whether a file is an archive: whether something in it can be found.
pub(super) fn is_archive(picked: &Picked, spools: &Spools) -> Result<bool, EngineError> {
    let Some(content) = content(picked) else { return Ok(false) };
    let first = |source| Archive::new(source).next_member().is_ok_and(|member| member.is_some());
    Ok(decompress(content.open(spools)?).is_ok_and(first))
}

/// Unpacks an archive. What is in it replaces what is there, whatever it is.
pub(super) fn unpack(
    picked: &Picked,
    destination: &Destination,
    changes: &mut Changes,
    spools: &Spools,
) -> Result<(), EngineError> {
    let Some(content) = content(picked) else { return Ok(()) };
    let name = String::from_utf8_lossy(&picked.name);
    let root = changes.resolve(&destination.path)?;
    changes.make_directories(&root, destination.owner.unwrap_or((0, 0)))?;
    let (spool, members) = spools.of_archive(content.open(spools)?, &name)?;
    let tree = tree_of(members, &spool)
        .map_err(|reason| EngineError::Malformed { what: name.clone().into_owned(), reason })?;
    // The permissions of what is in an archive are its own.
    let inside = Destination { mode: None, ..destination.clone() };
    for item in super::source::contents(&tree) {
        let at = RelPath::clean(&[root.as_bytes(), &item.below].join(&b'/'));
        let Some((parent, file)) = at.split() else { continue };
        let path = changes.resolve(&parent)?.child(file);
        changes.replace(&path, inside.dress(item.entry))?;
    }
    Ok(())
}

fn tree_of(members: Vec<IndexEntry>, spool: &Arc<Spool>) -> Result<Tree, String> {
    let mut tree = Tree::default();
    for member in members {
        if member.path.split(|byte| *byte == b'/').any(|name| name.starts_with(b".wh.")) {
            let path = String::from_utf8_lossy(&member.path);
            return Err(format!("{path} has a name that means a deletion in a layer"));
        }
        tree.apply(member, spool, 1)?;
    }
    Ok(tree)
}
