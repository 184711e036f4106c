//! The documents by which Windows is told of namespaces and endpoints, and tells of networks.
//!
//! Sources: Microsoft, "HCN JSON document schemas"
//! (<https://learn.microsoft.com/windows-server/networking/technologies/hcn/hcn-json-document-schemas>); hcsshim,
//! `hcn/hcnnamespace.go` and `hcn/hcnendpoint.go`, for what is asked of a namespace.

use serde::{Deserialize, Serialize};

use crate::backend::hcs::guid::Guid;

/// Asks for everything.
pub(super) fn query() -> String {
    json(&Query { schema_version: VERSION })
}

/// A namespace with nothing in it.
pub(super) fn namespace() -> String {
    json(&Query { schema_version: VERSION })
}

/// An endpoint whose address and name servers Windows chooses.
pub(super) fn endpoint(network: Guid, name: &str) -> String {
    json(&Endpoint { name, host_compute_network: network, schema_version: VERSION })
}

/// What happens to an endpoint in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(in crate::backend::hcs) enum Change {
    /// It comes into it.
    Add,
    /// It goes out of it.
    Remove,
}

/// Asks a namespace for a change.
pub(in crate::backend::hcs) fn change(change: Change, endpoint: Guid) -> String {
    let settings = EndpointId { endpoint_id: endpoint };
    json(&Modification { resource_type: "Endpoint", request_type: change, settings })
}

/// The ids in a list of networks. A list of none may be nothing, or `null`.
pub(super) fn ids(document: &str) -> Result<Vec<Guid>, serde_json::Error> {
    match document.trim() {
        "" => Ok(Vec::new()),
        document => Ok(serde_json::from_str::<Option<Vec<Guid>>>(document)?.unwrap_or_default()),
    }
}

/// What is known of a network, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Network {
    #[serde(rename = "ID", alias = "Id")]
    pub(super) id: Guid,
    #[serde(rename = "Name", default)]
    pub(super) name: String,
    /// `NAT`, `ICS`, `Transparent`, …
    #[serde(rename = "Type", default)]
    pub(super) kind: String,
}

/// The only version of the schema that all have who have these calls.
const VERSION: SchemaVersion = SchemaVersion { major: 2, minor: 0 };

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SchemaVersion {
    major: u32,
    minor: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    schema_version: SchemaVersion,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint<'e> {
    name: &'e str,
    host_compute_network: Guid,
    schema_version: SchemaVersion,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Modification {
    resource_type: &'static str,
    request_type: Change,
    settings: EndpointId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EndpointId {
    endpoint_id: Guid,
}

fn json<T: Serialize>(document: &T) -> String {
    // Strings and numbers: there is nothing in it that JSON does not have.
    serde_json::to_string(document).unwrap_or_default()
}
