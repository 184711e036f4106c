//! What is counted, in the text form of Prometheus. The registry belongs to the service: that of the embedding process
//! is not touched.

use std::{sync::atomic::AtomicU64, time::Duration};

use axum::{
    extract::State,
    http::{Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use polyarch_actors::Timestamp;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{backends::BackendDocument, envelope::known, problem::Problem, state::Service};
use crate::queue::Counts;

/// From a millisecond to a minute.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 60.0];

type Labels = Vec<(&'static str, String)>;

/// What is counted.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    durations: Family<Labels, Histogram>,
    streams: Gauge,
    uploads: Gauge,
    pub(super) uploaded: Counter,
    builds: Family<Labels, Gauge>,
    oldest: Gauge<f64, AtomicU64>,
    slots: Family<Labels, Gauge>,
    taken: Family<Labels, Gauge>,
}

impl Metrics {
    /// Counts what the service does itself, beside what is counted of builds.
    pub(super) fn new(counts: Option<&Counts>) -> Self {
        let mut registry = Registry::with_prefix("polyarch");
        let requests = Family::default();
        let durations = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let (streams, uploads, builds) = (Gauge::default(), Gauge::default(), Family::default());
        let (oldest, slots, taken) = (Gauge::default(), Family::default(), Family::default());
        let uploaded = Counter::default();
        registry.register("http_requests", "Requests that were answered", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "How long requests took until their answers began",
            durations.clone(),
        );
        registry.register(
            "http_streams",
            "Streams of events and output that are being read",
            streams.clone(),
        );
        registry.register("context_uploads", "Contexts that are being sent", uploads.clone());
        registry.register("context_uploaded_bytes", "Bytes of contexts that came", uploaded.clone());
        registry.register("builds", "Builds that have not ended, by state", builds.clone());
        registry.register(
            "queue_oldest_wait_seconds",
            "How long the build has waited that waits for longest; 0 where none waits",
            oldest.clone(),
        );
        registry.register(
            "backend_slots",
            "How many platforms a backend builds at most at once",
            slots.clone(),
        );
        registry.register("backend_running", "How many platforms a backend builds", taken.clone());
        if let Some(counts) = counts {
            counts.register(&mut registry);
        }
        Self { registry, requests, durations, streams, uploads, uploaded, builds, oldest, slots, taken }
    }

    /// Counts an answer.
    pub(super) fn answered(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let labels = vec![("method", known(method).to_owned()), ("route", route.to_owned())];
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        let labels = [labels, vec![("status", status.as_str().to_owned())]].concat();
        self.requests.get_or_create(&labels).inc();
    }
}

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// What is counted, for Prometheus.
///
/// Everybody who reaches the server may read it, without a token: it is about all tenants together, and names no tenant,
/// build, image or address. A proxy that is open to others should not lead there.
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses((status = 200, body = String, content_type = "application/openmetrics-text"), Problem)
)]
async fn metrics(State(service): State<Service>) -> Result<Response, Problem> {
    let metrics = service.metrics();
    let load = service.desk().load().await?;
    let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let waited = load.oldest.map_or(0, |since| Timestamp::now().0.saturating_sub(since.0));
    metrics.oldest.set(Duration::from_millis(waited).as_secs_f64());
    for BackendDocument { report, load } in service.desk().backends().await? {
        let labels = vec![("backend", report.id.to_string())];
        metrics.slots.get_or_create(&labels).set(gauge(load.slots));
        metrics.taken.get_or_create(&labels).set(gauge(load.running));
    }
    for (state, count) in [("queued", load.waiting), ("running", load.running)] {
        metrics.builds.get_or_create(&vec![("state", state.to_owned())]).set(gauge(count));
    }
    metrics.streams.set(gauge(service.streams().count()));
    metrics.uploads.set(gauge(service.uploads().count()));
    let mut text = String::new();
    encode(&mut text, &metrics.registry).map_err(|_| Problem::internal())?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
