//! Blobs to a registry: look, mount, or send.
//!
//! Every request is made again on its own where that may help, so that a failure of one costs no other.
//!
//! Source: OCI distribution specification, "Pushing blobs" and "Mounting a blob from another repository".

use std::sync::Arc;

use polyarch_actors::Descriptor;
use reqwest::{Method, StatusCode};

use super::{
    client::RegistryClient,
    context::{Tally, TransferCx},
    error::RegistryError,
    host::{Call, Host, Scopes},
    upload_send::Upload,
    upload_session::{Session, other_digest, session},
};
use crate::oci::{Reference, Store, StoreError};

/// How a blob came to where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobOutcome {
    /// It was sent or fetched.
    Moved,
    /// The registry linked it from another of its repositories.
    Mounted,
    /// It was there.
    Present,
}

impl RegistryClient {
    /// Whether a repository has a blob.
    pub async fn has_blob(
        &self,
        repository: &Reference,
        blob: &Descriptor,
        cx: &TransferCx,
    ) -> Result<bool, RegistryError> {
        let host = self.host(repository.registry());
        let scopes = Scopes::pull(repository.repository());
        cx.retrying(&host.name, || self.head_blob(&host, &scopes, blob)).await
    }

    /// Puts a blob of the store into a repository, unless it is there. `sources` are other repositories of the
    /// same registry that may have it.
    ///
    /// # Errors
    /// [`RegistryError::Store`] when the blob is neither in the store nor in a repository.
    pub async fn push_blob(
        &self,
        repository: &Reference,
        blob: &Descriptor,
        store: &Store,
        sources: &[String],
        cx: &TransferCx,
    ) -> Result<BlobOutcome, RegistryError> {
        let host = self.host(repository.registry());
        let scopes = Scopes::push(repository.repository());
        let tally = Arc::new(Tally::new(cx));
        // Where it comes from it is, and a registry that has it can link it.
        let origin = store.origin(&blob.digest).filter(|_| !store.contains(&blob.digest));
        let origin = origin.filter(|origin| origin.registry() == repository.registry());
        let sources: Vec<String> =
            origin.map(|origin| origin.repository().to_owned()).into_iter().chain(sources.to_vec()).collect();
        let upload = Upload { client: self, host: &host, scopes: &scopes, blob, store, tally: &tally, cx };
        let mut end = self.place(&upload, &sources).await;
        if let (Err(RegistryError::Store(StoreError::Missing(_))), Some(origin)) =
            (&end, store.origin(&blob.digest))
        {
            // No registry could link it, so it has to take the way through here.
            self.pull_blob(&origin, blob, store, cx).await?;
            end = self.place(&upload, &sources).await;
        }
        let outcome = end.inspect_err(|_| _ = tally.begin_at(0))?;
        tally.begin_at(blob.size);
        Ok(outcome)
    }

    async fn place(&self, upload: &Upload<'_>, sources: &[String]) -> Result<BlobOutcome, RegistryError> {
        let Upload { host, scopes, blob, store, cx, .. } = upload;
        if upload.is_there().await? {
            return Ok(BlobOutcome::Present);
        }
        let mut begun = None;
        for source in sources {
            match cx.retrying(&host.name, || self.mount(host, scopes, source, blob)).await {
                Ok(None) => return Ok(BlobOutcome::Mounted),
                Ok(Some(session)) => begun = Some(session),
                Err(error) if error.retryable() || matches!(error, RegistryError::Cancelled) => {
                    return Err(error);
                }
                // A source that may not be read is no reason not to send the blob.
                Err(_) => {}
            }
            // Only a blob that is not here is worth asking for in several places.
            if store.contains(&blob.digest) {
                break;
            }
        }
        if store.size(&blob.digest)? != blob.size {
            return Err(RegistryError::Store(StoreError::Malformed {
                what: format!("the manifest that points at blob {}", blob.digest),
                reason: format!("it says that the blob has {} bytes", blob.size),
            }));
        }
        upload.send(begun).await?;
        Ok(BlobOutcome::Moved)
    }

    /// Looks for a blob once.
    pub(super) async fn head_blob(
        &self,
        host: &Host,
        scopes: &Scopes,
        blob: &Descriptor,
    ) -> Result<bool, RegistryError> {
        let url = host.url(&self.shared, &scopes.repository, &format!("blobs/{}", blob.digest)).await?;
        let what = about(host, scopes, blob);
        match host.send(&self.shared, &Call::new(Method::HEAD, url, scopes, &what)).await {
            // What has another digest is not what was asked for.
            Ok(response) => Ok(other_digest(&response, &blob.digest).is_none()),
            Err(RegistryError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks the registry to link a blob from another repository: `None` when it did, and else the upload
    /// session that it began instead.
    async fn mount(
        &self,
        host: &Host,
        scopes: &Scopes,
        source: &str,
        blob: &Descriptor,
    ) -> Result<Option<Session>, RegistryError> {
        let scopes = Scopes::mount(&scopes.repository, source);
        let mut url = host.url(&self.shared, &scopes.repository, "blobs/uploads/").await?;
        url.query_pairs_mut().append_pair("mount", blob.digest.as_str()).append_pair("from", source);
        let what = about(host, &scopes, blob);
        let response = host.send(&self.shared, &Call::new(Method::POST, url, &scopes, &what)).await?;
        match (response.status(), other_digest(&response, &blob.digest)) {
            (StatusCode::CREATED, None) => Ok(None),
            (StatusCode::CREATED, Some(found)) => Err(RegistryError::DigestMismatch {
                registry: host.name.clone(),
                what,
                expected: blob.digest.clone(),
                found,
            }),
            _ => session(host, &response, &what).map(Some),
        }
    }
}

/// A blob in messages.
pub(super) fn about(host: &Host, scopes: &Scopes, blob: &Descriptor) -> String {
    format!("blob {} of {}/{}", blob.digest.short(), host.name, scopes.repository)
}
