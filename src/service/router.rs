//! All routes.

use axum::{Router, middleware};
use utoipa_axum::router::OpenApiRouter;

use super::{
    auth::authenticate, backends, builds, contexts, envelope::envelope, events, health, metrics, openapi,
    page, problem::Problem, queue, state::Service,
};

/// The API and the page, to be served alone or below a prefix ([`axum::Router::nest_service`]: the page itself has a slash
/// behind the prefix, which `nest` does not lead here).
pub fn router(service: Service) -> Router {
    let authenticated = middleware::from_fn_with_state(service.clone(), authenticate);
    let (of_tenants, _) = of_tenants().route_layer(authenticated).split_for_parts();
    let (open, _) = open().split_for_parts();
    of_tenants
        .merge(open)
        .fallback(async || Problem::not_found())
        .layer(middleware::from_fn_with_state(service.clone(), envelope))
        .with_state(service)
}

/// All routes with their descriptions.
pub(super) fn all_routes() -> OpenApiRouter<Service> {
    OpenApiRouter::with_openapi(openapi::described()).merge(of_tenants()).merge(open())
}

/// What only tenants may ask for.
fn of_tenants() -> OpenApiRouter<Service> {
    let all = [contexts::routes(), builds::routes(), events::routes(), queue::routes(), backends::routes()];
    all.into_iter().fold(OpenApiRouter::new(), OpenApiRouter::merge)
}

/// What everybody may ask for, as it tells of no tenant.
fn open() -> OpenApiRouter<Service> {
    let all = [health::routes(), metrics::routes(), openapi::routes(), page::routes()];
    all.into_iter().fold(OpenApiRouter::new(), OpenApiRouter::merge)
}
