//! The events of a build as they happen, as server-sent events.
//!
//! Source: WHATWG HTML, "Server-sent events".

use std::time::Duration;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    auth::Caller,
    desk::{DeskError, EventLines},
    extract::{BuildPath, Query},
    problem::Problem,
    state::Service,
    tenants::TenantName,
};
use crate::room::Seat;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What tells proxies to pass on what comes at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Where the events begin.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Only events behind the one with this number.
    after: Option<u64>,
}

/// One event of a stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes what is written as text")]
struct SentEvent {
    /// Its number, from 0.
    id: String,
    /// Its kind, as `event` of the data.
    event: String,
    /// The event in JSON.
    data: String,
}

/// Follow the events of a build until it has ended.
///
/// Each has its number as `id`, its kind as `event`, and the whole event in JSON as `data`. Whoever asks again with the
/// number of the last event that came misses none.
#[utoipa::path(
    get, path = "/v1/builds/{id}/events", operation_id = "follow_events", tag = "builds",
    params(
        ("id" = String, Path, description = "The id of the build"),
        EventsQuery,
        ("Last-Event-ID" = Option<u64>, Header, description = "The same as `after`, and counts before it"),
    ),
    responses((status = 200, body = SentEvent, content_type = "text/event-stream"), Problem)
)]
async fn events(
    State(service): State<Service>,
    Caller(tenant): Caller,
    BuildPath(build): BuildPath,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = last_event(&headers)?.or(query.after);
    let place = service.stream(&tenant.name)?;
    let lines = service.desk().follow(&tenant.name, &build, after).await?;
    let stream = frames(lines, service.limits().heartbeat, place).take_until(service.draining());
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (X_ACCEL_BUFFERING, "no")];
    Ok((headers, Body::from_stream(stream)).into_response())
}

/// The number of the last event that whoever asks has seen.
fn last_event(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong = || Problem::new(StatusCode::BAD_REQUEST, "the header Last-Event-ID is no number of an event");
    number.map(Some).ok_or_else(wrong)
}

/// Events as they are sent, and a comment where none comes for a while.
fn frames(
    lines: EventLines,
    heartbeat: Duration,
    place: Seat<TenantName>,
) -> impl Stream<Item = Result<Bytes, DeskError>> + Send {
    // The place is free when the stream is gone.
    futures::stream::unfold((lines, place), move |(mut lines, place)| async move {
        let piece = match tokio::time::timeout(heartbeat, lines.next()).await {
            Ok(None) => return None,
            Ok(Some(line)) => line.map(|(number, line)| frame(number, &line)),
            Err(_) => Ok(Bytes::from_static(b": still here\n\n")),
        };
        Some((piece, (lines, place)))
    })
}

/// One event.
fn frame(number: u64, line: &[u8]) -> Bytes {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        event: std::borrow::Cow<'a, str>,
    }
    let kind = serde_json::from_slice(line)
        .map_or_else(|_| "message".to_owned(), |Kind { event }| event.into_owned());
    let is_plain = kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let kind = if is_plain { kind.as_str() } else { "message" };
    let mut frame = BytesMut::with_capacity(line.len() + 64);
    frame.put_slice(format!("id: {number}\nevent: {kind}\n").as_bytes());
    // A line is one line of JSON; were it several, each would have to say that it is data.
    for part in line.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|part| !part.is_empty()) {
        frame.put_slice(b"data: ");
        frame.put_slice(part);
        frame.put_u8(b'\n');
    }
    frame.put_u8(b'\n');
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_frame_whatever_is_in_it() {
        let sent = |line: &str| String::from_utf8(frame(7, line.as_bytes()).to_vec()).expect("text");
        let line = r#"{"event":"step-output","data":"a\nid: 9\n\nb"}"#;
        assert_eq!(sent(line), format!("id: 7\nevent: step-output\ndata: {line}\n\n"));
        assert_eq!(sent("{}"), "id: 7\nevent: message\ndata: {}\n\n");
        assert_eq!(sent(r#"{"event":"a\nid: 3"}"#).lines().filter(|line| line.starts_with("id:")).count(), 1);
        assert_eq!(sent("a\r\n\nb\n"), "id: 7\nevent: message\ndata: a\ndata: b\n\n");
    }
}
