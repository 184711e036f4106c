//! The documents by which Windows is told of containers.
//!
//! Sources: Microsoft, "Schema reference of the Host Compute System"
//! (<https://learn.microsoft.com/virtualization/api/hcs/schemareference>) for schema 2.1; hcsshim,
//! `internal/hcs/schema1/schema1.go`, for the older form, in which the virtual machine of a container needs no
//! description of its own.

use std::path::Path;

use serde::Serialize;

use super::api::LayerBelow;

/// What a container is made of.
#[derive(Clone, Copy, Debug)]
pub struct Container<'c> {
    /// Who made it.
    pub owner: &'c str,
    /// Its id.
    pub id: &'c str,
    /// Its writable layer, and with that how it is kept apart from this machine.
    pub disk: Disk<'c>,
    /// The layers below, topmost first.
    pub below: &'c [LayerBelow],
    /// What connects it with a network: the id of a namespace for one that shares the kernel, the id of an endpoint for
    /// one in a virtual machine. Without, it reaches nothing.
    pub network: Option<&'c str>,
    /// The most memory, in MiB.
    pub memory: Option<u64>,
    /// The most CPU time, in ten-thousandths of that of all CPUs.
    pub processor: Option<u32>,
}

/// The writable layer of a container.
#[derive(Clone, Copy, Debug)]
pub enum Disk<'c> {
    /// This machine has mounted it, and the container shares its kernel: the volume, `\\?\Volume{…}\`.
    Volume(&'c str),
    /// A virtual machine mounts it, which has the container in it: the folder.
    Folder(&'c Path),
}

impl Container<'_> {
    /// The document of `HcsCreateComputeSystem`.
    pub fn document(&self) -> String {
        match self.disk {
            Disk::Volume(volume) => json(&self.shared(volume)),
            Disk::Folder(folder) => json(&self.virtual_machine(folder)),
        }
    }

    fn shared(&self, volume: &str) -> System {
        System {
            owner: self.owner.to_owned(),
            schema_version: SchemaVersion { major: 2, minor: 1 },
            should_terminate_on_last_handle_closed: true,
            container: SharedContainer {
                guest_os: GuestOs { host_name: HOST_NAME.into() },
                storage: Storage { layers: self.layers(), path: volume.to_owned() },
                networking: self.network.map(|namespace| Networking { namespace: namespace.to_owned() }),
                memory: self.memory.map(|size| Memory { size_in_mb: size }),
                processor: self.processor.map(|maximum| Processor { maximum }),
            },
        }
    }

    fn virtual_machine(&self, scratch: &Path) -> OldContainer {
        // The lowest layer holds the system that the machine begins with.
        let base = self.below.last().map(|layer| text(&layer.path)).unwrap_or_default();
        OldContainer {
            system_type: "Container",
            name: self.id.to_owned(),
            owner: self.owner.to_owned(),
            layer_folder_path: text(scratch),
            layers: self
                .layers()
                .into_iter()
                .map(|layer| OldLayer { id: layer.id, path: layer.path })
                .collect(),
            processor_maximum: self.processor,
            memory_maximum_in_mb: self.memory,
            endpoint_list: self.network.map(str::to_owned).into_iter().collect(),
            host_name: HOST_NAME.into(),
            hv_partition: true,
            hv_runtime: HvRuntime { image_path: format!("{base}\\UtilityVM") },
            terminate_on_last_handle_closed: true,
        }
    }

    fn layers(&self) -> Vec<Layer> {
        self.below.iter().map(|layer| Layer { id: layer.id.to_string(), path: text(&layer.path) }).collect()
    }
}

/// What containers see as the name of their machine: the same everywhere, since some programs write it into files.
const HOST_NAME: &str = "polyarch";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct System {
    owner: String,
    schema_version: SchemaVersion,
    should_terminate_on_last_handle_closed: bool,
    container: SharedContainer,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SchemaVersion {
    major: u32,
    minor: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SharedContainer {
    guest_os: GuestOs,
    storage: Storage,
    #[serde(skip_serializing_if = "Option::is_none")]
    networking: Option<Networking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processor: Option<Processor>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GuestOs {
    host_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Storage {
    layers: Vec<Layer>,
    path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Layer {
    id: String,
    path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Networking {
    namespace: String,
}

#[derive(Serialize)]
struct Memory {
    #[serde(rename = "SizeInMB")]
    size_in_mb: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Processor {
    maximum: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OldContainer {
    system_type: &'static str,
    name: String,
    owner: String,
    layer_folder_path: String,
    layers: Vec<OldLayer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processor_maximum: Option<u32>,
    #[serde(rename = "MemoryMaximumInMB", skip_serializing_if = "Option::is_none")]
    memory_maximum_in_mb: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    endpoint_list: Vec<String>,
    host_name: String,
    hv_partition: bool,
    hv_runtime: HvRuntime,
    terminate_on_last_handle_closed: bool,
}

#[derive(Serialize)]
struct OldLayer {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Path")]
    path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HvRuntime {
    image_path: String,
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(super) fn json<T: Serialize>(document: &T) -> String {
    // Strings, numbers and maps by strings: there is nothing in it that JSON does not have.
    serde_json::to_string(document).unwrap_or_default()
}
