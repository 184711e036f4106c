//! Fetches what images of the store need and the store does not have.

use futures::{StreamExt as _, TryStreamExt as _};
use polyarch_actors::Digest;

use super::{client::RegistryClient, context::TransferCx, document::Layer, error::RegistryError, plan::Plan};
use crate::oci::Store;

/// How many layers are fetched at once.
const AT_ONCE: usize = 4;

/// Fetches the layers of an image or index that are not in the store and whose origin is known. Layers that registries
/// may not keep are fetched only if `foreign` says so, since most things are made without them; their registry alone is
/// asked for them, not the addresses that their manifest gives.
///
/// # Errors
/// What the registry says that should have a layer. A layer whose origin nobody knows stays away.
pub(crate) async fn complete(
    client: &RegistryClient,
    store: &Store,
    root: &Digest,
    foreign: bool,
    cx: &TransferCx,
) -> Result<(), RegistryError> {
    let (of_store, root) = (store.clone(), root.clone());
    let lacking = tokio::task::spawn_blocking(move || -> Result<Vec<_>, RegistryError> {
        let plan = Plan::read(&of_store, &root)?;
        let elsewhere = plan.foreign.into_iter().filter(|_| foreign);
        let blobs = plan.blobs.into_iter().map(Layer::from).chain(elsewhere);
        let lacking = blobs.filter(|blob| !of_store.contains(&blob.descriptor.digest));
        Ok(lacking.filter_map(|blob| Some((of_store.origin(&blob.descriptor.digest)?, blob))).collect())
    })
    .await
    .map_err(|error| RegistryError::Setup { reason: error.to_string() })??;
    let pulls: Vec<_> =
        lacking.iter().map(|(origin, blob)| client.pull_blob(origin, &blob.descriptor, store, cx)).collect();
    futures::stream::iter(pulls).buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await
}
