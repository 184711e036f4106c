//! The program's own log, and its spans for whoever collects them.

mod client;
mod otlp;

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
    time::Duration,
};

use tokio::runtime::Handle;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use self::client::Trouble;
use super::{args::Command, text};
use crate::trace::{TARGET, TraceParent};

/// How long the last spans may take to their collector.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// Sends spans for as long as the process lives, where the environment asks for that.
pub(super) struct Telemetry {
    spans: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
    trouble: Arc<Trouble>,
    /// What is wrong with the environment, if anything is.
    wrong: Option<String>,
}

/// Shows the program's own log where `POLYARCH_LOG` asks for it (`debug`, `polyarch=trace`, …), and the warnings of a
/// server anyway: whoever asks it is told no more of its failures than that its log has them. Spans go to the collector
/// that the environment names.
pub(super) fn start(command: &Command, runtime: &Handle) -> Telemetry {
    let is_server = matches!(command, Command::Serve(_));
    let asked = EnvFilter::try_from_env("POLYARCH_LOG").ok();
    // With the spans, warnings say which build they are about.
    let usual = || EnvFilter::new(format!("warn,{TARGET}=info"));
    let filter = asked.or_else(|| is_server.then(usual));
    let trouble = Arc::new(Trouble::new(is_server));
    let has_spans = is_server || matches!(command, Command::Build(_) | Command::Bake(_));
    let spans = if has_spans { otlp::spans(runtime, &trouble) } else { Ok(None) };
    let (spans, wrong) = spans.map_or_else(|wrong| (None, Some(wrong)), |spans| (spans, None));
    if filter.is_some() || spans.is_some() {
        let log = filter.map(|filter| {
            let log = tracing_subscriber::fmt::layer().with_writer(io::stderr);
            log.with_ansi(io::stderr().is_terminal()).with_filter(filter)
        });
        // Spans alone: nobody has looked through the lines of the log for what is not to leave this machine.
        let exported = spans.as_ref().map(|spans| {
            otlp::layer(spans).with_filter(Targets::new().with_target(TARGET, tracing::Level::INFO))
        });
        tracing_subscriber::registry().with(exported).with(log).init();
    }
    if let Some(wrong) = wrong.as_ref().filter(|_| is_server) {
        tracing::warn!("{wrong}");
    }
    Telemetry { spans, trouble, wrong: wrong.filter(|_| !is_server) }
}

/// The span of a command that builds, which is part of the one that `TRACEPARENT` names.
///
/// Source: OpenTelemetry, "Environment Variables as Context Propagation Carriers".
pub(super) fn span(command: &Command) -> Span {
    let name = match command {
        Command::Build(_) => "polyarch build",
        Command::Bake(_) => "polyarch bake",
        _ => return Span::none(),
    };
    let span = tracing::info_span!(target: TARGET, "command", otel.name = name);
    if let Some(parent) = env::var("TRACEPARENT").ok().and_then(|text| text.parse::<TraceParent>().ok()) {
        // Where nobody exports spans, they have no parents elsewhere.
        let _ = span.set_parent(parent.context());
    }
    span
}

impl Telemetry {
    /// Sends what was not sent yet, but not for long: nobody should wait for a collector. Not to be called by a task.
    pub(super) fn finish(self) {
        let ended = self.spans.map_or(Ok(()), |spans| spans.shutdown_with_timeout(LAST_SPANS));
        let late = ended.is_err().then(|| format!("it took longer than {} seconds", LAST_SPANS.as_secs()));
        let untold = self.trouble.untold().or(late).map(|why| format!("the spans were not exported: {why}"));
        if let Some(warning) = self.wrong.or(untold) {
            // Where nobody reads, there is nobody to warn.
            let _ = writeln!(io::stderr().lock(), "warning: {}", text::line(&warning));
        }
    }
}
