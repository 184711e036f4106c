//! How entries get into layers of Windows.

use std::io::Read;

use super::{
    super::{
        LayerWriter,
        check::{below_files, check, check_windows, refused},
        entry::{EntryKind, LayerEntry},
        error::LayerError,
    },
    brought, kind_of,
    record::link_target,
    unfit,
};

impl LayerWriter {
    /// Appends an entry of a Windows image, by its name there.
    pub(in crate::oci::layer) fn put_below_files(
        &mut self,
        entry: LayerEntry<'_>,
        content: impl Read,
    ) -> Result<u64, LayerError> {
        kind_of(&entry).map_err(|reason| refused(entry.name, reason))?;
        check_windows(entry.name)?;
        let name = below_files(entry.name);
        let target;
        let kind = match entry.kind {
            EntryKind::HardLink { target: image } => {
                check_windows(image)?;
                target = below_files(image);
                EntryKind::HardLink { target: &target }
            }
            EntryKind::Symlink { target: image } => {
                target = link_target(image);
                EntryKind::Symlink { target: &target }
            }
            kind => kind,
        };
        // Who owns it stands in its security descriptor.
        self.put(&LayerEntry { name: &name, kind, uid: 0, gid: 0, ..entry }, content)
    }

    /// Appends an entry that Windows has exported, by its name in the layer; that of a further stream of a file has a
    /// colon in it. All that is said of it for Windows is what it brings along.
    pub(super) fn append_exported(
        &mut self,
        entry: &LayerEntry<'_>,
        content: impl Read,
    ) -> Result<u64, LayerError> {
        self.whole(|writer| {
            check(entry)?;
            kind_of(entry).map_err(|reason| refused(entry.name, reason))?;
            check_exported(entry.name)?;
            if let EntryKind::HardLink { target } = entry.kind {
                check_windows(target)?;
            }
            let entry = LayerEntry { uid: 0, gid: 0, ..writer.policy.apply(*entry) };
            let extra = brought(&entry);
            writer.put_with(&LayerEntry { xattrs: &[], ..entry }, extra, content)
        })
    }
}

/// Refuses names that no file and no stream of one can have.
fn check_exported(name: &[u8]) -> Result<(), LayerError> {
    let slash = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let Some(colon) = name[slash..].iter().position(|byte| *byte == b':') else { return check_windows(name) };
    let (file, stream) = (&name[..slash + colon], &name[slash + colon + 1..]);
    let is_odd = stream.is_empty() || stream.iter().any(|byte| b":\\\0".contains(byte));
    let reason = is_odd.then_some("no stream of a file has such a name");
    let reason = reason.or_else(|| file.split(|byte| *byte == b'/').find_map(unfit));
    reason.map_or(Ok(()), |reason| Err(refused(name, reason)))
}
