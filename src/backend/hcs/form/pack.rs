//! From the folder that Windows has exported to a layer in the store.

use std::path::Path;

use polyarch_actors::ImageOs;

use super::source::Source;
use crate::{
    backend::hcs::{failure::HcsFailure, machine::Machine, stop::Stop},
    oci::layer::{
        Compression, Layer, LayerOptions, LayerWriter,
        windows::export::{ExportError, ExportOptions, export},
    },
    session::LayerRecord,
};

/// The layer of an export, and what is in it; nothing where there is nothing in it.
pub(in crate::backend::hcs) fn pack(
    machine: &Machine,
    exported: &Path,
    latest_mtime: Option<i64>,
    stop: &Stop,
) -> Result<Option<(Layer, Vec<LayerRecord>)>, HcsFailure> {
    let write = |error: &dyn std::error::Error| HcsFailure::Write(crate::error::with_sources(error));
    let options = LayerOptions {
        os: ImageOs::Windows,
        compression: Compression::default(),
        cancel: stop.token(),
        ..LayerOptions::default()
    };
    let mut writer = LayerWriter::new(&machine.store, options).map_err(|error| write(&error))?;
    let mut source = Source::new(&*machine.api, exported);
    let options = ExportOptions { latest_mtime, limits: machine.options.limits };
    let records = export(&mut source, &mut writer, options).map_err(|error| match source.failed.take() {
        Some(error) => error.into(),
        None => explain(error, stop),
    })?;
    let layer = writer.finish().map_err(|error| write(&error))?;
    // What changes in the registry is among no records.
    let is_empty = records.is_empty() && !has_entries(&exported.join("Hives"));
    Ok((!is_empty).then_some((layer, records)))
}

fn has_entries(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

fn explain(error: ExportError, stop: &Stop) -> HcsFailure {
    match stop.check() {
        Err(stopped) => stopped,
        Ok(()) => HcsFailure::Write(crate::error::with_sources(&error)),
    }
}
