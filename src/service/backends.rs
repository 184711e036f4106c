//! The backends and what they do.

use axum::{Json, extract::State};
use polyarch_actors::BackendReport;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{auth::Caller, problem::Problem, state::Service};

/// A backend and what it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Backend)]
pub struct BackendDocument {
    /// What it can do, as `polyarch backends --format json` prints it.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub report: BackendReport,
    /// What it does.
    #[serde(flatten)]
    pub load: BackendLoad,
}

/// What a backend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BackendLoad {
    /// How many platforms of builds it builds now.
    pub running: usize,
    /// How many it builds at once, at most.
    pub slots: usize,
}

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(backends))
}

/// See what can be built here.
#[utoipa::path(
    get, path = "/v1/backends", operation_id = "list_backends", tag = "queue",
    responses((status = 200, body = Vec<BackendDocument>), Problem)
)]
async fn backends(State(service): State<Service>, _: Caller) -> Result<Json<Vec<BackendDocument>>, Problem> {
    Ok(Json(service.desk().backends().await?))
}
