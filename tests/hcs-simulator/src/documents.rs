//! The documents that callers describe compute systems with. A field that is not known is refused, as is
//! one that nobody has asked for yet.
//!
//! Sources: Microsoft, "HCS schema reference"; hcsshim, `internal/hcs/schema1` and `schema2`.

use std::path::Path;

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    failure::{Failure, INVALID_ARGUMENT, INVALID_JSON, Outcome},
    layers::Below,
    state::{Layer, System, key},
    world::World,
};

/// A compute system, in the schema that has versions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    owner: String,
    schema_version: SchemaVersion,
    #[serde(default)]
    should_terminate_on_last_handle_closed: bool,
    container: Container,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SchemaVersion {
    major: u32,
    minor: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Container {
    guest_os: Option<GuestOs>,
    storage: Storage,
    networking: Option<Networking>,
    memory: Option<Memory>,
    processor: Option<Processor>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GuestOs {
    host_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Storage {
    path: String,
    layers: Vec<DocumentLayer>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentLayer {
    #[serde(rename = "Id", alias = "ID")]
    id: String,
    #[serde(rename = "Path")]
    path: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Networking {
    namespace: Option<String>,
    #[serde(default, rename = "AllowUnqualifiedDnsQuery")]
    _allow_unqualified_dns_query: bool,
    #[serde(default, rename = "DnsSearchList")]
    _dns_search_list: String,
    #[serde(default, rename = "NetworkAdapters")]
    _network_adapters: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Memory {
    #[serde(rename = "SizeInMB")]
    size_in_mb: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct Processor {
    count: Option<u32>,
    maximum: Option<u32>,
    weight: Option<u32>,
}

/// A compute system, in the schema without versions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of Windows")]
struct OldDocument {
    system_type: String,
    #[serde(rename = "Name")]
    _name: Option<String>,
    owner: String,
    #[serde(default)]
    volume_path: String,
    layer_folder_path: String,
    layers: Vec<DocumentLayer>,
    host_name: Option<String>,
    #[serde(default)]
    hv_partition: bool,
    hv_runtime: Option<HvRuntime>,
    #[serde(default)]
    terminate_on_last_handle_closed: bool,
    #[serde(default, rename = "IgnoreFlushesDuringBoot")]
    _ignore_flushes_during_boot: bool,
    #[serde(rename = "MemoryMaximumInMB")]
    memory_maximum_in_mb: Option<i64>,
    processor_count: Option<u32>,
    processor_maximum: Option<i64>,
    processor_weight: Option<u64>,
    #[serde(default)]
    endpoint_list: Vec<String>,
    #[serde(default, rename = "AllowUnqualifiedDNSQuery")]
    _allow_unqualified_dns_query: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct HvRuntime {
    image_path: String,
    #[serde(default, rename = "SkipTemplate")]
    _skip_template: bool,
}

/// Which systems are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct Query {
    pub(crate) ids: Vec<String>,
    pub(crate) owners: Vec<String>,
}

/// Reads a document.
pub(crate) fn parse<T: DeserializeOwned>(document: &str) -> Outcome<T> {
    serde_json::from_str(document).map_err(|error| Failure::new(INVALID_JSON, error.to_string()))
}

impl World {
    /// The compute system that a document describes, if everything that it names is there and in the right state.
    pub(crate) fn described(&mut self, document: &str) -> Outcome<System> {
        let any: serde_json::Value = parse(document)?;
        if any.get("SystemType").is_some() { self.old(document) } else { self.versioned(document) }
    }

    fn versioned(&mut self, document: &str) -> Outcome<System> {
        let Document { owner, schema_version, should_terminate_on_last_handle_closed, container } =
            parse(document)?;
        let Container { guest_os, storage, networking, memory, processor } = container;
        if schema_version.major != 2 || schema_version.minor > 7 {
            return Err(invalid("there is no such version of the schema"));
        }
        host_name(guest_os.map(|os| os.host_name).as_deref())?;
        let namespace = networking.and_then(|networking| networking.namespace);
        let namespace = namespace.map(|id| self.free_namespace(&id)).transpose()?;
        let processor = processor.unwrap_or_default();
        let percent = processor.maximum.is_none_or(|maximum| (1..=10_000).contains(&maximum));
        if memory.is_some_and(|memory| memory.size_in_mb == 0)
            || processor.count == Some(0)
            || !percent
            || processor.weight.is_some_and(|weight| !(1..=10_000).contains(&weight))
        {
            return Err(invalid("a limit is out of its range"));
        }
        let (path, scratch) = self.on_volume(&storage.path)?;
        self.stands_on(&scratch, &storage.layers)?;
        Ok(System {
            owner,
            scratch: path,
            volume: scratch.volume,
            connections: namespace.into_iter().collect(),
            ends_with_last_handle: should_terminate_on_last_handle_closed,
            ..System::default()
        })
    }

    fn old(&mut self, document: &str) -> Outcome<System> {
        let old: OldDocument = parse(document)?;
        if old.system_type != "Container" {
            return Err(invalid("there are containers only"));
        }
        host_name(old.host_name.as_deref())?;
        if old.memory_maximum_in_mb.is_some_and(|maximum| maximum <= 0)
            || old.processor_count == Some(0)
            || old.processor_maximum.is_some_and(|maximum| !(1..=10_000).contains(&maximum))
            || old.processor_weight.is_some_and(|weight| !(1..=10_000).contains(&weight))
        {
            return Err(invalid("a limit is out of its range"));
        }
        let connections: Vec<String> =
            old.endpoint_list.iter().map(|id| self.free_endpoint(id)).collect::<Outcome<_>>()?;
        let folder = Path::new(&old.layer_folder_path);
        let scratch = self.scratch(folder, None)?;
        self.stands_on(&scratch, &old.layers)?;
        if old.hv_partition {
            // The virtual machine attaches the disk, which the host must not have attached.
            if scratch.active || !old.volume_path.is_empty() {
                return Err(Failure::new(crate::failure::SHARING_VIOLATION, "the host has the disk"));
            }
            let image =
                old.hv_runtime.ok_or_else(|| invalid("there is no image of the utility VM"))?.image_path;
            let of_a_layer =
                scratch.below.iter().any(|layer| key(Path::new(&image)) == format!(r"{layer}\utilityvm"));
            if !of_a_layer || !Path::new(&image).join("SystemTemplate.vhdx").is_file() {
                return Err(Failure::new(crate::failure::PATH_NOT_FOUND, "there is no utility VM"));
            }
        } else {
            // Here, and only here, the path of the volume is without its last character.
            let (path, _) = self.on_volume(&format!(r"{}\", old.volume_path))?;
            if old.hv_runtime.is_some() || path != key(folder) {
                return Err(invalid("the volume is not that of the layer"));
            }
        }
        Ok(System {
            owner: old.owner,
            scratch: key(folder),
            volume: scratch.volume,
            connections,
            ends_with_last_handle: old.terminate_on_last_handle_closed,
            ..System::default()
        })
    }

    /// The prepared scratch whose volume has this path.
    fn on_volume(&self, path: &str) -> Outcome<(String, Layer)> {
        let id = path
            .strip_prefix(r"\\?\Volume{")
            .and_then(|rest| rest.strip_suffix(r"}\"))
            .filter(|id| is_guid(id))
            .ok_or_else(|| invalid("the path is not that of a volume by its id"))?;
        let found = self.state.layers.iter().find(|(_, layer)| layer.prepared && layer.volume == id);
        let (path, layer) = found.ok_or_else(|| invalid("there is no such volume"))?;
        Ok((path.clone(), layer.clone()))
    }

    fn stands_on(&self, scratch: &Layer, layers: &[DocumentLayer]) -> Outcome<()> {
        let below: Vec<Below> = layers
            .iter()
            .map(|layer| {
                let id = is_guid(&layer.id).then(|| u128::from_str_radix(&layer.id.replace('-', ""), 16));
                match id {
                    Some(Ok(id)) => Ok(Below { id, path: layer.path.clone() }),
                    _ => Err(invalid("the id of a layer is none")),
                }
            })
            .collect::<Outcome<_>>()?;
        if self.chain(&below)? != scratch.below {
            return Err(invalid("these are not the layers of the scratch"));
        }
        Ok(())
    }
}

fn host_name(name: Option<&str>) -> Outcome<()> {
    let is_good = |name: &str| {
        (1..=63).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if name.is_none_or(is_good) { Ok(()) } else { Err(invalid("the name of the host is none")) }
}

/// Whether a text is an id.
pub(crate) fn is_guid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn invalid(message: &str) -> Failure {
    Failure::new(INVALID_ARGUMENT, message)
}
