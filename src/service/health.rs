//! Whether the server lives, and whether it takes builds.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{problem::Problem, state::Service};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// Whether the server answers at all.
#[utoipa::path(
    get, path = "/healthz", tag = "operation",
    responses((status = 200, body = String, content_type = "text/plain"), Problem)
)]
async fn healthz() -> Response {
    plain("ok\n")
}

/// Whether the server takes builds.
#[utoipa::path(
    get, path = "/readyz", tag = "operation",
    responses((status = 200, body = String, content_type = "text/plain"), Problem)
)]
async fn readyz(State(service): State<Service>) -> Result<Response, Problem> {
    let closed = |reason: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason);
    if service.is_draining() {
        return Err(closed("the server is about to end".into()));
    }
    service.desk().ready().await.map_err(closed)?;
    Ok(plain("ready\n"))
}

fn plain(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
