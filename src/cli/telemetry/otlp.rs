//! Spans for a collector, by OTLP over HTTP, as far as the environment asks for it.
//!
//! Source: OpenTelemetry, "Environment Variable Specification" and "OpenTelemetry Protocol Exporter". Which collector,
//! with which headers, how spans are chosen and what they are called is read by the SDK itself.

use std::{env, sync::Arc};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

use super::client::{Client, Trouble};

/// What spans are said to come from, unless the environment says otherwise.
const SERVICE: &str = "polyarch";

/// Where spans go; nothing where the environment does not ask for them.
///
/// # Errors
/// One sentence on what of the environment cannot be done.
pub(super) fn spans(runtime: &Handle, trouble: &Arc<Trouble>) -> Result<Option<SdkTracerProvider>, String> {
    let is_disabled = variable("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let other = variable("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter != "otlp");
    let Some((endpoint, name)) = endpoint().filter(|_| !is_disabled && !other) else { return Ok(None) };
    let protocol = of_traces("PROTOCOL").map(|(protocol, _)| protocol);
    if let Some(protocol) = protocol.filter(|protocol| protocol != "http/protobuf") {
        return Err(format!("spans are exported by http/protobuf alone, and not by {protocol:?}"));
    }
    let wrong = |reason: String| format!("spans are not exported: {reason}");
    let endpoint = endpoint.parse().map_err(|error| wrong(format!("{name} is no address ({error})")))?;
    let client = Client::new(&endpoint, runtime.clone(), Arc::clone(trouble)).map_err(wrong)?;
    let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
    let exporter = exporter.map_err(|error| wrong(error.to_string()))?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource());
    Ok(Some(provider.build()))
}

/// Makes spans of this program those of the collector.
pub(super) fn layer<S>(
    spans: &SdkTracerProvider,
) -> OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let layer = tracing_opentelemetry::layer().with_tracer(spans.tracer(SERVICE));
    let layer = layer.with_location(false).with_threads(false).with_target(false).with_level(false);
    layer.with_tracked_inactivity(false).with_context_activation(false)
}

/// The collector's address and the variable that has it.
fn endpoint() -> Option<(String, String)> {
    of_traces("ENDPOINT")
}

/// What is said of the export of traces, else of that of everything.
fn of_traces(what: &str) -> Option<(String, String)> {
    ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"].into_iter().find_map(|prefix| {
        let name = format!("{prefix}{what}");
        Some((variable(&name)?, name))
    })
}

/// A variable that is empty counts as none.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn resource() -> Resource {
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let told = Resource::builder().build();
    let name = told.get(&"service.name".into()).map(|name| name.to_string()).unwrap_or_default();
    let builder = Resource::builder().with_attribute(version);
    // What the SDK calls a service of which nothing is said.
    let is_unknown = name.starts_with("unknown_service") || name.is_empty();
    if is_unknown { builder.with_service_name(SERVICE).build() } else { builder.build() }
}
