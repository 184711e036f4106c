//! The layers of an image, and what their members are.

use polyarch_actors::Digest;
use serde::Deserialize;

use super::error::OutputError;
use crate::{
    archive::{Member, MemberKind},
    context::RelPath,
    oci::{
        Store, StoreError,
        layer::windows::{file_of, target_of},
    },
};

/// The layers of a manifest.
pub(super) fn layers(store: &Store, manifest: &Digest) -> Result<Vec<Digest>, OutputError> {
    #[derive(Deserialize)]
    struct Manifest {
        layers: Vec<Layer>,
    }
    #[derive(Deserialize)]
    struct Layer {
        digest: Digest,
    }
    let bytes = store.read_document(manifest)?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| StoreError::Malformed {
        what: format!("the manifest {manifest}"),
        reason: error.to_string(),
    })?;
    Ok(manifest.layers.into_iter().map(|layer| layer.digest).collect())
}

/// A member of a layer for Windows as what it is in the file system; absent for whatever else a layer holds.
pub(super) fn of_windows(member: Member) -> Option<Member> {
    let path = RelPath::clean(&file_of(member.path.as_bytes())?);
    let kind = match member.kind {
        MemberKind::Hardlink(target) => MemberKind::Hardlink(RelPath::clean(&file_of(target.as_bytes())?)),
        MemberKind::Symlink(target) => MemberKind::Symlink(target_of(&target)),
        kind => kind,
    };
    Some(Member { path, kind, ..member })
}
