//! What the steps of a build printed, as a text.

use axum::{
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use futures::StreamExt as _;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::service::{
    auth::Caller,
    extract::{BuildPath, Query},
    problem::Problem,
    state::Service,
};

/// How much of a log is wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// Whether the answer goes on until the build ends.
    #[serde(default)]
    follow: bool,
}

/// Read what the steps of a build printed.
#[utoipa::path(
    get, path = "/v1/builds/{id}/log", operation_id = "read_log", tag = "builds",
    params(("id" = String, Path, description = "The id of the build"), LogQuery),
    responses((status = 200, body = String, content_type = "text/plain"), Problem)
)]
pub(super) async fn log(
    State(service): State<Service>,
    Caller(tenant): Caller,
    BuildPath(build): BuildPath,
    Query(query): Query<LogQuery>,
) -> Result<Response, Problem> {
    let place = service.stream(&tenant.name)?;
    let pieces = service.desk().text(&tenant.name, &build, query.follow).await?;
    let body = pieces.take_until(service.draining()).map(move |piece| {
        let _place = &place;
        piece
    });
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(body)).into_response())
}
