//! What is asked of the Host Compute Network of Windows: one method a call, so that whoever answers can be exchanged.
//!
//! Sources: Microsoft, "Host Compute Network (HCN) service API"
//! (<https://learn.microsoft.com/windows-server/networking/technologies/hcn/hcn-top>); hcsshim, `hcn`, for the documents
//! that are not described there.

use std::fmt;

use crate::backend::hcs::{api::HcsResult, guid::Guid};

/// The calls about networks, and about what connects containers with them. Every one blocks.
pub trait HcnApi: fmt::Debug + Send + Sync + 'static {
    /// The ids of the networks that a query asks for, as a document (`HcnEnumerateNetworks`).
    fn networks(&self, query: &str) -> HcsResult<String>;

    /// What is known of a network, as a document (`HcnQueryNetworkProperties`).
    fn network(&self, id: Guid, query: &str) -> HcsResult<String>;

    /// Makes a namespace, which is what containers have of networks (`HcnCreateNamespace`).
    fn create_namespace(&self, id: Guid, settings: &str) -> HcsResult<()>;

    /// Adds something to a namespace, or takes it away (`HcnModifyNamespace`).
    fn modify_namespace(&self, id: Guid, request: &str) -> HcsResult<()>;

    /// Removes a namespace that nothing is in (`HcnDeleteNamespace`).
    fn delete_namespace(&self, id: Guid) -> HcsResult<()>;

    /// Makes an endpoint of a network: an adapter with an address (`HcnCreateEndpoint`).
    fn create_endpoint(&self, network: Guid, id: Guid, settings: &str) -> HcsResult<()>;

    /// Removes an endpoint that nothing uses (`HcnDeleteEndpoint`).
    fn delete_endpoint(&self, id: Guid) -> HcsResult<()>;
}
