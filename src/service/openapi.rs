//! The description of the API, made of the routes themselves.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use utoipa::{
    IntoResponses, OpenApi,
    openapi::{
        self, Content, RefOr, ResponseBuilder,
        schema::{Ref, Schema, SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    problem::{FieldProblem, Problem, ProblemDocument},
    router::all_routes,
    state::Service,
};

/// How the document calls bearer tokens.
const TOKEN: &str = "token";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "polyarch",
        description = "Builds one container image for many platforms at once and publishes it as one OCI image index.",
    ),
    components(schemas(ProblemDocument, FieldProblem))
)]
struct Described;

/// The description of the API in the form of OpenAPI 3.1, where whoever asks needs a token.
pub fn document() -> openapi::OpenApi {
    let mut document = document_without_tokens();
    let components = document.components.get_or_insert_default();
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post];
        for operation in operations.into_iter().flatten().filter(|_| path.starts_with("/v1/")) {
            let none: [&str; 0] = [];
            operation.security = Some(vec![SecurityRequirement::new(TOKEN, none)]);
        }
    }
    document
}

fn document_without_tokens() -> openapi::OpenApi {
    let mut document = all_routes().into_openapi();
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post];
        for parameter in
            operations.into_iter().flatten().flat_map(|operation| operation.parameters.iter_mut().flatten())
        {
            if let RefOr::T(parameter) = parameter
                && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
            {
                without_null(&mut schema.schema_type);
                // Numbers have 64 bits and no sign, for which there is no format.
                schema.format = None;
            }
        }
    }
    document
}

/// A parameter that is not given is absent: its text is never read as nothing.
fn without_null(of: &mut SchemaType) {
    if let SchemaType::Array(types) = of {
        types.retain(|one| *one != Type::Null);
        if let [only] = types.as_slice() {
            *of = SchemaType::Type(only.clone());
        }
    }
}

/// An empty description, to which routes add what they are.
pub(super) fn described() -> openapi::OpenApi {
    Described::openapi()
}

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(openapi))
}

/// Read this document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operation",
    responses((status = 200, body = Object), Problem)
)]
async fn openapi(State(service): State<Service>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], service.openapi()).into_response()
}

/// The document as it is sent.
#[derive(Debug)]
pub(super) struct Texts {
    /// Where whoever asks needs a token.
    pub(super) with_tokens: Bytes,
    /// Where nobody does, or others see to it.
    pub(super) without_tokens: Bytes,
}

impl Texts {
    pub(super) fn new() -> Self {
        let text = |document| serde_json::to_vec(&document).unwrap_or_default().into();
        Self { with_tokens: text(document()), without_tokens: text(document_without_tokens()) }
    }
}

impl IntoResponses for Problem {
    /// Whatever is not said is a problem.
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let content = Content::new(Some(Ref::from_schema_name("ProblemDocument")));
        let response = ResponseBuilder::new()
            .description("Why the request was not served")
            .content("application/problem+json", content);
        BTreeMap::from([("default".to_owned(), response.build().into())])
    }
}
