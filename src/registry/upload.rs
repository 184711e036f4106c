//! Blobs to a registry: look, mount, or send.
//!
//! A blob goes in one PUT, as containerd sends it. Where something on the way takes no request of that size
//! (413, or a connection that breaks again and again), it goes in chunks. A failure in the middle begins a new
//! upload session.
//!
//! Source: OCI distribution specification, "Pushing blobs" and "Mounting a blob from another repository".

use std::sync::Arc;

use polyarch_actors::Descriptor;
use reqwest::{
    Method, StatusCode,
    header::{CONTENT_RANGE, CONTENT_TYPE},
};

use super::{
    client::RegistryClient,
    context::{Tally, TransferCx},
    error::RegistryError,
    host::{Call, Host, Payload, Scopes},
    upload_session::{Session, piece, session},
};
use crate::oci::{Reference, Store, StoreError};

/// The size of a chunk where a registry takes no large requests, in bytes.
const CHUNK: u64 = 16 << 20;
/// How often a blob is sent in one request before it is sent in chunks.
const WHOLE_ATTEMPTS: u32 = 2;

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
        let sources = sources.as_slice();
        let mut attempts = 0;
        let attempt = || {
            attempts += 1;
            self.push_once(&host, &scopes, blob, store, sources, &tally, attempts > WHOLE_ATTEMPTS)
        };
        let mut end = cx.retrying(&host.name, attempt).await;
        if let (Err(RegistryError::Store(StoreError::Missing(_))), Some(origin)) =
            (&end, store.origin(&blob.digest))
        {
            // No registry could link it, so it has to take the way through here.
            self.pull_blob(&origin, blob, store, cx).await?;
            end = cx
                .retrying(&host.name, || {
                    self.push_once(&host, &scopes, blob, store, sources, &tally, attempts > WHOLE_ATTEMPTS)
                })
                .await;
        }
        let outcome = end.inspect_err(|_| _ = tally.begin_at(0))?;
        tally.begin_at(blob.size);
        Ok(outcome)
    }

    #[expect(clippy::too_many_arguments, reason = "they are one transfer's ends and its watchers")]
    async fn push_once(
        &self,
        host: &Host,
        scopes: &Scopes,
        blob: &Descriptor,
        store: &Store,
        sources: &[String],
        tally: &Arc<Tally>,
        in_chunks: bool,
    ) -> Result<BlobOutcome, RegistryError> {
        if self.head_blob(host, scopes, blob).await? {
            return Ok(BlobOutcome::Present);
        }
        let mut session = None;
        for source in sources {
            match self.mount(host, scopes, source, blob).await {
                Ok(None) => return Ok(BlobOutcome::Mounted),
                Ok(Some(begun)) => session = Some(begun),
                // A source that may not be read is no reason not to send the blob.
                Err(error) if error.retryable() => return Err(error),
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
        let session = match session {
            Some(session) => session,
            None => self.begin(host, scopes, blob).await?,
        };
        if in_chunks {
            self.put_chunks(host, scopes, blob, store, session, tally).await?;
            return Ok(BlobOutcome::Moved);
        }
        match self.put_whole(host, scopes, blob, store, &session, tally).await {
            Err(RegistryError::Refused { status: 413, .. }) => {
                let session = self.begin(host, scopes, blob).await?;
                self.put_chunks(host, scopes, blob, store, session, tally).await?;
            }
            end => end?,
        }
        Ok(BlobOutcome::Moved)
    }

    async fn head_blob(
        &self,
        host: &Host,
        scopes: &Scopes,
        blob: &Descriptor,
    ) -> Result<bool, RegistryError> {
        let url = host.url(&self.shared, &scopes.repository, &format!("blobs/{}", blob.digest)).await?;
        let what = about(host, scopes, blob);
        match host.send(&self.shared, &Call::new(Method::HEAD, url, scopes, &what)).await {
            Ok(_) => Ok(true),
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
        if response.status() == StatusCode::CREATED {
            return Ok(None);
        }
        session(host, &response, &what).map(Some)
    }

    async fn begin(&self, host: &Host, scopes: &Scopes, blob: &Descriptor) -> Result<Session, RegistryError> {
        let url = host.url(&self.shared, &scopes.repository, "blobs/uploads/").await?;
        let what = about(host, scopes, blob);
        let response = host.send(&self.shared, &Call::new(Method::POST, url, scopes, &what)).await?;
        session(host, &response, &what)
    }

    async fn put_whole(
        &self,
        host: &Host,
        scopes: &Scopes,
        blob: &Descriptor,
        store: &Store,
        session: &Session,
        tally: &Arc<Tally>,
    ) -> Result<(), RegistryError> {
        let what = about(host, scopes, blob);
        let open = |pulse| piece(store, blob, 0, blob.size, pulse, tally);
        let mut url = session.url.clone();
        url.query_pairs_mut().append_pair("digest", blob.digest.as_str());
        let mut call = Call::new(Method::PUT, url, scopes, &what)
            .header(CONTENT_TYPE, "application/octet-stream")
            .payload(Payload::Stream(blob.size, &open));
        call.authorized = session.ours;
        host.send(&self.shared, &call).await.map_err(|error| begin_again(host, error))?;
        Ok(())
    }

    async fn put_chunks(
        &self,
        host: &Host,
        scopes: &Scopes,
        blob: &Descriptor,
        store: &Store,
        mut session_now: Session,
        tally: &Arc<Tally>,
    ) -> Result<(), RegistryError> {
        let what = about(host, scopes, blob);
        let size = session_now.chunk.max(CHUNK);
        let mut start = 0;
        while start < blob.size {
            let length = size.min(blob.size - start);
            let open = |pulse| piece(store, blob, start, length, pulse, tally);
            let mut call = Call::new(Method::PATCH, session_now.url.clone(), scopes, &what)
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_RANGE, format!("{start}-{}", start + length - 1))
                .payload(Payload::Stream(length, &open));
            call.authorized = session_now.ours;
            let response = host.send(&self.shared, &call).await.map_err(|error| begin_again(host, error))?;
            session_now = session(host, &response, &what)?;
            start += length;
        }
        let mut url = session_now.url.clone();
        url.query_pairs_mut().append_pair("digest", blob.digest.as_str());
        let mut call = Call::new(Method::PUT, url, scopes, &what);
        call.authorized = session_now.ours;
        host.send(&self.shared, &call).await.map_err(|error| begin_again(host, error))?;
        Ok(())
    }
}

/// A blob in messages.
pub(super) fn about(host: &Host, scopes: &Scopes, blob: &Descriptor) -> String {
    format!("blob {} of {}/{}", blob.digest.short(), host.name, scopes.repository)
}

/// An upload session that the registry has forgotten is begun again, like any other passing fault.
fn begin_again(host: &Host, error: RegistryError) -> RegistryError {
    let reason = match error {
        RegistryError::Refused { status: 404 | 416, message, .. } => {
            format!("it has lost the upload ({message})")
        }
        RegistryError::Refused { code, message, .. } if code == "BLOB_UPLOAD_INVALID" => {
            format!("it cannot go on with the upload ({message})")
        }
        RegistryError::NotFound { message, .. } => format!("it has lost the upload ({message})"),
        error => return error,
    };
    RegistryError::Interrupted { registry: host.name.clone(), reason }
}
