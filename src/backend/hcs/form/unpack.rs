//! From the archive of a layer to a folder.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::sink::Sink;
use crate::{
    archive::decompress_within,
    backend::hcs::{
        api::{HcsApi, LayerBelow},
        failure::HcsFailure,
        machine::Machine,
        stop::Stop,
    },
    oci::layer::windows::import::{Form, ImportError, Imported, import},
    session::StepLayer,
};

/// Puts the files of the lowest layer into the folder that becomes the layer.
pub(in crate::backend::hcs) fn unpack_base(
    machine: &Machine,
    layer: &StepLayer,
    folder: &Path,
    stop: &Stop,
) -> Result<Imported, HcsFailure> {
    make(folder)?;
    let sink = Sink::new(&*machine.api, folder, folder, &[]);
    unpack(machine, layer, Form::Base, sink, stop)
}

/// Puts what a layer on others says into a folder from which Windows imports it; some of it goes into the folder of the
/// layer itself.
pub(in crate::backend::hcs) fn unpack_difference(
    machine: &Machine,
    layer: &StepLayer,
    folder: &Path,
    staging: &Path,
    below: &[LayerBelow],
    stop: &Stop,
) -> Result<Imported, HcsFailure> {
    make(staging)?;
    let sink = Sink::new(&*machine.api, folder, staging, below);
    unpack(machine, layer, Form::Diff, sink, stop)
}

fn unpack<A: HcsApi + ?Sized>(
    machine: &Machine,
    layer: &StepLayer,
    form: Form,
    mut sink: Sink<'_, A>,
    stop: &Stop,
) -> Result<Imported, HcsFailure> {
    let malformed = |reason: String| HcsFailure::Layer { digest: layer.digest.to_string(), reason };
    let limits = machine.options.limits;
    let blob = machine.store.open_blob(&layer.digest)?;
    let archive = decompress_within(blob, limits).map_err(|error| malformed(error.to_string()))?;
    let cancel: CancellationToken = stop.token();
    import(archive, form, &mut sink, limits, &cancel).map_err(|error| match error {
        ImportError::Cancelled => HcsFailure::Cancelled,
        ImportError::Sink { path, source } => match sink.failed.take() {
            Some(error) => error.into(),
            None => HcsFailure::io(format!("make {path}"))(source),
        },
        error => malformed(crate::error::with_sources(&error)),
    })
}

fn make(folder: &Path) -> Result<(), HcsFailure> {
    std::fs::create_dir_all(folder).map_err(HcsFailure::io(format!("make the folder {}", folder.display())))
}
