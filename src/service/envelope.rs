//! What every answer has, whatever it answers: an id, a form for what went wrong, and headers that keep browsers careful.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::FutureExt as _;
use polyarch_actors::BuildId;

use super::{origin, problem::Problem, state::Service};
use crate::service::access::Access;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Serves a request, and gives its answer what every answer has.
pub(super) async fn envelope(State(service): State<Service>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let is_strange = match *service.access() {
        Access::ThisMachine(_) => origin::check(request.uri(), request.headers()).err(),
        Access::Tokens(_) | Access::Embedder => None,
    };
    let response = match is_strange {
        Some(strange) => Problem::new(StatusCode::FORBIDDEN, strange).into_response(),
        // A defect costs the request that met it.
        None => AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(request = id, "a request ended in a panic");
            Problem::internal().into_response()
        }),
    };
    let mut response = written(response, &id);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let status = response.status();
    let route = route.as_deref().unwrap_or("none");
    service.metrics().answered(&method, route, status, began.elapsed());
    tracing::debug!(request = id, %method, route, status = status.as_u16(), "answered");
    response
}

/// Writes the document of a problem. A refusal that is none, of the router itself, becomes one.
fn written(mut response: Response, id: &str) -> Response {
    let status = response.status();
    let problem = response.extensions_mut().remove::<Problem>();
    if problem.is_none() && !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = problem.unwrap_or_else(|| Problem::new(status, of_router(status, response.headers())));
    let document = serde_json::to_vec(&problem.document(id)).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CONTENT_LENGTH, document.len().into());
    *response.body_mut() = Body::from(document);
    response
}

/// What a refusal of the router means.
fn of_router(status: StatusCode, headers: &HeaderMap) -> String {
    match (status, headers.get(header::ALLOW).and_then(|allowed| allowed.to_str().ok())) {
        (StatusCode::METHOD_NOT_ALLOWED, Some(allowed)) => format!("there is only {allowed} here"),
        _ => "the request cannot be served".into(),
    }
}

/// A name for a request that no other has, of this server or another.
fn request_id() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    static START: std::sync::LazyLock<BuildId> = std::sync::LazyLock::new(BuildId::generate);
    format!("{}-{}", &START.as_str()[15..], COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// A method as a metric has it: whoever asks could make up any number of others.
pub(super) fn known(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "PATCH") => known,
        _ => "other",
    }
}
