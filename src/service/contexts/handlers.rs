//! Sending a context.

use std::time::UNIX_EPOCH;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Version, header},
    response::{IntoResponse as _, Response},
};
use polyarch_actors::{Digest, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::receive::{check_size, receive};
use crate::service::{auth::Caller, extract::said_length, problem::Problem, state::Service};

/// What an archive may be called. How it is compressed, its first bytes tell.
const KINDS: [&str; 10] = [
    "application/x-tar",
    "application/tar",
    "application/gzip",
    "application/x-gzip",
    "application/zstd",
    "application/x-bzip2",
    "application/x-xz",
    "application/x-gtar",
    "application/x-compressed-tar",
    "application/octet-stream",
];

/// The routes of contexts.
pub(in crate::service) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(send))
}

/// An archive that is kept.
#[derive(Serialize, ToSchema)]
#[schema(as = Context)]
struct ContextKept {
    /// Its digest, by which a build names it.
    #[schema(value_type = String)]
    context: Digest,
    /// How many bytes it has.
    size: u64,
    /// Until when it is kept if no build uses it, in milliseconds since 1970.
    #[schema(value_type = u64)]
    expires: Timestamp,
}

/// Send a context: a tar archive, plain or compressed with gzip, zstd, bzip2 or xz.
#[utoipa::path(
    post, path = "/v1/contexts", operation_id = "send_context", tag = "contexts",
    request_body(content = Vec<u8>, content_type = "application/x-tar"),
    responses(
        (status = 201, description = "It is kept now", body = ContextKept),
        (status = 200, description = "It was kept before", body = ContextKept),
        Problem
    )
)]
async fn send(
    State(service): State<Service>,
    Caller(tenant): Caller,
    request: Request,
) -> Result<Response, Problem> {
    check_kind(request.headers())?;
    let length = said_length(request.headers());
    let is_old = matches!(request.version(), Version::HTTP_10 | Version::HTTP_11);
    if is_old && length.is_none() && !request.headers().contains_key(header::TRANSFER_ENCODING) {
        return Err(Problem::new(StatusCode::LENGTH_REQUIRED, "the request has no body"));
    }
    check_size(length.unwrap_or(0), service.limits())?;
    let too_many = || {
        let most = service.limits().uploads;
        let detail = format!("the tenant sends {most} contexts already");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(5)
    };
    let place = service.uploads().take(&tenant.name, service.limits().uploads).ok_or_else(too_many)?;
    let received = receive(&service, &tenant.name, place, request.into_body()).await?;
    let status = if received.kept.was_there { StatusCode::OK } else { StatusCode::CREATED };
    let expires = received.kept.expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let expires = Timestamp(u64::try_from(expires).unwrap_or(u64::MAX));
    let kept = ContextKept { context: received.digest, size: received.size, expires };
    Ok((status, Json(kept)).into_response())
}

fn check_kind(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if KINDS.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let detail = "the body must be a tar archive (Content-Type: application/x-tar)";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}
