//! The layers of imported steps, and how they come here.

use polyarch_actors::{Descriptor, LayerSource};

use super::error::CacheError;
use crate::{
    oci::{Reference, Store, copy_layout_blob},
    registry::{RegistryClient, RegistryError, TransferCx},
};

/// Brings a layer into the store, unless it is there. Its digest and length are checked.
pub(crate) async fn fetch(
    from: &LayerSource,
    blob: &Descriptor,
    store: &Store,
    client: &RegistryClient,
    cx: &TransferCx,
) -> Result<(), CacheError> {
    match from {
        LayerSource::Registry(name) => {
            let name: Reference = name
                .parse()
                .map_err(|error| CacheError::Malformed { reason: format!("{name:?}: {error}") })?;
            client.pull_blob(&name, blob, store, cx).await?;
        }
        LayerSource::Layout(folder) => {
            let (store, folder, digest) = (store.clone(), folder.clone(), blob.digest.clone());
            let copy = move || copy_layout_blob(&store, &folder, &digest);
            blocking(copy).await?;
        }
    }
    let size = store.size(&blob.digest)?;
    if size == blob.size {
        return Ok(());
    }
    let reason = format!("the layer {} has {size} bytes, and not {}", blob.digest.short(), blob.size);
    Err(CacheError::Malformed { reason })
}

/// Runs file work where it may block.
pub(super) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, CacheError>
where
    T: Send + 'static,
    E: Into<CacheError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(error) => Err(RegistryError::Setup { reason: error.to_string() }.into()),
    }
}
