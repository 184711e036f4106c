//! An HTTP API over whatever takes builds and knows of them, and a page that shows them live.
//!
//! A program that embeds polyarch opens a [`Service`], mounts [`router`] wherever it likes, and answers requests with a
//! server of its own or with [`serve`]. What takes the builds is behind [`Desk`], and who asks is told by [`Access`].

mod access;
mod auth;
mod backends;
mod builds;
mod contexts;
mod desk;
mod envelope;
mod events;
mod extract;
mod health;
mod idle;
mod limits;
mod metrics;
mod openapi;
mod origin;
mod over_queue;
mod page;
mod patience;
mod peers;
mod problem;
mod queue;
mod resources;
mod router;
mod serve;
mod state;
mod tenants;
mod tls;
mod token;

pub use access::Access;
pub use backends::{BackendDocument, BackendLoad};
pub use builds::{
    BuildDocument, FailureDocument, LaneDocument, ListFilter, ListPage, Submission, Supersede, Timeouts,
    WaitingDocument,
};
pub use desk::{Answer, Desk, DeskError, EventLines, How, Load, Order, Taken, TextPieces};
pub use limits::ServiceLimits;
pub use openapi::document;
pub use over_queue::queue_options;
pub use queue::{QueueDocument, QueuedBuild, TenantLoad};
pub use router::router;
pub use serve::serve;
pub use state::{Service, ServiceError};
pub use tenants::{Tenant, TenantName, TenantNameError, Tenants, TenantsError};
pub use tls::{Tls, TlsError};
pub use token::{Token, TokenError, TokenHash};
