//! What Windows demands of networks, and of what connects containers with them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    codes::{ALREADY_EXISTS, refused},
    world::{FakeWindows, State},
};
use crate::backend::hcs::{api::HcsResult, fault::code, guid::Guid, network::HcnApi};

/// A network of this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Network {
    name: String,
    kind: String,
}

/// What connects a container with a network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Endpoint {
    network: Guid,
    namespace: Option<Guid>,
}

/// Everything that has to do with networks.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Networks {
    pub(super) networks: BTreeMap<Guid, Network>,
    /// What is in each.
    pub(super) namespaces: BTreeMap<Guid, Vec<Guid>>,
    pub(super) endpoints: BTreeMap<Guid, Endpoint>,
}

impl Networks {
    /// Networks by their names and types.
    pub(super) fn of(all: &[(&str, &str)]) -> Self {
        let network = |(name, kind): &(&str, &str)| {
            (Guid::of(name), Network { name: (*name).to_owned(), kind: (*kind).to_owned() })
        };
        Self { networks: all.iter().map(network).collect(), ..Self::default() }
    }
}

impl FakeWindows {
    /// Has these networks instead of those before, by their names and types.
    pub(in crate::backend::hcs) fn has_networks(&self, all: &[(&str, &str)]) {
        self.state().networks = Networks::of(all);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Version {
    major: u32,
    minor: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Query {
    schema_version: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EndpointSettings {
    name: String,
    host_compute_network: Guid,
    schema_version: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    resource_type: String,
    request_type: String,
    settings: EndpointId,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EndpointId {
    endpoint_id: Guid,
}

fn parse<'d, T: Deserialize<'d>>(call: &'static str, document: &'d str) -> HcsResult<T> {
    serde_json::from_str(document).or_else(|error| refused(call, code::NETWORK_JSON, error.to_string()))
}

fn version(call: &'static str, version: &Version) -> HcsResult<()> {
    if (version.major, version.minor) == (2, 0) {
        return Ok(());
    }
    refused(call, code::REQUEST_UNSUPPORTED, "there is no such schema")
}

impl State {
    /// The container that is connected by a namespace or an endpoint.
    fn connected(&self, id: Guid) -> Option<&str> {
        let found = self.systems.iter().find(|(_, system)| system.connections.contains(&id));
        found.map(|(name, _)| name.as_str())
    }

    /// Whether a namespace can be that of a container.
    pub(super) fn check_namespace(&self, call: &'static str, id: Guid) -> HcsResult<()> {
        if !self.networks.namespaces.contains_key(&id) {
            return refused(call, code::ELEMENT_NOT_FOUND, "there is no such namespace");
        }
        if self.connected(id).is_some() {
            return refused(call, code::NAMESPACE_ATTACH_FAILED, "it is that of another container");
        }
        Ok(())
    }

    /// Whether an endpoint can be that of a virtual machine.
    pub(super) fn check_endpoint(&self, call: &'static str, id: Guid) -> HcsResult<()> {
        let Some(endpoint) = self.networks.endpoints.get(&id) else {
            return refused(call, code::ENDPOINT_NOT_FOUND, "there is no such endpoint");
        };
        if endpoint.namespace.is_some() || self.connected(id).is_some() {
            return refused(call, code::ENDPOINT_ATTACHED, "it is that of something else");
        }
        Ok(())
    }

    fn modify(&mut self, call: &'static str, id: Guid, request: &str) -> HcsResult<()> {
        let request: Request = parse(call, request)?;
        let known = request.settings.endpoint_id;
        let user = self.connected(known).is_some();
        let Some(inside) = self.networks.namespaces.get_mut(&id) else {
            return refused("HcnOpenNamespace", code::ELEMENT_NOT_FOUND, "there is no such namespace");
        };
        let Some(endpoint) = self.networks.endpoints.get_mut(&known) else {
            return refused(call, code::ENDPOINT_NOT_FOUND, "there is no such endpoint");
        };
        match (request.resource_type.as_str(), request.request_type.as_str()) {
            ("Endpoint", "Add") if endpoint.namespace.is_some() => {
                refused(call, code::ENDPOINT_HAS_NAMESPACE, "it is in a namespace")
            }
            ("Endpoint", "Add") if user => refused(call, code::ENDPOINT_ATTACHED, "a container has it"),
            ("Endpoint", "Add") => {
                endpoint.namespace = Some(id);
                inside.push(known);
                Ok(())
            }
            ("Endpoint", "Remove") if endpoint.namespace == Some(id) => {
                endpoint.namespace = None;
                inside.retain(|one| *one != known);
                Ok(())
            }
            ("Endpoint", "Remove") => refused(call, code::ENDPOINT_NOT_FOUND, "it is not in this namespace"),
            _ => refused(call, code::REQUEST_UNSUPPORTED, "there is no such request"),
        }
    }
}

impl HcnApi for FakeWindows {
    fn networks(&self, query: &str) -> HcsResult<String> {
        const CALL: &str = "HcnEnumerateNetworks";
        self.answer(CALL, |state| {
            version(CALL, &parse::<Query>(CALL, query)?.schema_version)?;
            Ok(json!(state.networks.networks.keys().collect::<Vec<_>>()).to_string())
        })
    }

    fn network(&self, id: Guid, query: &str) -> HcsResult<String> {
        const CALL: &str = "HcnQueryNetworkProperties";
        self.answer(CALL, |state| {
            version(CALL, &parse::<Query>(CALL, query)?.schema_version)?;
            match state.networks.networks.get(&id) {
                None => refused("HcnOpenNetwork", code::NETWORK_NOT_FOUND, "there is no such network"),
                Some(Network { name, kind }) => {
                    let version = json!({"Major": 2, "Minor": 0});
                    Ok(json!({"ID": id, "Name": name, "Type": kind, "SchemaVersion": version}).to_string())
                }
            }
        })
    }

    fn create_namespace(&self, id: Guid, settings: &str) -> HcsResult<()> {
        const CALL: &str = "HcnCreateNamespace";
        self.answer(CALL, |state| {
            version(CALL, &parse::<Query>(CALL, settings)?.schema_version)?;
            if state.networks.namespaces.contains_key(&id) {
                return refused(CALL, ALREADY_EXISTS, "there is one with that id");
            }
            state.networks.namespaces.insert(id, Vec::new());
            Ok(())
        })
    }

    fn modify_namespace(&self, id: Guid, request: &str) -> HcsResult<()> {
        const CALL: &str = "HcnModifyNamespace";
        self.answer(CALL, |state| state.modify(CALL, id, request))
    }

    fn delete_namespace(&self, id: Guid) -> HcsResult<()> {
        const CALL: &str = "HcnDeleteNamespace";
        self.answer(CALL, |state| match state.networks.namespaces.get(&id) {
            None => refused(CALL, code::ELEMENT_NOT_FOUND, "there is no such namespace"),
            Some(inside) if !inside.is_empty() => {
                refused(CALL, code::HAS_REFERENCES, "there are endpoints in it")
            }
            Some(_) if state.connected(id).is_some() => {
                refused(CALL, code::HAS_REFERENCES, "a container has it")
            }
            Some(_) => {
                state.networks.namespaces.remove(&id);
                Ok(())
            }
        })
    }

    fn create_endpoint(&self, network: Guid, id: Guid, settings: &str) -> HcsResult<()> {
        const CALL: &str = "HcnCreateEndpoint";
        self.answer(CALL, |state| {
            if !state.networks.networks.contains_key(&network) {
                return refused("HcnOpenNetwork", code::NETWORK_NOT_FOUND, "there is no such network");
            }
            let settings: EndpointSettings = parse(CALL, settings)?;
            version(CALL, &settings.schema_version)?;
            if settings.host_compute_network != network || settings.name.is_empty() {
                return refused(CALL, code::INVALID_ENDPOINT, "it is of another network, or has no name");
            }
            if state.networks.endpoints.contains_key(&id) {
                return refused(CALL, ALREADY_EXISTS, "there is one with that id");
            }
            state.networks.endpoints.insert(id, Endpoint { network, namespace: None });
            Ok(())
        })
    }

    fn delete_endpoint(&self, id: Guid) -> HcsResult<()> {
        const CALL: &str = "HcnDeleteEndpoint";
        self.answer(CALL, |state| match state.networks.endpoints.get(&id) {
            None => refused(CALL, code::ENDPOINT_NOT_FOUND, "there is no such endpoint"),
            Some(endpoint) if endpoint.namespace.is_some() => {
                refused(CALL, code::HAS_REFERENCES, "it is in a namespace")
            }
            Some(_) if state.connected(id).is_some() => {
                refused(CALL, code::HAS_REFERENCES, "a virtual machine has it")
            }
            Some(_) => {
                state.networks.endpoints.remove(&id);
                Ok(())
            }
        })
    }
}
