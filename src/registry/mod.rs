//! Registries: credentials, pulling into the store, and publishing from it.
//!
//! Nothing here builds or changes an image: bytes go between a registry and the [`Store`](crate::oci::Store)
//! as they are, and every digest is checked on the way.

mod answer;
mod auth;
mod auth_file;
mod challenge;
mod client;
mod complete;
mod connection;
mod context;
mod document;
mod download;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod helper;
mod host;
mod manifest;
mod plan;
mod publish;
mod pull;
mod report;
mod retry;
mod tag;
mod tls;
mod token;
mod upload;
mod upload_send;
mod upload_session;
mod web;

pub use auth::{CredentialSources, Credentials};
pub use client::{ClientOptions, RegistryClient, Timeouts};
pub(crate) use complete::complete;
pub use context::{TransferCx, TransferEvent};
pub use error::{AuthError, RegistryError};
pub use manifest::Manifest;
pub use publish::{Publication, publish};
pub use pull::{PullDepth, pull};
pub use report::{PublishReport, Published, TagState};
pub use retry::RetryLimits;
pub(crate) use retry::jitter;
pub use upload::BlobOutcome;
pub(crate) use web::{Web, client as web_client};
