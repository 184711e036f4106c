//! What ADD does beyond COPY: archives of the build context are unpacked.
//!
//! Source: BuildKit, `solver/llbsolver/file/unpack.go`; moby, `pkg/archive`.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    sync::Arc,
};

use super::{
    changes::Changes,
    copy::Destination,
    error::{EngineError, with_sources},
    index::IndexEntry,
    layer::{Content, NewKind},
    source::Picked,
    spool::{Spool, Spools},
    tree::Tree,
};
use crate::{
    archive::{Archive, Compression, decompress},
    context::RelPath,
};

/// Whether a source of ADD is somewhere else than in the build context.
pub(super) fn is_remote(path: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@"].iter().any(|scheme| path.starts_with(scheme))
}

/// The archive that was picked, if it is one. Of a compression that is not known, nobody can tell.
pub(super) fn open_archive(picked: &Picked, wanted: Option<bool>) -> Result<Option<File>, EngineError> {
    let Some(item) = picked.items.first().filter(|_| !picked.is_directory && wanted != Some(false)) else {
        return Ok(None);
    };
    let NewKind::File { content: Content::Context(context, entry, _), .. } = &item.entry.kind else {
        return Ok(None);
    };
    let unreadable = |error: &dyn std::error::Error| EngineError::Invalid(with_sources(error));
    let mut file = context.reader().open(entry).map_err(|error| unreadable(&error))?;
    let mut start = Vec::new();
    let io = || EngineError::io(format!("read {}", item.path));
    file.by_ref().take(8).read_to_end(&mut start).map_err(io())?;
    file.seek(SeekFrom::Start(0)).map_err(io())?;
    let odd = match Compression::of(&start) {
        Compression::Bzip2 => "bzip2",
        Compression::Xz => "xz",
        Compression::None | Compression::Gzip | Compression::Zstd => {
            let again = file.try_clone().map_err(io())?;
            let is_archive = decompress(again)
                .is_ok_and(|source| Archive::new(source).next_member().is_ok_and(|member| member.is_some()));
            file.seek(SeekFrom::Start(0)).map_err(io())?;
            return Ok(is_archive.then_some(file));
        }
    };
    Err(EngineError::Invalid(format!(
        "{} is compressed with {odd}, which the native engine cannot unpack; use COPY or ADD --unpack=false to keep it \
         as it is, or --backend buildah",
        item.path
    )))
}

/// Unpacks an archive. What is in it replaces what is there, whatever it is.
pub(super) fn unpack(
    archive: File,
    name: &str,
    destination: &Destination,
    changes: &mut Changes,
    spools: &Spools,
) -> Result<(), EngineError> {
    let root = changes.resolve(&destination.path)?;
    changes.make_directories(&root, destination.owner.unwrap_or((0, 0)))?;
    let (spool, members) = spools.of_archive(archive, name)?;
    let tree = tree_of(members, &spool)
        .map_err(|reason| EngineError::Malformed { what: name.to_owned(), reason })?;
    for item in super::source::contents(&tree) {
        let at = RelPath::clean(&[root.as_bytes(), &item.below].join(&b'/'));
        let Some((parent, file)) = at.split() else { continue };
        let path = changes.resolve(&parent)?.child(file);
        changes.replace(&path, destination.dress(item.entry))?;
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
