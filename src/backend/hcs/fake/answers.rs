//! Answers the calls.

use std::{io::Read, path::Path, thread, time::Duration};

use super::{
    codes::{BUSY, refused},
    files, layers,
    systems::Handle,
    world::FakeWindows,
};
use crate::backend::hcs::{
    api::{ComputeSystem, FileAttributes, FileIdentity, HcsApi, HcsResult, LayerBelow},
    fault::code,
    guid::Guid,
    version::OsVersion,
};

/// How long two threads that prepare layers at the same time meet.
const MOMENT: Duration = Duration::from_millis(2);

impl HcsApi for FakeWindows {
    fn available(&self) -> HcsResult<()> {
        self.answer("available", |_| Ok(()))
    }

    fn host_version(&self) -> HcsResult<OsVersion> {
        self.answer("RtlGetVersion", |state| Ok(state.host.parse().expect("a version")))
    }

    fn layer_id(&self, name: &str) -> HcsResult<Guid> {
        Ok(layers::id(name))
    }

    fn process_base(&self, layer: &Path) -> HcsResult<()> {
        self.answer("ProcessBaseImage", |state| state.process_base(layer))
    }

    fn process_utility_vm(&self, utility_vm: &Path) -> HcsResult<()> {
        self.answer("ProcessUtilityImage", |state| state.process_utility_vm(utility_vm))
    }

    fn import_layer(&self, layer: &Path, staging: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        self.answer("ImportLayer", |state| state.import_layer(layer, staging, below))
    }

    fn export_layer(&self, layer: &Path, staging: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        self.answer("ExportLayer", |state| state.export(layer, staging, below))
    }

    fn create_scratch(&self, layer: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        self.answer("CreateSandboxLayer", |state| state.create_scratch(layer, below))
    }

    fn activate_layer(&self, layer: &Path) -> HcsResult<()> {
        self.answer("ActivateLayer", |state| state.activate(layer))
    }

    fn prepare_layer(&self, layer: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        const CALL: &str = "PrepareLayer";
        // Windows does not say that it mixes them up; here it does.
        if std::mem::replace(&mut self.state().preparing, true) {
            return refused(CALL, BUSY, "two layers are prepared at the same time");
        }
        thread::sleep(MOMENT);
        let prepared = self.answer(CALL, |state| state.prepare(layer, below));
        self.state().preparing = false;
        prepared
    }

    fn mount_path(&self, layer: &Path) -> HcsResult<String> {
        self.answer("GetLayerMountPath", |state| state.mount_path(layer))
    }

    fn unprepare_layer(&self, layer: &Path) -> HcsResult<()> {
        self.answer("UnprepareLayer", |state| state.unprepare(layer))
    }

    fn deactivate_layer(&self, layer: &Path) -> HcsResult<()> {
        self.answer("DeactivateLayer", |state| state.deactivate(layer))
    }

    fn destroy_layer(&self, layer: &Path) -> HcsResult<()> {
        self.answer("DestroyLayer", |state| state.destroy(layer))
    }

    fn create_system(&self, id: &str, document: &str) -> HcsResult<Box<dyn ComputeSystem>> {
        self.answer("HcsCreateComputeSystem", |state| {
            state.create_system(id, document)?;
            Ok(Box::new(Handle { windows: self.clone(), id: id.to_owned() }) as Box<dyn ComputeSystem>)
        })
    }

    fn open_system(&self, id: &str) -> HcsResult<Box<dyn ComputeSystem>> {
        const CALL: &str = "HcsOpenComputeSystem";
        self.answer(CALL, |state| match state.systems.get(id) {
            Some(_) => {
                Ok(Box::new(Handle { windows: self.clone(), id: id.to_owned() }) as Box<dyn ComputeSystem>)
            }
            None => refused(CALL, code::SYSTEM_NOT_FOUND, "there is none"),
        })
    }

    fn systems(&self, owner: &str) -> HcsResult<Vec<String>> {
        self.answer("HcsEnumerateComputeSystems", |state| {
            let owned = state.systems.iter().filter(|(_, system)| system.owner == owner);
            Ok(owned.map(|(id, _)| id.clone()).collect())
        })
    }

    fn write_backup(&self, path: &Path, attributes: &FileAttributes, stream: &mut dyn Read) -> HcsResult<()> {
        self.answer("BackupWrite", |_| match files::write(path, attributes, stream) {
            Ok(()) => Ok(()),
            Err(error) => refused("BackupWrite", code::PATH_NOT_FOUND, error.to_string()),
        })
    }

    fn set_attributes(&self, path: &Path, attributes: &FileAttributes) -> HcsResult<()> {
        self.answer("SetFileInformationByHandle", |_| {
            let call = "SetFileInformationByHandle";
            if !files::is_restored(path) {
                // An ordinary file, of which this Windows keeps no attributes.
                let there = path.exists();
                return if there { Ok(()) } else { refused(call, code::PATH_NOT_FOUND, "it is not there") };
            }
            let written = files::read(path)
                .and_then(|(_, stream)| files::write(path, attributes, &mut stream.as_slice()));
            written.or_else(|error| refused(call, BUSY, error.to_string()))
        })
    }

    fn identity(&self, _path: &Path) -> HcsResult<FileIdentity> {
        Ok(FileIdentity { id: 0, names: 1 })
    }

    fn read_backup(&self, path: &Path) -> HcsResult<(FileAttributes, Box<dyn Read + Send>)> {
        self.answer("BackupRead", |_| match files::read(path) {
            Ok((attributes, stream)) => {
                Ok((attributes, Box::new(std::io::Cursor::new(stream)) as Box<dyn Read + Send>))
            }
            Err(error) => refused("BackupRead", code::PATH_NOT_FOUND, error.to_string()),
        })
    }
}
