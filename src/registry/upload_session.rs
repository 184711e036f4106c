//! One upload session: where it goes on, and the bytes that go there.

use std::{io::SeekFrom, sync::Arc};

use futures::{StreamExt, TryStreamExt};
use polyarch_actors::Descriptor;
use reqwest::{
    Response, Url,
    header::{HeaderName, LOCATION},
};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::{connection::SharedPulse, context::Tally, error::RegistryError, host::Host};
use crate::oci::Store;

/// How much of a file is read and handed to the connection at once, in bytes.
const PIECE: usize = 256 << 10;

/// Where an upload session goes on.
pub(super) struct Session {
    pub(super) url: Url,
    /// False when the registry leads to another host, which must not see the credentials.
    pub(super) ours: bool,
    /// The least bytes of a chunk that the registry takes.
    pub(super) chunk: u64,
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
    let header = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    let location = header(LOCATION).ok_or_else(|| "it names no location for the upload".to_owned());
    let next = location.and_then(|location| next_url(response.url(), location));
    let (url, ours) = next.map_err(|reason| RegistryError::Protocol {
        registry: host.name.clone(),
        what: what.to_owned(),
        reason,
    })?;
    let chunk = header(HeaderName::from_static("oci-chunk-min-length"));
    Ok(Session { url, ours, chunk: chunk.and_then(|text| text.parse().ok()).unwrap_or(0) })
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
}
