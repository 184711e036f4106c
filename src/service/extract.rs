//! What handlers take out of requests, refused in the one form.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use bytes::BytesMut;
use futures::{Stream, StreamExt as _};
use polyarch_actors::{BuildId, Digest};
use serde::{
    Deserialize as _,
    de::{DeserializeOwned, IntoDeserializer as _, value},
};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use sha2::{Digest as _, Sha256};

use super::{
    auth::Caller,
    problem::{FieldProblem, Problem},
    state::Service,
};

/// How many digits the id of a build has.
const ID_DIGITS: usize = 26;

/// The build that a path names. What cannot be the id of one is that of none.
pub(super) struct BuildPath(pub(super) BuildId);

impl<S: Send + Sync> FromRequestParts<S> for BuildPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Last(text) = Last::from_request_parts(parts, state).await?;
        build_id(&text).map(Self).ok_or_else(Problem::not_found)
    }
}

/// The only name in a path of the service. The prefix that an embedding program mounts it below may have others, which come
/// before.
pub(super) struct Last(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Last {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let names =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        let last = names.iter().last().ok_or_else(Problem::not_found)?;
        Ok(Self(last.1.to_owned()))
    }
}

/// The id of a build, if a text is one.
pub(super) fn build_id(text: &str) -> Option<BuildId> {
    let is_id = text.len() == ID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let id: value::StrDeserializer<'_, value::Error> = text.into_deserializer();
    if is_id { BuildId::deserialize(id).ok() } else { None }
}

/// What stands behind the question mark of an address.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, sentence(&rejection.body_text())))
    }
}

/// Without what axum says before what is wrong.
fn sentence(text: &str) -> String {
    text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text).to_owned()
}

/// A document in JSON, and the hash of its bytes.
pub(super) struct Document<T>(pub(super) T, pub(super) Digest);

impl<T: DeserializeOwned> FromRequest<Service> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Service) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Caller(tenant) = Caller::from_request_parts(&mut parts, service).await?;
        if !is_json(&parts.headers) {
            let wanted = "the document must be JSON (Content-Type: application/json)";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, wanted));
        }
        let limits = service.limits();
        let _place = service.document(&tenant.name)?;
        let coming = whole(&parts.headers, body, limits.document, limits.pause);
        let bytes = tokio::time::timeout(limits.arrival, coming)
            .await
            .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the document took too long to come"))??;
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, format!("the document is no JSON: {error}"))
        })?;
        let document = serde_path_to_error::deserialize(value).map_err(|error| {
            let pointer = pointer(error.path());
            Problem::fields(vec![FieldProblem { pointer, detail: error.into_inner().to_string() }])
        })?;
        Ok(Self(document, Digest::from_sha256(&Sha256::digest(&bytes).into())))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// A place in a document as a JSON Pointer.
///
/// Source: RFC 6901.
fn pointer(path: &Path) -> String {
    let part = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        // The variant of an enum is the key of a map.
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    };
    path.iter().map(part).collect()
}

/// The whole body of a request, of at most `most` bytes.
async fn whole(headers: &HeaderMap, body: Body, most: usize, pause: Duration) -> Result<BytesMut, Problem> {
    let too_large =
        || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the largest document has {most} bytes"));
    if said_length(headers).is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let mut pieces = std::pin::pin!(pieces(body, pause));
    let mut bytes = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if bytes.len() + piece.len() > most {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// How long a request says that its body is.
pub(super) fn said_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok())
}

/// The pieces of a body, until none comes for as long as `pause`.
pub(super) fn pieces(body: Body, pause: Duration) -> impl Stream<Item = Result<bytes::Bytes, Problem>> {
    futures::stream::unfold(Some(body.into_data_stream()), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout(pause, body.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some(body))),
            Ok(Some(Err(_))) => Some((
                Err(Problem::new(StatusCode::BAD_REQUEST, "the body of the request was cut off")),
                None,
            )),
            Err(_) => {
                let detail = "nothing came of the body of the request for too long";
                Some((Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail)), None))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_the_id_of_a_build_is_one() {
        let id = BuildId::generate();
        assert_eq!(build_id(id.as_str()), Some(id.clone()));
        let long = format!("{id}0");
        for text in ["", "../../etc/passwd", &id.as_str().to_uppercase(), &id.as_str()[1..], &long] {
            assert_eq!(build_id(text), None, "{text}");
        }
    }
}
