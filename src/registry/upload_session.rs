//! One upload session: where it goes on, and the bytes that go there.

use std::{io::SeekFrom, sync::Arc};

use futures::{StreamExt, TryStreamExt};
use polyarch_actors::{Descriptor, Digest};
use reqwest::{
    Response, Url,
    header::{HeaderName, LOCATION, RANGE},
};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::{connection::SharedPulse, context::Tally, error::RegistryError, host::Host};
use crate::oci::Store;

/// How much of a file is read and handed to the connection at once, in bytes.
const PIECE: usize = 256 << 10;

/// Where an upload session goes on.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) url: Url,
    /// False when the registry leads to another host, which must not see the credentials.
    pub(super) ours: bool,
    /// The least bytes of a chunk that the registry takes.
    pub(super) chunk: u64,
    /// How many bytes of the blob the registry has.
    pub(super) at: u64,
}

/// A part of a blob as the body of a request.
pub(super) fn piece(
    store: &Store,
    blob: &Descriptor,
    start: u64,
    length: u64,
    pulse: SharedPulse,
    tally: &Arc<Tally>,
) -> Result<reqwest::Body, RegistryError> {
    let mut file = tokio::fs::File::from_std(store.open_blob(&blob.digest)?);
    let tally = tally.clone();
    let attempt = tally.begin_at(start);
    let opened = async move {
        if start > 0 {
            file.seek(SeekFrom::Start(start)).await?;
        }
        Ok::<_, std::io::Error>(ReaderStream::with_capacity(file.take(length), PIECE))
    };
    let mut left = length;
    let stream = futures::stream::once(opened).try_flatten().map(move |piece| {
        piece.inspect(|bytes| {
            pulse.beat(bytes.len());
            tally.add(attempt, bytes.len() as u64);
            left = left.saturating_sub(bytes.len() as u64);
            if left == 0 {
                pulse.hand_over();
            }
        })
    });
    Ok(reqwest::Body::wrap_stream(stream))
}

/// Reads where an upload goes on.
pub(super) fn session(host: &Host, response: &Response, what: &str) -> Result<Session, RegistryError> {
    let header = |name: HeaderName| header(response, name);
    let location = header(LOCATION).ok_or_else(|| "it names no location for the upload".to_owned());
    let next = location.and_then(|location| next_url(response.url(), location));
    let (url, ours) = next.map_err(|reason| RegistryError::Protocol {
        registry: host.name.clone(),
        what: what.to_owned(),
        reason,
    })?;
    let chunk = header(HeaderName::from_static("oci-chunk-min-length"));
    Ok(Session { url, ours, chunk: chunk.and_then(|text| text.parse().ok()).unwrap_or(0), at: 0 })
}

/// How many bytes of an upload the registry says it has.
pub(super) fn reached(response: &Response) -> Option<u64> {
    bytes_in(header(response, RANGE)?)
}

/// The digest that an answer names, where it is another one than `expected`.
pub(super) fn other_digest(response: &Response, expected: &Digest) -> Option<Digest> {
    let named = header(response, HeaderName::from_static("docker-content-digest"))?.parse::<Digest>().ok()?;
    (named != *expected).then_some(named)
}

fn header(response: &Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// How many bytes a range holds that begins with the first: `0-9` holds ten.
///
/// `0-0` means none here: docker-registry says so of an empty upload, and none that is sent in chunks has one byte.
fn bytes_in(range: &str) -> Option<u64> {
    let (first, last) = range.strip_prefix("bytes=").unwrap_or(range).split_once('-')?;
    match (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?) {
        (0, 0) => Some(0),
        (0, last) => last.checked_add(1),
        _ => None,
    }
}

/// Resolves a location, and says whether it is on the same host.
///
/// A registry behind a proxy that ends TLS often believes that it is reached by plain HTTP and names such
/// locations; the scheme that works is kept.
fn next_url(from: &Url, location: &str) -> Result<(Url, bool), String> {
    let mut url = from.join(location).map_err(|error| format!("its upload location is no URL ({error})"))?;
    if url.host() == from.host() && url.port() == from.port() && url.scheme() != from.scheme() {
        let _ = url.set_scheme(from.scheme());
    }
    let ours = url.origin() == from.origin();
    Ok((url, ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_goes_on_where_the_registry_says() {
        let from = Url::parse("https://r.example/v2/a/blobs/uploads/").expect("a URL");
        for (location, url, ours) in [
            ("/v2/a/blobs/uploads/1?_state=x%3D", "https://r.example/v2/a/blobs/uploads/1?_state=x%3D", true),
            ("https://r.example/u/1", "https://r.example/u/1", true),
            ("http://r.example/u/1", "https://r.example/u/1", true),
            ("http://r.example:80/u/1", "https://r.example/u/1", true),
            ("https://other.example/u/1", "https://other.example/u/1", false),
            ("https://r.example:5000/u/1", "https://r.example:5000/u/1", false),
        ] {
            let (found, found_ours) = next_url(&from, location).expect(location);
            assert_eq!((found.as_str(), found_ours), (url, ours), "{location}");
        }
        assert!(next_url(&from, "https://[").is_err());
    }

    #[test]
    fn a_range_says_how_much_has_come() {
        for (range, bytes) in [
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("0-0", Some(0)),
            ("5-9", None),
            ("0-18446744073709551615", None),
            ("10", None),
            ("", None),
        ] {
            assert_eq!(bytes_in(range), bytes, "{range}");
        }
    }
}
