//! Blobs from a registry into the store.
//!
//! Source: OCI distribution specification, "Pulling blobs".

use std::{io::Write as _, time::Duration};

use bytes::Bytes;
use polyarch_actors::Descriptor;
use reqwest::{Method, Response, Url};
use tokio::sync::mpsc;

use super::{
    answer::{Asker, answer_error},
    client::RegistryClient,
    connection::{self, Pulse},
    context::{Tally, TransferCx},
    error::RegistryError,
    host::{Call, Host, Scopes},
    upload::{BlobOutcome, about},
};
use crate::oci::{Reference, Store, StoreError};

/// How many pieces of a body may wait to be written.
const WAITING_PIECES: usize = 16;

impl RegistryClient {
    /// Fetches a blob into the store, unless it is there. Its digest and length are checked.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] when the repository does not have it, [`RegistryError::DigestMismatch`] when
    /// the registry delivers something else.
    pub async fn pull_blob(
        &self,
        repository: &Reference,
        blob: &Descriptor,
        store: &Store,
        cx: &TransferCx,
    ) -> Result<BlobOutcome, RegistryError> {
        self.pull_blob_or_foreign(repository, blob, &[], store, cx).await
    }

    /// As [`RegistryClient::pull_blob`]; a blob that the registry may not keep comes from one of `urls`.
    pub(super) async fn pull_blob_or_foreign(
        &self,
        repository: &Reference,
        blob: &Descriptor,
        urls: &[String],
        store: &Store,
        cx: &TransferCx,
    ) -> Result<BlobOutcome, RegistryError> {
        let tally = Tally::new(cx);
        if store.contains(&blob.digest) {
            tally.begin_at(blob.size);
            return Ok(BlobOutcome::Present);
        }
        let host = self.host(repository.registry());
        let scopes = Scopes::pull(repository.repository());
        let pulled = cx
            .retrying_to_the_end(&host.name, || self.pull_once(&host, &scopes, blob, store, &tally, cx))
            .await;
        let mut end = pulled.inspect_err(|_| _ = tally.begin_at(0));
        for url in urls {
            if matches!(end, Err(RegistryError::NotFound { .. })) {
                let fetched = cx
                    .retrying_to_the_end(&host.name, || self.fetch(&host, url, blob, store, &tally, cx))
                    .await;
                end = fetched.inspect_err(|_| _ = tally.begin_at(0));
            }
        }
        end?;
        tally.begin_at(blob.size);
        Ok(BlobOutcome::Moved)
    }

    async fn pull_once(
        &self,
        host: &Host,
        scopes: &Scopes,
        blob: &Descriptor,
        store: &Store,
        tally: &Tally,
        cx: &TransferCx,
    ) -> Result<(), RegistryError> {
        let what = about(host, scopes, blob);
        let asking = async {
            let url = host.url(&self.shared, &scopes.repository, &format!("blobs/{}", blob.digest)).await?;
            host.send(&self.shared, &Call::new(Method::GET, url, scopes, &what)).await
        };
        let response = cx.until_cancelled(asking).await?;
        self.write(&host.name, &what, response, blob, store, tally, cx).await
    }

    /// Fetches a blob from where a manifest says it is, without credentials.
    async fn fetch(
        &self,
        host: &Host,
        url: &str,
        blob: &Descriptor,
        store: &Store,
        tally: &Tally,
        cx: &TransferCx,
    ) -> Result<(), RegistryError> {
        let what = format!("blob {}", blob.digest.short());
        let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let place = url.as_ref().and_then(Url::host_str).map(str::to_owned);
        let (Some(url), Some(place)) = (url, place) else {
            let message = "its manifest gives no usable URL for it".to_owned();
            return Err(RegistryError::NotFound { what, message });
        };
        let idle = self.shared.timeouts.idle;
        let asking = async {
            Pulse::default()
                .watch(host.http(&self.shared)?.get(url).send(), idle, Duration::ZERO)
                .await
                .map_err(|idle| RegistryError::Stalled { registry: place.clone(), idle })?
                .map_err(|error| host.failure(&place, &what, &error))
        };
        let response = cx.until_cancelled(asking).await?;
        if !response.status().is_success() {
            return Err(answer_error(response, &place, &what, &Asker::default(), idle).await);
        }
        self.write(&place, &what, response, blob, store, tally, cx).await
    }

    /// Writes a body into the store. When this returns, no temporary file is left.
    #[expect(clippy::too_many_arguments, reason = "they are one transfer's ends and its watchers")]
    async fn write(
        &self,
        registry: &str,
        what: &str,
        mut response: Response,
        blob: &Descriptor,
        store: &Store,
        tally: &Tally,
        cx: &TransferCx,
    ) -> Result<(), RegistryError> {
        let attempt = tally.begin_at(0);
        let mut writer = store.writer_of(blob.size)?;
        let (pieces, mut arriving) = mpsc::channel::<Bytes>(WAITING_PIECES);
        let (complete, is_complete) = tokio::sync::oneshot::channel::<()>();
        let expected = blob.digest.clone();
        let path = store.blob_path(&expected);
        // Hashing and writing would hold up whatever else this thread does.
        let writing = tokio::task::spawn_blocking(move || {
            while let Some(piece) = arriving.blocking_recv() {
                writer.write_all(&piece).map_err(|source| StoreError::Io {
                    action: "write",
                    path: path.clone(),
                    source,
                })?;
            }
            // A body that broke off is dropped, and its file with it.
            is_complete.blocking_recv().is_ok().then(|| writer.commit(Some(&expected))).transpose()
        });
        let mut left = blob.size;
        let reading = async {
            while let Some(piece) =
                connection::chunk(&mut response, registry, self.shared.timeouts.idle).await?
            {
                let length = piece.len() as u64;
                left = left.checked_sub(length).ok_or_else(|| RegistryError::Protocol {
                    registry: registry.to_owned(),
                    what: what.to_owned(),
                    reason: format!("it has more than the {} bytes that its manifest says", blob.size),
                })?;
                if pieces.send(piece).await.is_err() {
                    // The writer has failed and says why.
                    break;
                }
                tally.add(attempt, length);
            }
            Ok(())
        };
        let read = cx.until_cancelled(reading).await;
        if read.is_ok() && left == 0 {
            let _ = complete.send(());
        } else {
            drop(complete);
        }
        drop(pieces);
        let written = writing.await.map_err(|error| RegistryError::Setup { reason: error.to_string() })?;
        read?;
        match written {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(RegistryError::Interrupted {
                registry: registry.to_owned(),
                reason: format!("{what} ended {left} bytes early"),
            }),
            Err(StoreError::Corrupt { expected, found, .. }) => Err(RegistryError::DigestMismatch {
                registry: registry.to_owned(),
                what: what.to_owned(),
                expected,
                found,
            }),
            Err(error) => Err(error.into()),
        }
    }
}
