//! What connects one container with the network of this machine.
//!
//! A container that shares the kernel is given a namespace with an endpoint in it; one in a virtual machine, whose
//! description is of the older form, is given the endpoint itself.
//!
//! Source: hcsshim, `internal/hcsoci/hcsdoc_wcow.go` and `internal/hcsoci/network.go`.

use super::{
    api::HcnApi,
    choose::{NoNetwork, choose},
    documents::{self, Change, Network, change},
};
use crate::backend::hcs::{
    compatibility::Isolation,
    error::HcsError,
    failure::HcsFailure,
    fault::code,
    guid::Guid,
    journal::Made,
    machine::{Machine, Noted},
    stop::Stop,
};

/// An endpoint, and the namespace that it is in. Both go when this is dropped; what cannot be removed then is removed
/// when this process ends, or by the next one.
#[derive(Debug)]
pub(in crate::backend::hcs) struct Attachment<'m> {
    id: String,
    // They go in this order: no namespace goes that something is in.
    _endpoint: Noted<'m>,
    _namespace: Option<Noted<'m>>,
}

impl<'m> Attachment<'m> {
    /// Makes what a container of that name needs.
    pub(in crate::backend::hcs) fn make(
        machine: &'m Machine,
        isolation: Isolation,
        name: &str,
        stop: &Stop,
    ) -> Result<Self, HcsFailure> {
        let api = &*machine.api;
        let network = find(api)?;
        stop.check()?;
        let inside = match isolation {
            Isolation::Process => Some(Guid::of(&machine.journal.unique())),
            Isolation::HyperV => None,
        };
        let namespace = inside.map(|id| machine.note(Made::Namespace { id })).transpose()?;
        if let Some(namespace) = inside {
            api.create_namespace(namespace, &documents::namespace())?;
        }
        let id = Guid::of(&machine.journal.unique());
        let endpoint = machine.note(Made::Endpoint { id, namespace: inside })?;
        api.create_endpoint(network, id, &documents::endpoint(network, name))?;
        if let Some(namespace) = inside {
            api.modify_namespace(namespace, &change(Change::Add, id))?;
        }
        Ok(Self { id: inside.unwrap_or(id).to_string(), _endpoint: endpoint, _namespace: namespace })
    }

    /// By what the description of the container names it.
    pub(in crate::backend::hcs) fn id(&self) -> &str {
        &self.id
    }
}

/// The network that steps are connected with.
pub(in crate::backend::hcs) fn find<A: HcnApi + ?Sized>(api: &A) -> Result<Guid, HcsFailure> {
    let known = all(api).map_err(|error| match error.code {
        code::MODULE_NOT_FOUND | code::PROCEDURE_NOT_FOUND => {
            NoNetwork::Unavailable { reason: error.explained() }.into()
        }
        _ => HcsFailure::from(error),
    })?;
    Ok(choose(&known)?.id)
}

fn all<A: HcnApi + ?Sized>(api: &A) -> Result<Vec<Network>, HcsError> {
    let query = documents::query();
    let ids = documents::ids(&api.networks(&query)?).map_err(unreadable("HcnEnumerateNetworks"))?;
    let mut networks = Vec::new();
    for id in ids {
        match api.network(id, &query) {
            Ok(document) => networks
                .push(serde_json::from_str(&document).map_err(unreadable("HcnQueryNetworkProperties"))?),
            // It went in between.
            Err(error) if error.code == code::NETWORK_NOT_FOUND => {}
            Err(error) => return Err(error),
        }
    }
    Ok(networks)
}

fn unreadable(call: &'static str) -> impl FnOnce(serde_json::Error) -> HcsError {
    move |error| HcsError { call, code: code::NETWORK_JSON, detail: Some(error.to_string()) }
}
