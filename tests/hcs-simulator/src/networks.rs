//! What the functions about networks do, and in which order they may be called.
//!
//! Sources: Microsoft, "HCN JSON document schemas" and "HCN Error Code"; hcsshim, `hcn`.

use std::fs;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    documents::is_guid,
    failure::{ALREADY_EXISTS, Failure, Outcome},
    world::World,
};

const ELEMENT_NOT_FOUND: u32 = 0x8007_0490;
const NETWORK_NOT_FOUND: u32 = 0x803B_0001;
const ENDPOINT_NOT_FOUND: u32 = 0x803B_0002;
const INVALID_ENDPOINT: u32 = 0x803B_000C;
const ENDPOINT_ALREADY_ATTACHED: u32 = 0x803B_0014;
const REQUEST_UNSUPPORTED: u32 = 0x803B_0015;
const INVALID_JSON: u32 = 0x803B_001B;
const ENDPOINT_NAMESPACE_ALREADY_EXISTS: u32 = 0x803B_002B;
const ENTITY_HAS_REFERENCES: u32 = 0x803B_002C;
const NAMESPACE_ATTACH_FAILED: u32 = 0x803B_002E;

/// The networks of a machine on which nobody has changed anything.
const NETWORKS: &str = "0b6a8f1e-6c3a-4d0e-9f5e-1c7a2f3b4d5e NAT nat\n\
                        c08cb7b8-9b3c-408e-8e30-5e16a3aeb444 ICS Default Switch\n";

/// A network of the machine.
#[derive(Debug)]
pub(crate) struct Network {
    id: String,
    kind: String,
    name: String,
}

/// What connects a compute system with a network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    network: String,
    /// Where it is; nowhere if empty.
    namespace: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Version {
    major: u32,
    minor: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Query {
    schema_version: Version,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EndpointSettings {
    #[serde(default, rename = "Name")]
    _name: String,
    host_compute_network: String,
    schema_version: Version,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    resource_type: String,
    request_type: String,
    settings: EndpointId,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EndpointId {
    endpoint_id: String,
}

fn parse<'d, T: Deserialize<'d>>(document: &'d str) -> Outcome<T> {
    serde_json::from_str(document).map_err(|error| Failure::new(INVALID_JSON, error.to_string()))
}

fn no<T>(code: u32, message: &str) -> Outcome<T> {
    Err(Failure::new(code, message))
}

fn version(version: &Version) -> Outcome<()> {
    if version.major == 2 && version.minor <= 16 {
        return Ok(());
    }
    no(REQUEST_UNSUPPORTED, "there is no such schema")
}

/// Reads a query, or the settings of a namespace, which say as much.
fn versioned(document: &str) -> Outcome<()> {
    version(&parse::<Query>(document)?.schema_version)
}

impl World {
    pub(crate) fn enumerate_networks(&self, query: &str) -> Outcome<String> {
        versioned(query)?;
        let ids: Vec<String> = self.networks().into_iter().map(|network| network.id).collect();
        Ok(json!(ids).to_string())
    }

    /// That there is such a network.
    pub(crate) fn network(&self, id: &str) -> Outcome<Network> {
        let found = self.networks().into_iter().find(|network| network.id == id);
        found.ok_or_else(|| Failure::new(NETWORK_NOT_FOUND, "The network was not found. "))
    }

    pub(crate) fn query_network(&self, id: &str, query: &str) -> Outcome<String> {
        versioned(query)?;
        let Network { id, kind, name } = self.network(id)?;
        Ok(json!({
            "ID": id.to_uppercase(), "Name": name, "Type": kind, "Flags": 0,
            "Ipams": [{ "Type": "Static", "Subnets": [{ "IpAddressPrefix": "172.30.0.0/20" }] }],
            "SchemaVersion": { "Major": 2, "Minor": 0 },
        })
        .to_string())
    }

    pub(crate) fn create_namespace(&mut self, id: &str, settings: &str) -> Outcome<()> {
        versioned(settings)?;
        if self.state.namespaces.contains_key(id) {
            return no(ALREADY_EXISTS, "there is one with this id");
        }
        self.state.namespaces.insert(id.to_owned(), Vec::new());
        Ok(())
    }

    /// That there is such a namespace.
    pub(crate) fn namespace(&mut self, id: &str) -> Outcome<&mut Vec<String>> {
        let found = self.state.namespaces.get_mut(id);
        found.ok_or_else(|| Failure::new(ELEMENT_NOT_FOUND, "Element not found. "))
    }

    pub(crate) fn modify_namespace(&mut self, id: &str, request: &str) -> Outcome<()> {
        let Request { resource_type, request_type, settings } = parse(request)?;
        let inside = settings.endpoint_id.to_lowercase();
        if resource_type != "Endpoint" {
            return no(REQUEST_UNSUPPORTED, "there are endpoints only");
        }
        let endpoint = self.endpoint(&inside)?.clone();
        match request_type.as_str() {
            "Add" if !endpoint.namespace.is_empty() => {
                return no(ENDPOINT_NAMESPACE_ALREADY_EXISTS, "it is in a namespace");
            }
            "Add" if self.state.connected(&inside).is_some() => {
                return no(ENDPOINT_ALREADY_ATTACHED, "a compute system has it");
            }
            "Add" => {
                id.clone_into(&mut self.endpoint(&inside)?.namespace);
                self.namespace(id)?.push(inside);
            }
            "Remove" if endpoint.namespace == id => {
                self.endpoint(&inside)?.namespace.clear();
                self.namespace(id)?.retain(|one| *one != inside);
            }
            "Remove" => return no(ENDPOINT_NOT_FOUND, "it is not in this namespace"),
            _ => return no(REQUEST_UNSUPPORTED, "there is no such request"),
        }
        Ok(())
    }

    pub(crate) fn delete_namespace(&mut self, id: &str) -> Outcome<()> {
        if !self.namespace(id)?.is_empty() {
            return no(ENTITY_HAS_REFERENCES, "there are endpoints in it");
        }
        if self.state.connected(id).is_some() {
            return no(ENTITY_HAS_REFERENCES, "a compute system has it");
        }
        self.state.namespaces.remove(id);
        Ok(())
    }

    pub(crate) fn create_endpoint(&mut self, network: &str, id: &str, settings: &str) -> Outcome<()> {
        let network = self.network(network)?.id;
        let settings: EndpointSettings = parse(settings)?;
        version(&settings.schema_version)?;
        if settings.host_compute_network.to_lowercase() != network {
            return no(INVALID_ENDPOINT, "it is of another network");
        }
        if self.state.endpoints.contains_key(id) {
            return no(ALREADY_EXISTS, "there is one with this id");
        }
        self.state.endpoints.insert(id.to_owned(), Endpoint { network, namespace: String::new() });
        Ok(())
    }

    pub(crate) fn delete_endpoint(&mut self, id: &str) -> Outcome<()> {
        if !self.endpoint(id)?.namespace.is_empty() {
            return no(ENTITY_HAS_REFERENCES, "it is in a namespace");
        }
        if self.state.connected(id).is_some() {
            return no(ENTITY_HAS_REFERENCES, "a compute system has it");
        }
        self.state.endpoints.remove(id);
        Ok(())
    }

    /// The namespace that a document names, if it can be that of one more compute system.
    pub(crate) fn free_namespace(&mut self, id: &str) -> Outcome<String> {
        let id = id.to_lowercase();
        if !is_guid(&id) {
            return no(crate::failure::INVALID_ARGUMENT, "a namespace is named by an id");
        }
        self.namespace(&id)?;
        if self.state.connected(&id).is_some() {
            return no(NAMESPACE_ATTACH_FAILED, "it is that of another compute system");
        }
        Ok(id)
    }

    /// The endpoint that a document names, if it can be that of a virtual machine.
    pub(crate) fn free_endpoint(&mut self, id: &str) -> Outcome<String> {
        let id = id.to_lowercase();
        if !is_guid(&id) {
            return no(crate::failure::INVALID_ARGUMENT, "an endpoint is named by an id");
        }
        if !self.endpoint(&id)?.namespace.is_empty() || self.state.connected(&id).is_some() {
            return no(ENDPOINT_ALREADY_ATTACHED, "it is that of something else");
        }
        Ok(id)
    }

    fn endpoint(&mut self, id: &str) -> Outcome<&mut Endpoint> {
        let found = self.state.endpoints.get_mut(id);
        found.ok_or_else(|| Failure::new(ENDPOINT_NOT_FOUND, "The endpoint was not found. "))
    }

    /// The networks that a test has written, else those that are there by themselves.
    fn networks(&self) -> Vec<Network> {
        let text = fs::read_to_string(self.root.join("networks.txt")).unwrap_or_else(|_| NETWORKS.to_owned());
        let network = |line: &str| {
            let mut words = line.splitn(3, ' ').map(str::to_owned);
            Some(Network { id: words.next()?, kind: words.next()?, name: words.next()? })
        };
        text.lines().filter_map(network).collect()
    }
}
