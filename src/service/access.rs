//! Who may ask.

use std::sync::Arc;

use super::tenants::{Tenant, Tenants};

/// Who may ask, and as which tenant.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever has a token of a tenant.
    Tokens(Tenants),
    /// Whatever runs on this machine, as the one tenant there is. Requests that were meant for another host, or that a
    /// page of another one makes, are refused.
    ThisMachine(Arc<Tenant>),
    /// Whoever the embedding program lets in: it puts an `Arc<Tenant>` into the extensions of each request, in a layer
    /// around the router. A request without one is refused.
    Embedder,
}
