//! From a request to the tenant that asks.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{access::Access, problem::Problem, state::Service, tenants::Tenant};

/// The tenant that asks.
#[derive(Clone, Debug)]
pub(super) struct Caller(pub(super) Arc<Tenant>);

/// Lets only tenants pass.
pub(super) async fn authenticate(
    State(service): State<Service>,
    mut request: Request,
    next: Next,
) -> Response {
    let tenant = match &*service.access() {
        Access::Tokens(tenants) => presented(request.headers()).and_then(|token| {
            let token =
                token.ok_or_else(|| unauthorized("a bearer token is wanted", "Bearer realm=\"polyarch\""))?;
            tenants.of_token(token).ok_or_else(|| {
                let challenge = "Bearer realm=\"polyarch\", error=\"invalid_token\"";
                unauthorized("the token is not valid", challenge)
            })
        }),
        Access::ThisMachine(tenant) => Ok(Arc::clone(tenant)),
        Access::Embedder => {
            let tenant = request.extensions().get::<Arc<Tenant>>().cloned();
            tenant.ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "whose request this is was not said"))
        }
    };
    match tenant {
        Ok(tenant) => {
            request.extensions_mut().insert(Caller(tenant));
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// The token of a request, if it has one.
fn presented(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let malformed = || {
        let challenge = "Bearer realm=\"polyarch\", error=\"invalid_request\"";
        unauthorized("the header Authorization has no bearer token", challenge)
    };
    let Some(value) = values.next() else { return Ok(None) };
    let (scheme, token) =
        value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(malformed)?;
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") {
        return Err(malformed());
    }
    Ok(Some(token.trim_start_matches(' ')))
}

fn unauthorized(detail: &str, challenge: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::internal)
    }
}
