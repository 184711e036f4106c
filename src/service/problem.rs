//! Why a request was not served, in one form for all reasons.
//!
//! Source: RFC 9457.

use std::fmt;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not served.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    errors: Vec<FieldProblem>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What is wrong with one field of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct FieldProblem {
    /// Where the field is, as a JSON Pointer: `/submission/priority`.
    pub(super) pointer: String,
    /// What is wrong with it.
    pub(super) detail: String,
}

/// Why a request was not served (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(super) struct ProblemDocument {
    /// What kind of problem this is: always `about:blank`, as the status says it.
    r#type: &'static str,
    /// The kind in words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What is wrong with this request, in one sentence.
    detail: String,
    /// The request, by the id that the log of the server has of it.
    instance: String,
    /// The fields of the document that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldProblem>,
}

impl Problem {
    /// A problem with one sentence that says what it is.
    pub(super) fn new(status: StatusCode, detail: impl fmt::Display) -> Self {
        Self { status, detail: detail.to_string(), errors: Vec::new(), headers: Vec::new() }
    }

    /// Nothing there, or nothing that this tenant may know of.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing here")
    }

    /// A document whose fields are wrong.
    pub(super) fn fields(errors: Vec<FieldProblem>) -> Self {
        let detail = match &errors[..] {
            [FieldProblem { pointer, detail }] if pointer.is_empty() => detail.clone(),
            [FieldProblem { pointer, detail }] => format!("{pointer}: {detail}"),
            several => format!("{} fields are wrong", several.len()),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    /// Something that only the log of the server says more of.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says more")
    }

    /// The same problem with a header.
    #[must_use]
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same problem, which may be gone after some seconds.
    #[must_use]
    pub(super) fn retry_after(self, seconds: u32) -> Self {
        self.header(header::RETRY_AFTER, seconds.into())
    }

    /// What is told to whoever made the request `request`.
    pub(super) fn document(self, request: &str) -> ProblemDocument {
        ProblemDocument {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
            instance: format!("urn:polyarch:request:{request}"),
            errors: self.errors,
        }
    }
}

impl IntoResponse for Problem {
    /// An answer without a body: it is written where the request's id is known.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        for (name, value) in &self.headers {
            response.headers_mut().append(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}
