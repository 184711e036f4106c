//! What waits and runs, as far as a tenant may know.

use axum::{Json, extract::State};
use polyarch_actors::BuildId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{auth::Caller, problem::Problem, state::Service};

/// What waits and runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Queue)]
pub struct QueueDocument {
    /// How many builds run, of all tenants.
    pub running: usize,
    /// How many builds wait, of all tenants.
    pub waiting: usize,
    /// The tenant that asks.
    pub tenants: Vec<TenantLoad>,
    /// Its builds that wait, in the order in which they begin.
    pub builds: Vec<QueuedBuild>,
}

/// What waits and runs of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TenantLoad {
    /// The tenant.
    pub tenant: String,
    /// Its share of what there is.
    pub weight: u32,
    /// How many of its builds run.
    pub running: usize,
    /// How many of its builds wait.
    pub waiting: usize,
}

/// A build that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueuedBuild {
    /// The build.
    #[schema(value_type = String)]
    pub id: BuildId,
    /// How many builds go before it for what it waits for; not known yet in its first second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<usize>,
    /// What it waits for, in one sentence; not known yet in its first second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(queue))
}

/// See what waits and runs.
#[utoipa::path(
    get, path = "/v1/queue", operation_id = "get_queue", tag = "queue",
    responses((status = 200, body = QueueDocument), Problem)
)]
async fn queue(
    State(service): State<Service>,
    Caller(tenant): Caller,
) -> Result<Json<QueueDocument>, Problem> {
    let mut document = service.desk().queue(&tenant.name).await?;
    // A tenant of which nothing waits or runs has its share all the same.
    for load in document.tenants.iter_mut().filter(|load| load.tenant == tenant.name.as_str()) {
        load.weight = tenant.weight;
    }
    Ok(Json(document))
}
