//! What is done in the folder of a layer when Windows has imported it.

use std::{fs, path::Path};

use super::sink::remove_if_there;
use crate::{
    backend::hcs::{api::LayerBelow, failure::HcsFailure, machine::Machine},
    oci::layer::windows::import::{Imported, ImportedLink},
};

/// Deletes, links, and gives directories their times again.
pub(in crate::backend::hcs) fn finish(
    machine: &Machine,
    imported: &Imported,
    layer: &Path,
    below: &[LayerBelow],
) -> Result<(), HcsFailure> {
    for path in &imported.deletions {
        remove_if_there(&path.below(layer)).map_err(HcsFailure::io(format!("delete {path}")))?;
    }
    for link in &imported.links {
        make_link(link, layer, below)?;
    }
    for (path, attributes) in &imported.directories {
        machine.api.set_attributes(&path.below(layer), attributes)?;
    }
    Ok(())
}

fn make_link(link: &ImportedLink, layer: &Path, below: &[LayerBelow]) -> Result<(), HcsFailure> {
    let linking = || HcsFailure::io(format!("link {} to {}", link.path, link.target));
    let target = if link.is_in_layer {
        link.target.below(layer)
    } else {
        let mut places = below.iter().map(|layer| link.target.below(&layer.path));
        let found = places.find(|place| fs::symlink_metadata(place).is_ok());
        found.ok_or_else(|| linking()(std::io::ErrorKind::NotFound.into()))?
    };
    let path = link.path.below(layer);
    remove_if_there(&path).map_err(linking())?;
    fs::hard_link(target, path).map_err(linking())
}
