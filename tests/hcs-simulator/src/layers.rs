//! What the functions about layers do, and in which order they may be called.

use std::{fs, path::Path};

use crate::{
    export,
    failure::{
        FILE_EXISTS, FILE_NOT_FOUND, Failure, INVALID_ARGUMENT, INVALID_STATE, NOT_READY, Outcome,
        PATH_NOT_FOUND, SHARING_VIOLATION,
    },
    import,
    state::{Kind, Layer, key},
    tree,
    world::{World, id_of, name_of, spelled},
};

/// A layer below, as a caller describes it.
#[derive(Debug)]
pub(crate) struct Below {
    pub(crate) id: u128,
    pub(crate) path: String,
}

impl World {
    pub(crate) fn process_base(&mut self, layer: &Path) -> Outcome<()> {
        absolute(layer)?;
        self.unknown(layer)?;
        if !layer.join("Files").is_dir() {
            return Err(Failure::new(PATH_NOT_FOUND, "a base has the folder Files"));
        }
        for disk in ["blank-base.vhdx", "blank.vhdx"] {
            fs::write(layer.join(disk), "")?;
        }
        self.insert(layer, Kind::Base, Vec::new());
        Ok(())
    }

    pub(crate) fn process_utility_vm(utility_vm: &Path) -> Outcome<()> {
        absolute(utility_vm)?;
        if !utility_vm.join("Files").is_dir() {
            return Err(Failure::new(PATH_NOT_FOUND, "a utility VM has the folder Files"));
        }
        for disk in ["SystemTemplateBase.vhdx", "SystemTemplate.vhdx"] {
            fs::File::create_new(utility_vm.join(disk))?;
        }
        Ok(())
    }

    pub(crate) fn import(&mut self, layer: &Path, staging: &Path, below: &[Below]) -> Outcome<()> {
        absolute(layer)?;
        absolute(staging)?;
        self.unknown(layer)?;
        let chain = self.chain(below)?;
        fs::create_dir_all(layer)?;
        for entry in fs::read_dir(layer)? {
            if entry?.file_name() != "UtilityVM" {
                return Err(Failure::new(FILE_EXISTS, "there is something where the layer shall be"));
            }
        }
        // What is below is seen through the layer, until its files hide it.
        tree::copy(&self.root, &Path::new(&below[0].path).join("Files"), &layer.join("Files"))?;
        import::import(self, staging, layer)?;
        self.insert(layer, Kind::Imported, chain);
        Ok(())
    }

    pub(crate) fn export(&mut self, layer: &Path, staging: &Path, below: &[Below]) -> Outcome<()> {
        absolute(staging)?;
        let scratch = self.scratch(layer, Some(below))?;
        if scratch.prepared {
            return Err(Failure::new(SHARING_VIOLATION, "the layer is prepared"));
        }
        if !staging.parent().is_some_and(Path::is_dir) {
            return Err(Failure::new(PATH_NOT_FOUND, "the folder of the export is nowhere"));
        }
        if fs::read_dir(staging).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Failure::new(FILE_EXISTS, "the folder of the export is not empty"));
        }
        let origin = fs::read(self.origin(&scratch.volume))?;
        let before = serde_json::from_slice(&origin).map_err(std::io::Error::other)?;
        export::export(&self.root, &self.volume(&scratch.volume), &before, staging)
    }

    pub(crate) fn create_scratch(&mut self, layer: &Path, below: &[Below]) -> Outcome<()> {
        absolute(layer)?;
        self.unknown(layer)?;
        let chain = self.chain(below)?;
        if !layer.parent().is_some_and(Path::is_dir) {
            return Err(Failure::new(PATH_NOT_FOUND, "the folder of the layer is nowhere"));
        }
        fs::create_dir_all(layer)?;
        fs::File::create_new(layer.join("sandbox.vhdx"))?;
        self.insert(layer, Kind::Scratch, chain);
        let volume = self.known(layer)?.volume.clone();
        let folder = self.volume(&volume);
        tree::copy(&self.root, &Path::new(&below[0].path).join("Files"), &folder)?;
        let stamps = serde_json::to_vec(&tree::stamps(&folder)?).map_err(std::io::Error::other)?;
        fs::write(self.origin(&volume), stamps)?;
        Ok(())
    }

    pub(crate) fn activate(&mut self, layer: &Path) -> Outcome<()> {
        if self.scratch(layer, None)?.active {
            return Err(Failure::new(SHARING_VIOLATION, "the layer is active already"));
        }
        self.known(layer)?.active = true;
        Ok(())
    }

    pub(crate) fn prepare(&mut self, layer: &Path, below: &[Below]) -> Outcome<()> {
        let scratch = self.scratch(layer, Some(below))?;
        if !scratch.active {
            return Err(Failure::new(NOT_READY, "the layer is not active"));
        }
        if scratch.prepared {
            return Err(Failure::new(SHARING_VIOLATION, "the layer is prepared already"));
        }
        self.known(layer)?.prepared = true;
        Ok(())
    }

    pub(crate) fn mount_path(&mut self, layer: &Path) -> Outcome<String> {
        let scratch = self.scratch(layer, None)?;
        if !scratch.prepared {
            return Err(Failure::new(NOT_READY, "the layer is not prepared"));
        }
        Ok(format!(r"\\?\Volume{{{}}}\", scratch.volume))
    }

    pub(crate) fn unprepare(&mut self, layer: &Path) -> Outcome<()> {
        if !self.scratch(layer, None)?.prepared {
            return Err(Failure::new(INVALID_STATE, "the layer is not prepared"));
        }
        self.unused(layer)?;
        self.known(layer)?.prepared = false;
        Ok(())
    }

    pub(crate) fn deactivate(&mut self, layer: &Path) -> Outcome<()> {
        let scratch = self.scratch(layer, None)?;
        if !scratch.active {
            return Err(Failure::new(INVALID_STATE, "the layer is not active"));
        }
        if scratch.prepared {
            return Err(Failure::new(SHARING_VIOLATION, "the layer is prepared"));
        }
        self.known(layer)?.active = false;
        Ok(())
    }

    pub(crate) fn destroy(&mut self, layer: &Path) -> Outcome<()> {
        absolute(layer)?;
        if !layer.is_dir() {
            return Err(Failure::new(PATH_NOT_FOUND, "there is no such layer"));
        }
        let named = key(layer);
        if let Some(known) = self.state.layers.get(&named) {
            if known.active || known.prepared {
                return Err(Failure::new(SHARING_VIOLATION, "the layer is active"));
            }
            if self.state.layers.values().any(|above| above.below.contains(&named)) {
                return Err(Failure::new(SHARING_VIOLATION, "the layer is below another one"));
            }
            self.unused(layer)?;
            if known.kind == Kind::Scratch {
                tree::remove(&self.volume(&known.volume))?;
                tree::remove(&self.origin(&known.volume))?;
            }
        }
        tree::remove(layer)?;
        self.state.layers.remove(&named);
        Ok(())
    }

    /// The scratch at a path; with `below` only if these are what it was made with.
    pub(crate) fn scratch(&mut self, layer: &Path, below: Option<&[Below]>) -> Outcome<Layer> {
        absolute(layer)?;
        let scratch = self.known(layer)?.clone();
        if scratch.kind != Kind::Scratch {
            return Err(Failure::new(INVALID_ARGUMENT, "the layer cannot be written to"));
        }
        if let Some(below) = below
            && self.chain(below)? != scratch.below
        {
            return Err(Failure::new(INVALID_ARGUMENT, "these are not the layers below it"));
        }
        Ok(scratch)
    }

    /// The keys of layers that are below a new one, if they can be: all of them, and in their order.
    pub(crate) fn chain(&self, below: &[Below]) -> Outcome<Vec<String>> {
        let keys: Vec<String> = below.iter().map(|layer| key(Path::new(&layer.path))).collect();
        for (layer, named) in below.iter().zip(&keys) {
            let path = Path::new(&layer.path);
            absolute(path)?;
            if layer.id != id_of(&name_of(path)) {
                return Err(Failure::new(INVALID_ARGUMENT, format!("{} has another id", layer.path)));
            }
            if self.state.layers.get(named).is_none_or(|known| known.kind == Kind::Scratch) {
                return Err(Failure::new(
                    FILE_NOT_FOUND,
                    format!("{} is no layer that has a use", layer.path),
                ));
            }
        }
        let top = keys.first().and_then(|top| self.state.layers.get(top));
        let top = top.ok_or_else(|| Failure::new(INVALID_ARGUMENT, "there is no layer below"))?;
        if keys[1..] != top.below {
            return Err(Failure::new(INVALID_ARGUMENT, "these are not all layers, topmost first"));
        }
        Ok(keys)
    }

    fn insert(&mut self, layer: &Path, kind: Kind, below: Vec<String>) {
        let number = self.state.number();
        let volume = spelled(id_of(&format!("volume {number}")));
        let path = layer.to_string_lossy().into_owned();
        let made = Layer { path, kind, below, volume, active: false, prepared: false };
        self.state.layers.insert(key(layer), made);
    }

    fn known(&mut self, layer: &Path) -> Outcome<&mut Layer> {
        let known = self.state.layers.get_mut(&key(layer));
        known.ok_or_else(|| Failure::new(FILE_NOT_FOUND, "there is no such layer"))
    }

    fn unknown(&self, layer: &Path) -> Outcome<()> {
        if self.state.layers.contains_key(&key(layer)) {
            return Err(Failure::new(FILE_EXISTS, "there is such a layer already"));
        }
        Ok(())
    }

    fn unused(&self, layer: &Path) -> Outcome<()> {
        match self.state.user_of(&key(layer)) {
            Some(id) => {
                Err(Failure::new(SHARING_VIOLATION, format!("the compute system {id} uses the layer")))
            }
            None => Ok(()),
        }
    }
}

fn absolute(path: &Path) -> Outcome<()> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(Failure::new(INVALID_ARGUMENT, format!("{} is not absolute", path.display())))
}
