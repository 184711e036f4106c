//! Asking for builds, looking at them, and cancelling them.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::BuildDocument,
    document::RequestDocument,
    list::{ListPage, ListQuery},
    log,
    spec::Wrong,
    submission::problem_of_key,
};
use crate::{
    Receipt,
    service::{
        auth::Caller,
        desk::{How, Order, Taken},
        extract::{BuildPath, Document, Query},
        problem::Problem,
        state::Service,
    },
    trace::TraceParent,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The routes of builds.
pub(in crate::service) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(submit, list))
        .routes(routes!(get))
        .routes(routes!(cancel))
        .routes(routes!(receipt))
        .routes(routes!(log::log))
}

/// A build that was asked for.
#[derive(Serialize, ToSchema)]
pub(super) struct Submitted {
    /// Whether the build was there before.
    how: How,
    #[serde(flatten)]
    build: BuildDocument,
}

/// Ask for a build.
///
/// Unknown fields are refused. The same build of the same tenant is not built twice at once.
#[utoipa::path(
    post, path = "/v1/builds", operation_id = "submit_build", tag = "builds",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "The same as `submission.idempotency_key`: the same key again means the same build. The same \
            document with the same key is answered with it even where it could not be asked for anew, as when the \
            archive of the context is gone or the deadline has passed"),
        ("traceparent" = Option<String>, Header,
        description = "The span that the build is part of, as W3C Trace Context names it")),
    request_body = RequestDocument,
    responses(
        (status = 201, description = "A new build", body = Submitted,
            headers(("Location" = String, description = "Where the build is"))),
        (status = 200, description = "The build was there before", body = Submitted,
            headers(("Location" = String, description = "Where the build is"))),
        Problem
    )
)]
async fn submit(
    State(service): State<Service>,
    Caller(tenant): Caller,
    headers: HeaderMap,
    Document(document, request): Document<RequestDocument>,
) -> Result<Response, Problem> {
    if service.is_draining() {
        let detail = "the server is about to end, and takes no more builds";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(5));
    }
    let key = key_of(&headers)?;
    let of_document = &document.submission.idempotency_key;
    let is_clear = key.is_none() || of_document.is_none() || key == *of_document;
    let key = key.or_else(|| of_document.clone());
    // Whoever lost the answer gets it again, although the same could not be asked for anew: an archive is kept for a while
    // only, deadlines pass, and tenants may have less than before.
    if let Some(key) = key.as_deref().filter(|_| is_clear)
        && let Some(build) = service.desk().replayed(&tenant.name, key, &request).await?
    {
        return answer(Taken { build, how: How::SameKey });
    }
    let mut wrong = Wrong::default();
    let found = document.context.find(&tenant, service.shelf(), &mut wrong).await?;
    let (mut spec, mut submission) = document.spec(&found, &tenant, service.fetching(&tenant), &mut wrong);
    spec.registry.authfile = service.authfile(&tenant);
    spec.registry.private.clone_from(&tenant.private_registries);
    if !is_clear {
        wrong.note("/submission/idempotency_key", "it is another one than in the header Idempotency-Key");
    }
    submission.idempotency_key = key;
    wrong.end()?;
    let trace = trace_of(&headers);
    let order = Order { tenant, spec, context: found.said, pinned: found.pinned, submission, request, trace };
    answer(service.desk().submit(order).await?)
}

fn answer(Taken { build, how }: Taken) -> Result<Response, Problem> {
    let status = if how == How::New { StatusCode::CREATED } else { StatusCode::OK };
    // Relative to the address of the request, whatever prefix the routes have.
    let place = HeaderValue::from_str(&format!("builds/{}", build.id)).map_err(|_| Problem::internal())?;
    Ok((status, [(header::LOCATION, place)], Json(Submitted { how, build })).into_response())
}

/// The idempotency key in the headers of a request.
fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let wrong = |detail: &str| {
        Problem::new(StatusCode::BAD_REQUEST, format!("the header Idempotency-Key cannot be used: {detail}"))
    };
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(wrong("it is given twice"));
    }
    let key = key.to_str().map_err(|_| wrong("it is no plain text"))?;
    match problem_of_key(key) {
        Some(problem) => Err(wrong(&problem)),
        None => Ok(Some(key.to_owned())),
    }
}

/// The span of whoever asks. What is no such name counts as none, as the specification wants it.
fn trace_of(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get(TRACEPARENT)?.to_str().ok()?.parse().ok()
}

/// List the builds of the tenant, the newest first.
#[utoipa::path(
    get, path = "/v1/builds", operation_id = "list_builds", tag = "builds", params(ListQuery),
    responses((status = 200, body = ListPage), Problem)
)]
async fn list(
    State(service): State<Service>,
    Caller(tenant): Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListPage>, Problem> {
    Ok(Json(service.desk().list(&tenant.name, query.filter()?).await?))
}

/// Look at a build.
#[utoipa::path(
    get, path = "/v1/builds/{id}", operation_id = "get_build", tag = "builds",
    params(("id" = String, Path, description = "The id of the build")),
    responses((status = 200, body = BuildDocument), Problem)
)]
async fn get(
    State(service): State<Service>,
    Caller(tenant): Caller,
    BuildPath(build): BuildPath,
) -> Result<Json<BuildDocument>, Problem> {
    Ok(Json(service.desk().get(&tenant.name, &build).await?))
}

/// How a build is cancelled.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CancelQuery {
    /// For so many seconds the answer waits for the end of the build.
    wait: Option<u32>,
}

/// Ask for an early end of a build.
#[utoipa::path(
    post, path = "/v1/builds/{id}/cancel", operation_id = "cancel_build", tag = "builds",
    params(("id" = String, Path, description = "The id of the build"), CancelQuery),
    responses((status = 202, description = "It ends soon, or has ended", body = BuildDocument), Problem)
)]
async fn cancel(
    State(service): State<Service>,
    Caller(tenant): Caller,
    BuildPath(build): BuildPath,
    Query(query): Query<CancelQuery>,
) -> Result<Response, Problem> {
    let mut document = service.desk().cancel(&tenant.name, &build).await?;
    let wait = Duration::from_secs(query.wait.unwrap_or(0).into()).min(service.limits().wait);
    if !document.state.is_final() && !wait.is_zero() {
        let ended = tokio::time::timeout(wait, service.desk().ended(&tenant.name, &build));
        document = match service.until_draining(ended).await {
            Some(Ok(ended)) => ended?,
            Some(Err(_)) | None => service.desk().get(&tenant.name, &build).await?,
        };
    }
    Ok((StatusCode::ACCEPTED, Json(document)).into_response())
}

/// Get the receipt of a build that has succeeded.
#[utoipa::path(
    get, path = "/v1/builds/{id}/receipt", operation_id = "get_receipt", tag = "builds",
    params(("id" = String, Path, description = "The id of the build")),
    responses(
        (status = 200, description = "The receipt, as polyarch build --receipt writes it, without paths of the server", body = Object),
        Problem
    )
)]
async fn receipt(
    State(service): State<Service>,
    Caller(tenant): Caller,
    BuildPath(build): BuildPath,
) -> Result<Json<Receipt>, Problem> {
    let receipt = service.desk().receipt(&tenant.name, &build).await?;
    let none = || Problem::new(StatusCode::NOT_FOUND, "the build has no receipt, as it has not succeeded");
    // Where something was written on the server is nothing that a tenant is told.
    receipt.map(|receipt| Json(Receipt { exported: Vec::new(), ..receipt })).ok_or_else(none)
}
