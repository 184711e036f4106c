//! Sends a blob.
//!
//! It goes in one PUT, as containerd sends it. Where something on the way takes no request of that size (413, or a
//! connection that breaks again and again), it goes in chunks, and after a failure goes on where the registry says it
//! is. A registry that has lost an upload gets it from the beginning.
//!
//! Source: OCI distribution specification, "Pushing blobs" and "Pushing a blob in chunks".

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use polyarch_actors::Descriptor;
use reqwest::{
    Method, Response,
    header::{CONTENT_RANGE, CONTENT_TYPE},
};

use super::{
    client::RegistryClient,
    context::{Tally, TransferCx},
    error::RegistryError,
    host::{Call, Host, Payload, Scopes},
    upload::about,
    upload_session::{Session, other_digest, piece, reached, session},
};
use crate::oci::Store;

/// The size of a chunk where a registry takes no large requests, in bytes.
const CHUNK: u64 = 16 << 20;
/// How often a blob is sent in one request before it is sent in chunks.
const WHOLE_ATTEMPTS: u32 = 2;

/// One blob on its way to one repository.
pub(super) struct Upload<'u> {
    pub(super) client: &'u RegistryClient,
    pub(super) host: &'u Host,
    pub(super) scopes: &'u Scopes,
    pub(super) blob: &'u Descriptor,
    pub(super) store: &'u Store,
    pub(super) tally: &'u Arc<Tally>,
    pub(super) cx: &'u TransferCx,
}

/// How something ended that is made again from the beginning where the outer result is such an error. The inner result
/// is final: what it was made of has been tried again already.
type Final<T> = Result<Result<T, RegistryError>, RegistryError>;

impl Upload<'_> {
    /// Whether the repository has the blob.
    pub(super) async fn is_there(&self) -> Result<bool, RegistryError> {
        let look = || self.client.head_blob(self.host, self.scopes, self.blob);
        self.cx.retrying(&self.host.name, look).await
    }

    /// Sends the blob, first into the session that was `begun`, if any.
    pub(super) async fn send(&self, begun: Option<Session>) -> Result<(), RegistryError> {
        let begun = Mutex::new(begun);
        let attempts = AtomicU32::new(0);
        let attempt = || {
            let begun = begun.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.attempt(attempts.fetch_add(1, Ordering::Relaxed), begun)
        };
        self.cx.retrying(&self.host.name, attempt).await?
    }

    async fn attempt(&self, number: u32, begun: Option<Session>) -> Final<()> {
        // The registry may have taken the blob, and only its answer is lost.
        match self.is_there_again(number).await {
            Ok(false) => {}
            Ok(true) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        }
        let session = match begun {
            Some(session) => session,
            None => match self.begin().await {
                Ok(session) => session,
                Err(error) => return Ok(Err(error)),
            },
        };
        if number >= WHOLE_ATTEMPTS {
            return self.in_chunks(session).await;
        }
        match self.whole(&session).await {
            Err(RegistryError::Refused { status: 413, .. }) => match self.begin().await {
                Ok(session) => self.in_chunks(session).await,
                Err(error) => Ok(Err(error)),
            },
            end => end.map(Ok),
        }
    }

    async fn is_there_again(&self, number: u32) -> Result<bool, RegistryError> {
        if number == 0 { Ok(false) } else { self.is_there().await }
    }

    async fn begin(&self) -> Result<Session, RegistryError> {
        let (shared, what) = (&self.client.shared, self.about());
        let request = || async {
            let url = self.host.url(shared, &self.scopes.repository, "blobs/uploads/").await?;
            let response = self.host.send(shared, &Call::new(Method::POST, url, self.scopes, &what)).await?;
            session(self.host, &response, &what)
        };
        self.cx.retrying(&self.host.name, request).await
    }

    async fn whole(&self, session: &Session) -> Result<(), RegistryError> {
        let what = self.about();
        let open = |pulse| piece(self.store, self.blob, 0, self.blob.size, pulse, self.tally);
        let call = Call::new(Method::PUT, self.last(session), self.scopes, &what)
            .header(CONTENT_TYPE, "application/octet-stream")
            .payload(Payload::Stream(self.blob.size, &open));
        let response = self.call(call, session).await?;
        self.check(&response)
    }

    async fn in_chunks(&self, mut session: Session) -> Final<()> {
        while session.at < self.blob.size {
            let is_retry = AtomicBool::new(false);
            let chunk = || self.chunk(&session, is_retry.swap(true, Ordering::Relaxed));
            session = match self.cx.retrying(&self.host.name, chunk).await {
                Ok(next) => next?,
                Err(error) => return Ok(Err(error)),
            };
        }
        let what = self.about();
        let call = Call::new(Method::PUT, self.last(&session), self.scopes, &what);
        let response = self.call(call, &session).await?;
        Ok(self.check(&response))
    }

    /// Sends the next chunk; where that has failed before, it goes on where the registry is, if it knows.
    async fn chunk(&self, session: &Session, is_retry: bool) -> Final<Session> {
        let found = if is_retry { self.found(session).await } else { Ok(session.clone()) };
        match found {
            Ok(session) if session.at < self.blob.size => self.patch(&session).await.map(Ok),
            found => Ok(found),
        }
    }

    async fn patch(&self, from: &Session) -> Result<Session, RegistryError> {
        let what = self.about();
        let start = from.at;
        let length = from.chunk.max(CHUNK).min(self.blob.size - start);
        let open = |pulse| piece(self.store, self.blob, start, length, pulse, self.tally);
        let call = Call::new(Method::PATCH, from.url.clone(), self.scopes, &what)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_RANGE, format!("{start}-{}", start + length - 1))
            .payload(Payload::Stream(length, &open));
        let response = self.call(call, from).await?;
        // Some registries say nothing of use here; one that has taken nothing refuses the next chunk.
        let taken = reached(&response).filter(|at| *at > start && *at < start + length);
        let at = taken.unwrap_or(start + length);
        Ok(Session { at, ..session(self.host, &response, &what)? })
    }

    /// Asks where an upload is.
    async fn found(&self, lost: &Session) -> Result<Session, RegistryError> {
        let what = self.about();
        let look = || async {
            let call = Call::new(Method::GET, lost.url.clone(), self.scopes, &what);
            let response = self.call(call, lost).await?;
            let at = reached(&response).filter(|at| *at <= self.blob.size);
            let at = at.ok_or_else(|| self.lost("it does not say how much it has"))?;
            // The next requests go to where this one went, unless another place is named.
            let next = session(self.host, &response, &what).unwrap_or_else(|_| lost.clone());
            Ok(Session { at, chunk: lost.chunk, ..next })
        };
        match look().await {
            // The upload begins anew, which is tried as often as anything else.
            Err(RegistryError::Refused { status: 400..500, message, .. }) => Err(self.lost(&message)),
            end => end,
        }
    }

    /// Makes a request of a session, in which what is not there is the upload.
    async fn call(&self, mut call: Call<'_>, session: &Session) -> Result<Response, RegistryError> {
        call.authorized = session.ours;
        let sent = self.host.send(&self.client.shared, &call).await;
        sent.map_err(|error| match error {
            RegistryError::Refused { status: 404 | 416, message, .. }
            | RegistryError::NotFound { message, .. } => self.lost(&message),
            RegistryError::Refused { code, message, .. } if code == "BLOB_UPLOAD_INVALID" => {
                self.lost(&message)
            }
            error => error,
        })
    }

    /// An upload session that the registry has forgotten is begun again, like any other passing fault.
    fn lost(&self, message: &str) -> RegistryError {
        let reason = format!("it has lost the upload ({message})");
        RegistryError::Interrupted { registry: self.host.name.clone(), reason }
    }

    /// Where the last request of a session goes.
    fn last(&self, session: &Session) -> reqwest::Url {
        let mut url = session.url.clone();
        url.query_pairs_mut().append_pair("digest", self.blob.digest.as_str());
        url
    }

    /// Whether the registry has kept this blob and no other.
    fn check(&self, response: &Response) -> Result<(), RegistryError> {
        other_digest(response, &self.blob.digest).map_or(Ok(()), |found| {
            Err(RegistryError::DigestMismatch {
                registry: self.host.name.clone(),
                what: self.about(),
                expected: self.blob.digest.clone(),
                found,
            })
        })
    }

    fn about(&self) -> String {
        about(self.host, self.scopes, self.blob)
    }
}
