//! The two directions as one call each.

use polyarch_actors::ImageOs;
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        export::{ExportError, ExportOptions, export},
        import::{Form, ImportError, import},
    },
    Disk, Tape, archive_of,
};
use crate::{
    archive::Limits,
    oci::{
        Store,
        layer::{Compression, Layer, LayerOptions, LayerWriter},
    },
    session::LayerRecord,
};

/// What is made of a layer.
pub(in super::super) fn made_of(tape: &Tape, form: Form) -> Result<Disk, ImportError> {
    made_of_bytes(&archive_of(tape), form)
}

/// The same of the bytes of an archive.
pub(in super::super) fn made_of_bytes(archive: &[u8], form: Form) -> Result<Disk, ImportError> {
    let mut disk = Disk::default();
    let cancel = CancellationToken::new();
    disk.done = import(archive, form, &mut disk, Limits::default(), &cancel)?;
    Ok(disk)
}

/// The layer of what is on a disk, uncompressed.
pub(crate) fn exported(
    store: &Store,
    disk: &mut Disk,
    options: ExportOptions,
) -> Result<(Layer, Vec<LayerRecord>), ExportError> {
    let os = ImageOs::Windows;
    let layer = LayerOptions { os, compression: Compression::None, ..LayerOptions::default() };
    let mut writer = LayerWriter::new(store, layer)?;
    let records = export(disk, &mut writer, options)?;
    Ok((writer.finish()?, records))
}
