//! Reads the documents that describe containers and processes, and nothing that is not known of them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::backend::hcs::guid::Guid;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct System {
    pub(super) owner: String,
    pub(super) schema_version: SchemaVersion,
    pub(super) should_terminate_on_last_handle_closed: bool,
    pub(super) container: Container,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SchemaVersion {
    pub(super) major: u32,
    pub(super) minor: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Container {
    pub(super) guest_os: GuestOs,
    pub(super) storage: Storage,
    pub(super) networking: Option<Networking>,
    pub(super) memory: Option<Memory>,
    pub(super) processor: Option<Processor>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GuestOs {
    pub(super) host_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Storage {
    pub(super) layers: Vec<Layer>,
    pub(super) path: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Layer {
    pub(super) id: String,
    pub(super) path: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Networking {
    pub(super) namespace: Guid,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    #[serde(rename = "SizeInMB")]
    pub(super) size: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Processor {
    pub(super) maximum: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct OldSystem {
    pub(super) system_type: String,
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) layer_folder_path: String,
    pub(super) layers: Vec<OldLayer>,
    pub(super) processor_maximum: Option<u32>,
    #[serde(rename = "MemoryMaximumInMB")]
    pub(super) memory_maximum: Option<u64>,
    #[serde(default)]
    pub(super) endpoint_list: Vec<Guid>,
    pub(super) host_name: String,
    pub(super) hv_partition: bool,
    pub(super) hv_runtime: HvRuntime,
    pub(super) terminate_on_last_handle_closed: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OldLayer {
    #[serde(rename = "ID")]
    pub(super) id: String,
    #[serde(rename = "Path")]
    pub(super) path: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct HvRuntime {
    pub(super) image_path: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the schema has them")]
pub(super) struct Process {
    pub(super) command_line: String,
    #[serde(default)]
    pub(super) user: String,
    pub(super) working_directory: String,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) emulate_console: bool,
    pub(super) create_std_in_pipe: bool,
    pub(super) create_std_out_pipe: bool,
    pub(super) create_std_err_pipe: bool,
}
