//! [`HcsApi`] by the libraries of Windows.
//!
//! JUSTIFICATION: the list of compute systems comes from a library.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{io::Read, path::Path, sync::Arc};

use serde_json::{Value, json};

use super::{
    attributes,
    backup::Backup,
    compute::ComputeCore,
    host,
    layers::Layers,
    network::Networks,
    older::{self, OlderCompute},
    operation::Operation,
    rights,
    system::System,
    text::wide,
};
use crate::backend::hcs::{
    ComputeSystem, FileAttributes, FileIdentity, Guid, HcnApi, HcsApi, HcsError, HcsResult, LayerBelow,
    OsVersion,
};

/// The Host Compute Service of this Windows: `computecore.dll` for compute systems, `vmcompute.dll` for layers and for
/// compute systems whose document is of the older schema, `computenetwork.dll` for networks. They are loaded by the first
/// call that needs them; where there are none, every call says so.
#[derive(Debug)]
pub struct Dlls {
    core: Arc<ComputeCore>,
    older: Arc<OlderCompute>,
    layers: Layers,
    networks: Networks,
    backup: Backup,
}

impl Default for Dlls {
    fn default() -> Self {
        Self::new()
    }
}

impl Dlls {
    /// Loads nothing yet.
    pub fn new() -> Self {
        Self {
            core: Arc::new(ComputeCore::of("computecore.dll")),
            older: Arc::new(OlderCompute::of("vmcompute.dll")),
            layers: Layers::new(),
            networks: Networks::new(),
            backup: Backup::new(),
        }
    }

    /// What layers need is switched on before the first call about one.
    fn layers(&self) -> HcsResult<&Layers> {
        rights::enable()?;
        Ok(&self.layers)
    }
}

impl HcsApi for Dlls {
    fn available(&self) -> HcsResult<()> {
        self.layers.complete()?;
        self.core.complete()?;
        self.older.complete()?;
        self.backup.complete()?;
        rights::enable()?;
        // The libraries may be there without the service, or without the right to use it.
        self.systems("polyarch").map(drop)
    }

    fn host_version(&self) -> HcsResult<OsVersion> {
        host::version()
    }

    fn layer_id(&self, name: &str) -> HcsResult<Guid> {
        self.layers.id(name)
    }

    fn process_base(&self, layer: &Path) -> HcsResult<()> {
        self.layers()?.process_base(layer)
    }

    fn process_utility_vm(&self, utility_vm: &Path) -> HcsResult<()> {
        self.layers()?.process_utility_vm(utility_vm)
    }

    fn import_layer(&self, layer: &Path, staging: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        self.layers()?.import(layer, staging, below)
    }

    fn export_layer(&self, layer: &Path, staging: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        self.layers()?.export(layer, staging, below)
    }

    fn create_scratch(&self, layer: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        self.layers()?.create_scratch(layer, below)
    }

    fn activate_layer(&self, layer: &Path) -> HcsResult<()> {
        self.layers()?.activate(layer)
    }

    fn prepare_layer(&self, layer: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        self.layers()?.prepare(layer, below)
    }

    fn mount_path(&self, layer: &Path) -> HcsResult<String> {
        self.layers()?.mount_path(layer)
    }

    fn unprepare_layer(&self, layer: &Path) -> HcsResult<()> {
        self.layers()?.unprepare(layer)
    }

    fn deactivate_layer(&self, layer: &Path) -> HcsResult<()> {
        self.layers()?.deactivate(layer)
    }

    fn destroy_layer(&self, layer: &Path) -> HcsResult<()> {
        self.layers()?.destroy(layer)
    }

    fn create_system(&self, id: &str, document: &str) -> HcsResult<Box<dyn ComputeSystem>> {
        if older::describes(document) {
            return Ok(Box::new(older::System::create(&self.older, id, document)?));
        }
        Ok(Box::new(System::create(&self.core, id, document)?))
    }

    fn open_system(&self, id: &str) -> HcsResult<Box<dyn ComputeSystem>> {
        Ok(Box::new(System::open(&self.core, id)?))
    }

    fn systems(&self, owner: &str) -> HcsResult<Vec<String>> {
        const CALL: &str = "HcsEnumerateComputeSystems";
        let query = wide(CALL, json!({ "Owners": [owner] }).to_string().as_ref())?;
        let document = Operation::of(&self.core, CALL, |operation| {
            // SAFETY: The query ends with a zero, and the handle is open.
            unsafe { self.core.enumerate_systems(query.as_ptr(), operation) }
        })?;
        ids(CALL, &document.unwrap_or_default())
    }

    fn write_backup(&self, path: &Path, attributes: &FileAttributes, stream: &mut dyn Read) -> HcsResult<()> {
        rights::enable()?;
        self.backup.write(path, attributes, stream)
    }

    fn set_attributes(&self, path: &Path, wanted: &FileAttributes) -> HcsResult<()> {
        rights::enable()?;
        attributes::set_attributes(path, wanted)
    }

    fn identity(&self, path: &Path) -> HcsResult<FileIdentity> {
        rights::enable()?;
        attributes::identity(path)
    }

    fn read_backup(&self, path: &Path) -> HcsResult<(FileAttributes, Box<dyn Read + Send>)> {
        rights::enable()?;
        self.backup.read(path)
    }
}

impl HcnApi for Dlls {
    fn networks(&self, query: &str) -> HcsResult<String> {
        self.networks.enumerate(query)
    }

    fn network(&self, id: Guid, query: &str) -> HcsResult<String> {
        self.networks.query(id, query)
    }

    fn create_namespace(&self, id: Guid, settings: &str) -> HcsResult<()> {
        self.networks.create_namespace(id, settings)
    }

    fn modify_namespace(&self, id: Guid, request: &str) -> HcsResult<()> {
        self.networks.modify_namespace(id, request)
    }

    fn delete_namespace(&self, id: Guid) -> HcsResult<()> {
        self.networks.delete_namespace(id)
    }

    fn create_endpoint(&self, network: Guid, id: Guid, settings: &str) -> HcsResult<()> {
        self.networks.create_endpoint(network, id, settings)
    }

    fn delete_endpoint(&self, id: Guid) -> HcsResult<()> {
        self.networks.delete_endpoint(id)
    }
}

/// The ids in a list of compute systems. A list of none may be nothing, or `null`.
///
/// Source: Microsoft, "HCS schema reference", `Properties`.
fn ids(call: &'static str, document: &str) -> HcsResult<Vec<String>> {
    let list: Value = match document.trim() {
        "" => Value::Null,
        document => serde_json::from_str(document).map_err(|error| {
            // HCS_E_INVALID_JSON.
            HcsError { call, code: 0x8037_010D, detail: Some(error.to_string()) }
        })?,
    };
    let systems = list.as_array().into_iter().flatten();
    Ok(systems.filter_map(|system| system["Id"].as_str()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn a_list_of_systems_may_be_empty_in_three_ways() {
        for document in ["", "null", "[]"] {
            assert_eq!(ids("F", document), Ok(Vec::new()));
        }
        assert_eq!(
            ids("F", r#"[{"Id":"a","State":"Running"},{"Id":"b"}]"#),
            Ok(vec!["a".into(), "b".into()])
        );
        assert_eq!(ids("F", "{").map_err(|error| error.code), Err(0x8037_010D));
    }
}
