//! Files of web servers.
//!
//! Source: BuildKit, `source/http/source.go`.

use std::{
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use polyarch_actors::{Digest, Fetching, SecretRef};
use reqwest::{
    Response, StatusCode, Url,
    header::{ETAG, HeaderMap, HeaderName, LAST_MODIFIED},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

use super::{
    checksum::{Checksum, Hasher},
    error::FetchError,
    remembered::Remembered,
    secret::authorization,
};
use crate::{
    fence::Fence,
    oci::{Store, StoreError},
    registry::{RegistryError, TransferCx, Web},
};

/// The most that is fetched of one address, in bytes.
const LARGEST: u64 = 64 << 30;
/// How many pieces of a body may wait to be written.
const WAITING_PIECES: usize = 16;

/// A file that was fetched, or had been before and has not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedFile {
    /// The file, as a blob of the store.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The name that ADD gives it in a directory: the last part of the address, or `__unnamed__`, whatever the
    /// server calls it (BuildKit, `dockerfile2llb/convert.go`, `dispatchCopy`).
    pub name: String,
    /// When it was modified, if the server says it; ADD gives it that time, else 1970. Its mode is 0600.
    pub modified: Option<SystemTime>,
}

/// Fetches a file into the store. What is in the store and has not changed is not fetched again; with a SHA-256
/// checksum that fits, the server is not even asked. Of the `secrets`, `HTTP_AUTH_TOKEN_<host>` and
/// `HTTP_AUTH_HEADER_<host>` tell the server who asks.
///
/// # Errors
/// [`FetchError::Url`] for an address that is not http or https, [`FetchError::Checksum`] when it is another file,
/// [`FetchError::Secret`] when a secret cannot be read, [`FetchError::NotPublic`] for what `fetching` does not allow,
/// [`FetchError::Server`] when the server cannot be reached or refuses.
pub async fn http(
    url: &str,
    checksum: Option<&Checksum>,
    secrets: &[SecretRef],
    fetching: Fetching,
    store: &Store,
    cx: &TransferCx,
) -> Result<FetchedFile, FetchError> {
    let url = parse(url)?;
    let known = {
        let (store, url) = (store.clone(), url.clone());
        blocking(move || Ok(Remembered::read(&store, &url))).await?
    };
    let is_meant = |known: &Remembered| checksum.and_then(Checksum::sha256) == Some(known.digest.hex());
    if let Some(known) = known.as_ref().filter(|known| is_meant(known)) {
        return known.file(store, &url);
    }
    let authorization = authorization(url.host_str().unwrap_or_default(), secrets)?;
    let fence = Fence::of(fetching).map_err(|error| FetchError::fence(&error))?;
    let web = Web::new(&url, authorization.as_deref(), fence.as_ref().map(Fence::proxy))?;
    let download =
        Download { web: &web, fence: fence.as_ref(), url: &url, known: known.as_ref(), checksum, store, cx };
    let fetched = cx.retrying_to_the_end(&web.host, || download.attempt()).await??;
    if known.as_ref() != Some(&fetched) {
        let (store, url, fetched) = (store.clone(), url.clone(), fetched.clone());
        blocking(move || Ok(fetched.write(&store, &url)?)).await?;
    }
    fetched.file(store, &url)
}

/// An address as it may be shown: without credentials, and without the query, which may hold a signature.
pub fn shown(url: &str) -> String {
    let address = url.split(['?', '#']).next().unwrap_or_default();
    match address.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => address.to_owned(),
    }
}

fn parse(text: &str) -> Result<Url, FetchError> {
    let wrong = |reason: String| FetchError::Url { url: shown(text), reason };
    let mut url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("expected http:// or https://".into()));
    }
    url.set_fragment(None);
    Ok(url)
}

/// The last part of an address, as ADD names a file.
fn name(url: &Url) -> String {
    let path = percent_decode_str(url.path()).decode_utf8_lossy();
    match path.trim_end_matches('/').rsplit('/').next() {
        None | Some("" | "." | "..") => "__unnamed__".to_owned(),
        Some(name) if name.contains('\0') => "__unnamed__".to_owned(),
        Some(name) => name.to_owned(),
    }
}

impl Remembered {
    fn file(&self, store: &Store, url: &Url) -> Result<FetchedFile, FetchError> {
        Ok(FetchedFile {
            digest: self.digest.clone(),
            size: store.size(&self.digest)?,
            name: name(url),
            modified: self.modified.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)),
        })
    }
}

struct Download<'d> {
    web: &'d Web,
    fence: Option<&'d Fence>,
    url: &'d Url,
    known: Option<&'d Remembered>,
    checksum: Option<&'d Checksum>,
    store: &'d Store,
    cx: &'d TransferCx,
}

impl Download<'_> {
    /// One attempt. The outer error may be worth another.
    async fn attempt(&self) -> Result<Result<Remembered, FetchError>, RegistryError> {
        let what = shown(self.url.as_str());
        // With a checksum, only the file itself can tell whether it is the one.
        let known = self.known.filter(|_| self.checksum.is_none());
        let etag = known.and_then(|known| known.etag.as_deref());
        let asked = self.cx.until_cancelled(self.web.ask(self.url, &what, etag)).await;
        // Another attempt would be refused too.
        if asked.is_err()
            && let Some(refusal) = FetchError::refused(self.fence, &what)
        {
            return Ok(Err(refusal));
        }
        let response = asked?;
        let headers = response.headers();
        let called = header(headers, ETAG);
        if let Some(known) = known {
            // Some servers do not heed the question and send the same file again.
            let same = response.status() == StatusCode::NOT_MODIFIED
                || called.as_deref().is_some_and(|etag| known.is_called(etag));
            if same {
                return Ok(Ok(known.clone()));
            }
        }
        let modified = header(headers, LAST_MODIFIED)
            .and_then(|date| httpdate::parse_http_date(&date).ok())
            .and_then(|date| date.duration_since(UNIX_EPOCH).ok())
            .map(|since| since.as_secs());
        let written = self.write(response, what).await?;
        Ok(written.map(|digest| Remembered { etag: called, digest, modified }))
    }

    /// Writes a body into the store. When this returns, no temporary file is left.
    async fn write(
        &self,
        mut response: Response,
        what: String,
    ) -> Result<Result<Digest, FetchError>, RegistryError> {
        let announced = response.content_length().unwrap_or_default();
        if announced > LARGEST {
            return Ok(Err(FetchError::TooLarge { what, limit: LARGEST }));
        }
        let (pieces, arriving) = mpsc::channel::<Bytes>(WAITING_PIECES);
        let (complete, is_complete) = oneshot::channel::<()>();
        let (store, checksum) = (self.store.clone(), self.checksum.cloned());
        // Hashing and writing would hold up whatever else this thread does.
        let writing =
            spawn_blocking(move || receive(&store, announced, arriving, is_complete, checksum, what));
        let reading = async {
            while let Some(piece) = self.web.piece(&mut response).await? {
                if pieces.send(piece).await.is_err() {
                    // The writer has failed and says why.
                    break;
                }
            }
            Ok(())
        };
        let read = self.cx.until_cancelled(reading).await;
        if read.is_ok() {
            let _ = complete.send(());
        } else {
            drop(complete);
        }
        drop(pieces);
        let written = writing.await.map_err(|error| RegistryError::Setup { reason: error.to_string() })?;
        read?;
        match written {
            Ok(Some(digest)) => Ok(Ok(digest)),
            Ok(None) => Err(RegistryError::Cancelled),
            Err(error) => Ok(Err(error)),
        }
    }
}

/// Writes what arrives, of which the server has announced so many bytes. `None` when it broke off, whose file is dropped.
fn receive(
    store: &Store,
    announced: u64,
    mut arriving: mpsc::Receiver<Bytes>,
    is_complete: oneshot::Receiver<()>,
    checksum: Option<Checksum>,
    what: String,
) -> Result<Option<Digest>, FetchError> {
    let mut writer = store.writer_of(announced)?;
    let mut hasher = checksum.as_ref().map(Checksum::hasher);
    let mut size = 0;
    while let Some(piece) = arriving.blocking_recv() {
        size += piece.len() as u64;
        if size > LARGEST {
            return Err(FetchError::TooLarge { what, limit: LARGEST });
        }
        let path = store.root().join("tmp");
        writer.write_all(&piece).map_err(|source| StoreError::Io { action: "write in", path, source })?;
        if let Some(hasher) = &mut hasher {
            hasher.update(&piece);
        }
    }
    if is_complete.blocking_recv().is_err() {
        return Ok(None);
    }
    let found = hasher.map(Hasher::finish);
    if let (Some(expected), Some(found)) = (checksum, found)
        && expected != found
    {
        let (expected, found) = (expected.to_string(), found.to_string());
        return Err(FetchError::Checksum { what, expected, found });
    }
    Ok(Some(writer.commit(None)?.0))
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    let failed = |error: tokio::task::JoinError| RegistryError::Setup { reason: error.to_string() };
    spawn_blocking(work).await.map_err(failed)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_address_alone() {
        for (url, expected) in [
            ("https://h/a/b.tar.gz?x=/y", "b.tar.gz"),
            ("https://h/", "__unnamed__"),
            ("https://h", "__unnamed__"),
            ("https://h/a/", "a"),
            ("https://h/a%20b", "a b"),
            ("https://h/a%2Fb", "b"),
            ("https://h/a%2F..", "__unnamed__"),
            ("https://h/%00", "__unnamed__"),
        ] {
            assert_eq!(name(&parse(url).expect("an address")), expected, "{url}");
        }
    }

    #[test]
    fn an_address_is_shown_without_what_is_secret() {
        assert_eq!(shown("https://me:pass@h:1/a?sig=x#y"), "https://h:1/a");
        assert_eq!(shown("https://h"), "https://h");
        let error = parse("ftp://me:pass@h/a").expect_err("ftp").to_string();
        assert!(error.contains("\"ftp://h/a\"") && error.contains("expected http://"), "{error}");
    }
}
