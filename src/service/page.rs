//! The page that shows builds live: static files, which are part of the program.

use axum::{
    extract::OriginalUri,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Redirect, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{extract::Last, problem::Problem, state::Service};

/// The page runs no script and shows no style but its own, and reaches nothing but this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! files {
    ($($name:literal)*) => {
        /// The files beside the page itself, by name.
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("page/", $name)))),*];
    };
}

/// The page itself.
const INDEX: &str = include_str!("page/index.html");

files! {
    "ansi.js"
    "api.js"
    "backends-view.js"
    "build-view.js"
    "builds-view.js"
    "dom.js"
    "lanes-view.js"
    "log-view.js"
    "model.js"
    "page.css"
    "page.js"
    "poll.js"
    "queue-view.js"
    "receipt-view.js"
    "sign-in.js"
    "stream.js"
    "words.js"
}

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(index)).routes(routes!(file))
}

/// Open the page.
#[utoipa::path(
    get, path = "/", operation_id = "open_page", tag = "page",
    responses((status = 200, body = String, content_type = "text/html"), Problem)
)]
async fn index(OriginalUri(address): OriginalUri) -> Response {
    // The page names its files relative to its own address.
    if let Some((_, last)) = address.path().rsplit_once('/').filter(|(_, last)| !last.is_empty()) {
        return Redirect::temporary(&format!("{last}/")).into_response();
    }
    let policy = (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    let headers = [policy, kind("index.html"), fresh()];
    (headers, INDEX).into_response()
}

/// Read a file of the page.
#[utoipa::path(
    get, path = "/page/{file}", operation_id = "get_page_file", tag = "page",
    params(("file" = String, Path, description = "The name of the file")),
    responses(
        (status = 200, body = String, content_type = "text/css"),
        (status = 200, body = String, content_type = "text/javascript"),
        Problem
    )
)]
async fn file(Last(name): Last) -> Result<Response, Problem> {
    let found = FILES.iter().find(|(known, _)| *known == name).ok_or_else(Problem::not_found)?;
    Ok(([kind(found.0), fresh()], found.1).into_response())
}

fn kind(name: &str) -> (HeaderName, HeaderValue) {
    let kind = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    (header::CONTENT_TYPE, HeaderValue::from_static(kind))
}

/// A page of an older server is never shown with a script of a newer one.
fn fresh() -> (HeaderName, HeaderValue) {
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/service/page");
        let there: BTreeSet<String> = fs::read_dir(folder)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
            .collect();
        let served = FILES.iter().map(|(name, _)| (*name).to_owned()).chain(["index.html".to_owned()]);
        assert_eq!(served.collect::<BTreeSet<_>>(), there);
        for (name, _) in FILES {
            assert_ne!(kind(name).1, "application/octet-stream", "{name}");
        }
    }
}
