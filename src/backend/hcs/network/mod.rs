//! The network of steps: an endpoint on the NAT network of this machine, for as long as the container of a step is
//! there.

mod api;
mod attachment;
mod choose;
mod documents;
#[cfg(test)]
mod documents_tests;

pub use api::HcnApi;
pub(super) use attachment::{Attachment, find};
pub(super) use choose::NoNetwork;
pub(super) use documents::{Change, change};
