//! What Windows demands of containers.

use std::path::{Path, PathBuf};

use super::changes::{Found, find, of_image};
use super::{
    codes::{BUSY, INVALID_ARGUMENT, NO_SUCH_USER, refused},
    documents,
    layers::{id, volume},
    process,
    world::{FakeWindows, LayerKind, State, System},
};
use crate::backend::hcs::{
    api::{ComputeSystem, HcsResult, LayerBelow, StartedProcess},
    fault::code,
    guid::Guid,
};

/// The owner of a container, its writable layer, and the ids of what connects it.
type Described = (String, PathBuf, Vec<Guid>);

/// The handle of a container.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) windows: FakeWindows,
    pub(super) id: String,
}

impl State {
    pub(super) fn create_system(&mut self, name: &str, document: &str) -> HcsResult<()> {
        const CALL: &str = "HcsCreateComputeSystem";
        if self.systems.contains_key(name) {
            return refused(CALL, code::SYSTEM_EXISTS, "there is one with that id");
        }
        let is_old = document.contains("\"SystemType\"");
        let (owner, scratch, connections) =
            if is_old { self.virtual_machine(name, document)? } else { self.shared(document)? };
        if owner.is_empty() {
            return refused(CALL, code::INVALID_JSON, "nobody owns it");
        }
        if self.user_of(&scratch).is_some() {
            return refused(CALL, code::SHARING_VIOLATION, "another container uses the disk");
        }
        let document = document.to_owned();
        let system = System { owner, scratch, is_started: false, connections, document };
        self.systems.insert(name.to_owned(), system);
        Ok(())
    }

    fn shared(&mut self, document: &str) -> HcsResult<Described> {
        const CALL: &str = "HcsCreateComputeSystem";
        let read: documents::System = match serde_json::from_str(document) {
            Ok(read) => read,
            Err(error) => return refused(CALL, code::INVALID_JSON, error.to_string()),
        };
        let container = read.container;
        if read.schema_version != (documents::SchemaVersion { major: 2, minor: 1 })
            || !read.should_terminate_on_last_handle_closed
            || container.guest_os.host_name.is_empty()
            || container.memory.is_some_and(|memory| memory.size == 0)
            || container.processor.is_some_and(|processor| !(1..=10_000).contains(&processor.maximum))
        {
            return refused(CALL, code::INVALID_JSON, "a value cannot be");
        }
        let named: Vec<_> = container.storage.layers.iter().map(|layer| (&layer.id, &layer.path)).collect();
        let scratch = self.layers.iter().find(|(path, _)| volume(path) == container.storage.path);
        let Some((scratch, layer)) = scratch.filter(|(_, layer)| layer.prepared) else {
            return refused(CALL, code::PATH_NOT_FOUND, "there is no such volume");
        };
        let scratch = scratch.clone();
        if !same(&named, &layer.below) {
            return refused(CALL, code::INVALID_LAYER, "the disk was made on other layers");
        }
        let namespace = container.networking.map(|networking| networking.namespace);
        if let Some(namespace) = namespace {
            self.check_namespace(CALL, namespace)?;
        }
        Ok((read.owner, scratch, namespace.into_iter().collect()))
    }

    fn virtual_machine(&mut self, name: &str, document: &str) -> HcsResult<Described> {
        const CALL: &str = "HcsCreateComputeSystem";
        let read: documents::OldSystem = match serde_json::from_str(document) {
            Ok(read) => read,
            Err(error) => return refused(CALL, code::INVALID_JSON, error.to_string()),
        };
        if read.system_type != "Container"
            || read.name != name
            || !read.hv_partition
            || !read.terminate_on_last_handle_closed
            || read.host_name.is_empty()
            || read.memory_maximum == Some(0)
            || read.processor_maximum.is_some_and(|maximum| !(1..=10_000).contains(&maximum))
        {
            return refused(CALL, code::INVALID_JSON, "a value cannot be");
        }
        let scratch = PathBuf::from(&read.layer_folder_path);
        let layer = match self.layers.get(&scratch) {
            Some(layer) if layer.kind == LayerKind::Scratch => layer,
            _ => return refused(CALL, code::PATH_NOT_FOUND, "there is no such disk"),
        };
        if layer.active {
            return refused(CALL, code::SHARING_VIOLATION, "the disk is this machine's");
        }
        let named: Vec<_> = read.layers.iter().map(|layer| (&layer.id, &layer.path)).collect();
        if !same(&named, &layer.below) {
            return refused(CALL, code::INVALID_LAYER, "the disk was made on other layers");
        }
        let base = layer.below.last().cloned().unwrap_or_default();
        if read.hv_runtime.image_path != format!("{}\\UtilityVM", base.display()) {
            return refused(CALL, code::PATH_NOT_FOUND, "the machine begins with something else");
        }
        if !self.layers.get(&base).is_some_and(|base| base.bootable) {
            return refused(CALL, code::INVALID_LAYER, "the base has no utility VM");
        }
        for endpoint in &read.endpoint_list {
            self.check_endpoint(CALL, *endpoint)?;
        }
        Ok((read.owner, scratch, read.endpoint_list))
    }

    fn end_system(&mut self, name: &str) {
        for running in self.running.remove(name).unwrap_or_default() {
            running.kill();
        }
        self.systems.remove(name);
    }
}

/// Whether the layers of a document are those below a disk.
fn same(named: &[(&String, &String)], below: &[PathBuf]) -> bool {
    let known = |layer: &PathBuf| {
        let name = layer.file_name().unwrap_or_default().to_string_lossy();
        (id(&name).to_string(), layer.display().to_string())
    };
    named.len() == below.len()
        && named.iter().zip(below).all(|((id, path), layer)| ((*id).clone(), (*path).clone()) == known(layer))
}

impl ComputeSystem for Handle {
    fn start(&self) -> HcsResult<()> {
        const CALL: &str = "HcsStartComputeSystem";
        self.windows.answer(CALL, |state| match state.systems.get_mut(&self.id) {
            None => refused(CALL, code::TERMINATED_DURING_START, "it was ended"),
            Some(system) if system.is_started => refused(CALL, code::INVALID_STATE, "it was started"),
            Some(system) => {
                system.is_started = true;
                Ok(())
            }
        })
    }

    fn terminate(&self) -> HcsResult<()> {
        self.windows.answer("HcsTerminateComputeSystem", |state| {
            state.end_system(&self.id);
            Ok(())
        })
    }

    fn shut_down(&self) -> HcsResult<()> {
        const CALL: &str = "HcsShutDownComputeSystem";
        self.windows.answer(CALL, |state| match state.systems.get(&self.id) {
            None => Ok(()),
            Some(system) if !system.is_started => refused(CALL, code::INVALID_STATE, "it was not started"),
            Some(_) => {
                state.end_system(&self.id);
                Ok(())
            }
        })
    }

    fn create_process(&self, document: &str) -> HcsResult<StartedProcess> {
        const CALL: &str = "HcsCreateProcess";
        self.windows.answer(CALL, |state| {
            let Some(system) = state.systems.get(&self.id) else {
                return refused(CALL, code::SYSTEM_NOT_FOUND, "it was ended");
            };
            if !system.is_started {
                return refused(CALL, code::INVALID_STATE, "it was not started");
            }
            let read: documents::Process = match serde_json::from_str(document) {
                Ok(read) => read,
                Err(error) => return refused(CALL, code::INVALID_JSON, error.to_string()),
            };
            let pipes = read.create_std_out_pipe && read.create_std_err_pipe && !read.create_std_in_pipe;
            if read.command_line.is_empty() || read.emulate_console || !pipes {
                return refused(CALL, INVALID_ARGUMENT, "a value cannot be");
            }
            if !["", "ContainerUser", "ContainerAdministrator"].contains(&read.user.as_str()) {
                return refused(CALL, NO_SUCH_USER, "nobody is called so");
            }
            let directory = &read.working_directory;
            let is_there = directory == "C:\\"
                || find(state, &system.scratch, &of_image(directory)) == Some(Found::Directory);
            if !directory.starts_with("C:\\") || !is_there {
                return refused(CALL, code::NO_DIRECTORY, format!("{directory} is not there"));
            }
            let scratch = system.scratch.clone();
            match process::start(&self.windows, &self.id, &scratch, read) {
                Err(error) => refused(CALL, BUSY, error.to_string()),
                Ok((running, started)) => {
                    state.running.entry(self.id.clone()).or_default().push(running);
                    Ok(started)
                }
            }
        })
    }
}

/// A layer below, by its path.
pub(super) fn layer_below(path: &Path) -> LayerBelow {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    LayerBelow { id: id(&name), path: path.to_owned() }
}
