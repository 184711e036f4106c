//! What Windows demands of layers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    codes::{ALREADY_EXISTS, BUSY, FILE_EXISTS, INVALID_ARGUMENT, INVALID_DATA, WRONG_STATE, refused},
    disk::{hold_places, restored_below, take, take_hives, write_export},
    world::{Layer, LayerKind, State},
};
use crate::{
    backend::hcs::{
        api::{HcsResult, LayerBelow},
        fault::code,
        guid::Guid,
    },
    oci::digest_of,
};

/// The id of a layer, by the last component of its path.
pub(super) fn id(name: &str) -> Guid {
    let digest = digest_of(name.to_uppercase().as_bytes());
    let byte = |at: usize| u8::from_str_radix(&digest.hex()[2 * at..2 * at + 2], 16).unwrap_or_default();
    Guid(std::array::from_fn(byte))
}

/// The volume of a prepared layer.
pub(super) fn volume(layer: &Path) -> String {
    format!("\\\\?\\Volume{{{}}}\\", id(&name(layer)))
}

fn name(layer: &Path) -> String {
    layer.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl State {
    pub(super) fn layer(&mut self, call: &'static str, path: &Path) -> HcsResult<&mut Layer> {
        match self.layers.get_mut(path) {
            Some(layer) => Ok(layer),
            None => refused(call, code::PATH_NOT_FOUND, format!("{} is no layer", path.display())),
        }
    }

    /// The paths of layers below, if they are a whole chain in the right order.
    pub(super) fn chain(&self, call: &'static str, below: &[LayerBelow]) -> HcsResult<Vec<PathBuf>> {
        let paths: Vec<PathBuf> = below.iter().map(|layer| layer.path.clone()).collect();
        if below.is_empty() {
            return refused(call, INVALID_ARGUMENT, "there is nothing below");
        }
        for (at, layer) in below.iter().enumerate() {
            if layer.id != id(&name(&layer.path)) {
                return refused(call, INVALID_ARGUMENT, "the id of a layer is not that of its name");
            }
            let Some(known) = self.layers.get(&layer.path) else {
                return refused(call, code::PATH_NOT_FOUND, "there is no such layer below");
            };
            let is_base = at + 1 == below.len();
            let fits = match known.kind {
                LayerKind::Base => is_base,
                LayerKind::Diff => !is_base && known.below == paths[at + 1..],
                LayerKind::Scratch => false,
            };
            if !fits {
                return refused(call, code::INVALID_LAYER, "the layers below are not the topmost first");
            }
        }
        Ok(paths)
    }

    pub(super) fn process_base(&mut self, layer: &Path) -> HcsResult<()> {
        const CALL: &str = "ProcessBaseImage";
        if self.layers.contains_key(layer) {
            return refused(CALL, ALREADY_EXISTS, "it is a layer already");
        }
        if !layer.join("Files").is_dir() {
            return refused(CALL, code::PATH_NOT_FOUND, "there are no Files");
        }
        restored_below(CALL, &layer.join("Files"))?;
        self.layers.insert(layer.to_owned(), new(LayerKind::Base, Vec::new()));
        Ok(())
    }

    pub(super) fn process_utility_vm(&mut self, utility_vm: &Path) -> HcsResult<()> {
        const CALL: &str = "ProcessUtilityImage";
        if !utility_vm.join("Files").is_dir() {
            return refused(CALL, code::PATH_NOT_FOUND, "there are no Files");
        }
        let layer = utility_vm.parent().unwrap_or(utility_vm);
        self.layer(CALL, layer)?.bootable = true;
        Ok(())
    }

    pub(super) fn import_layer(
        &mut self,
        layer: &Path,
        staging: &Path,
        below: &[LayerBelow],
    ) -> HcsResult<()> {
        const CALL: &str = "ImportLayer";
        let below = self.chain(CALL, below)?;
        if self.layers.contains_key(layer) {
            return refused(CALL, ALREADY_EXISTS, "it is a layer already");
        }
        if !staging.join("Files").is_dir() {
            return refused(CALL, code::PATH_NOT_FOUND, "there are no Files");
        }
        let _ = fs::create_dir(layer);
        if let Err(why) = take(&staging.join("Files"), &layer.join("Files"), true) {
            return refused(CALL, INVALID_DATA, why);
        }
        if let Err(why) = take_hives(&staging.join("Hives"), &layer.join("Hives")) {
            return refused(CALL, INVALID_DATA, why);
        }
        if hold_places(&below[0].join("Files"), &layer.join("Files")).is_err() {
            return refused(CALL, BUSY, "the places of files below cannot be held");
        }
        self.layers.insert(layer.to_owned(), new(LayerKind::Diff, below));
        Ok(())
    }

    pub(super) fn create_scratch(&mut self, layer: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        const CALL: &str = "CreateSandboxLayer";
        let below = self.chain(CALL, below)?;
        if layer.exists() {
            return refused(CALL, ALREADY_EXISTS, "there is something already");
        }
        if fs::create_dir(layer).and_then(|()| fs::write(layer.join("sandbox.vhdx"), b"disk")).is_err() {
            return refused(CALL, code::PATH_NOT_FOUND, "its folder is not there");
        }
        self.layers.insert(layer.to_owned(), new(LayerKind::Scratch, below));
        Ok(())
    }

    pub(super) fn activate(&mut self, path: &Path) -> HcsResult<()> {
        const CALL: &str = "ActivateLayer";
        if self.user_of(path).is_some() {
            return refused(CALL, code::SHARING_VIOLATION, "a container uses it");
        }
        let layer = self.layer(CALL, path)?;
        if layer.kind != LayerKind::Scratch || layer.active {
            return refused(CALL, WRONG_STATE, "it is active, or no disk");
        }
        layer.active = true;
        Ok(())
    }

    pub(super) fn prepare(&mut self, path: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        const CALL: &str = "PrepareLayer";
        let below = self.chain(CALL, below)?;
        let layer = self.layer(CALL, path)?;
        if !layer.active || layer.prepared {
            return refused(CALL, WRONG_STATE, "it is not active, or prepared");
        }
        if layer.below != below {
            return refused(CALL, INVALID_ARGUMENT, "it was made on other layers");
        }
        layer.prepared = true;
        Ok(())
    }

    pub(super) fn mount_path(&mut self, path: &Path) -> HcsResult<String> {
        const CALL: &str = "GetLayerMountPath";
        if self.layer(CALL, path)?.prepared {
            return Ok(volume(path));
        }
        refused(CALL, code::NOT_READY, "it is not prepared")
    }

    pub(super) fn unprepare(&mut self, path: &Path) -> HcsResult<()> {
        const CALL: &str = "UnprepareLayer";
        if self.user_of(path).is_some() {
            return refused(CALL, code::SHARING_VIOLATION, "a container uses it");
        }
        let layer = self.layer(CALL, path)?;
        if !layer.prepared {
            return refused(CALL, WRONG_STATE, "it is not prepared");
        }
        layer.prepared = false;
        Ok(())
    }

    pub(super) fn deactivate(&mut self, path: &Path) -> HcsResult<()> {
        const CALL: &str = "DeactivateLayer";
        let layer = self.layer(CALL, path)?;
        if !layer.active || layer.prepared {
            return refused(CALL, WRONG_STATE, "it is not active, or still prepared");
        }
        layer.active = false;
        Ok(())
    }

    pub(super) fn destroy(&mut self, path: &Path) -> HcsResult<()> {
        const CALL: &str = "DestroyLayer";
        if !path.exists() {
            return refused(CALL, code::PATH_NOT_FOUND, "there is no such folder");
        }
        let is_below = self.layers.values().any(|layer| layer.below.iter().any(|below| below == path));
        let in_use = self.layers.get(path).is_some_and(|layer| layer.active || layer.prepared);
        if in_use || is_below || self.user_of(path).is_some() {
            return refused(CALL, code::SHARING_VIOLATION, "it is active, or below another one");
        }
        if fs::remove_dir_all(path).is_err() {
            return refused(CALL, BUSY, "it cannot be removed");
        }
        self.layers.remove(path);
        Ok(())
    }

    pub(super) fn export(&mut self, path: &Path, staging: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        const CALL: &str = "ExportLayer";
        let below = self.chain(CALL, below)?;
        let layer = self.layer(CALL, path)?;
        if layer.kind != LayerKind::Scratch || !layer.active || layer.prepared {
            return refused(CALL, WRONG_STATE, "it is prepared, or not active");
        }
        if layer.below != below {
            return refused(CALL, INVALID_ARGUMENT, "it was made on other layers");
        }
        if staging.exists() {
            return refused(CALL, FILE_EXISTS, "the folder is there already");
        }
        match write_export(layer, staging) {
            Ok(()) => Ok(()),
            Err(error) => refused(CALL, BUSY, error.to_string()),
        }
    }
}

fn new(kind: LayerKind, below: Vec<PathBuf>) -> Layer {
    let changes = super::changes::Changes::new();
    Layer { kind, below, active: false, prepared: false, bootable: false, changes }
}
