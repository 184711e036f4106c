//! Layers in which nothing is later than it may be.
//!
//! Source: BuildKit, `util/converter/tarconverter`; `docs/build-repro.md`, "rewrite-timestamp".

use polyarch_actors::Digest;
use tokio_util::sync::CancellationToken;

use super::error::OutputError;
use crate::{
    archive::{Archive, Member, MemberKind, decompress},
    oci::{
        Store,
        layer::{
            Compression, EntryKind, Layer, LayerEntry, LayerError, LayerOptions, LayerWriter, Mtime, Policy,
        },
    },
};

/// How the names of deletions begin.
///
/// Source: OCI image specification, `layer.md`, "Whiteouts".
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Whether anything in a layer is later than `latest`, in seconds since 1970.
pub(super) fn is_later(
    store: &Store,
    layer: &Digest,
    latest: i64,
    cancel: &CancellationToken,
) -> Result<bool, OutputError> {
    let odd = |error: std::io::Error| OutputError::layer(layer, error);
    let mut archive = Archive::new(decompress(store.open_blob(layer)?).map_err(odd)?);
    while let Some(member) = archive.next_member().map_err(odd)? {
        if cancel.is_cancelled() {
            return Err(OutputError::Cancelled);
        }
        if member.modified > latest {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The same layer with nothing later than `latest`.
pub(super) fn layer(
    store: &Store,
    layer: &Digest,
    latest: i64,
    compression: Compression,
    cancel: &CancellationToken,
) -> Result<Layer, OutputError> {
    let odd = |error: std::io::Error| OutputError::layer(layer, error);
    let failed = |error: LayerError| OutputError::of_layer(layer, error);
    let options = LayerOptions {
        compression,
        policy: Policy { mtime: Mtime::AtMost(latest), ..Policy::default() },
        cancel: cancel.clone(),
        ..LayerOptions::default()
    };
    let mut writer = LayerWriter::new(store, options).map_err(failed)?;
    let mut archive = Archive::new(decompress(store.open_blob(layer)?).map_err(odd)?);
    while let Some(member) = archive.next_member().map_err(odd)? {
        append(&mut writer, &member, &mut archive).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

fn append(
    writer: &mut LayerWriter,
    member: &Member,
    content: &mut impl std::io::Read,
) -> Result<(), LayerError> {
    let name = member.path.as_bytes();
    let Some((parent, last)) = member.path.split() else {
        // The root's own attributes are those of whatever it is unpacked to.
        return Ok(());
    };
    if last == OPAQUE {
        return writer.opaque(parent.as_bytes());
    }
    if let Some(hidden) = last.strip_prefix(WHITEOUT) {
        return writer.whiteout(parent.child(hidden).as_bytes());
    }
    let kind = match &member.kind {
        MemberKind::File => EntryKind::File { size: member.size },
        MemberKind::Directory => EntryKind::Directory,
        MemberKind::Symlink(target) => EntryKind::Symlink { target },
        MemberKind::Hardlink(target) => EntryKind::HardLink { target: target.as_bytes() },
        MemberKind::Fifo => EntryKind::Fifo,
        MemberKind::CharDevice { major, minor } => EntryKind::CharDevice { major: *major, minor: *minor },
        MemberKind::BlockDevice { major, minor } => EntryKind::BlockDevice { major: *major, minor: *minor },
    };
    let entry = LayerEntry {
        name,
        kind,
        mode: member.mode,
        uid: member.uid.into(),
        gid: member.gid.into(),
        mtime: member.modified,
        xattrs: &member.xattrs,
    };
    writer.append(&entry, content).map(drop)
}

#[cfg(test)]
#[path = "redate_tests.rs"]
mod tests;
