//! The spans of one build, of its events.

use std::sync::{Mutex, MutexGuard, PoisonError};

use polyarch_actors::{BuildEvent, BuildId, EventKind, Platform, Witness, queue::Tenant};
use tracing::{Span, field::Empty, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{
    TraceParent,
    fields::{fail, mark, number},
    platform::PlatformSpans,
};

/// The target of all spans of builds, which are of the level `info`.
pub const TARGET: &str = "polyarch::spans";

/// The span of a build. Its parent is `parent`, else the span that is entered.
pub(crate) fn of_build(
    build: &BuildId,
    tenant: &Tenant,
    name: Option<&str>,
    parent: Option<TraceParent>,
) -> Span {
    let span = info_span!(
        target: TARGET, "build", %build, %tenant, name,
        index = Empty, fault = Empty, error.type = Empty, otel.status_code = Empty
    );
    if let Some(parent) = parent {
        // Where nobody exports spans, they have no parents elsewhere.
        let _ = span.set_parent(parent.context());
    }
    span
}

/// The span of writing an output of a kind.
pub(crate) fn exporting(kind: &str) -> Span {
    info_span!(target: TARGET, "export", kind)
}

/// Opens and closes the spans of a build.
#[derive(Debug)]
pub(crate) struct Spans(Mutex<Open>);

#[derive(Debug)]
struct Open {
    /// Absent when it has ended: a span is closed when nobody has it any more.
    build: Option<Span>,
    preparing: Option<Span>,
    platforms: Vec<(Platform, PlatformSpans)>,
    pushes: Vec<(String, Span)>,
}

impl Spans {
    /// Those below the span of the build.
    pub(crate) fn below(build: Span) -> Self {
        let open = Open { build: Some(build), preparing: None, platforms: Vec::new(), pushes: Vec::new() };
        Self(Mutex::new(open))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for Spans {
    fn see(&self, event: &BuildEvent) {
        if matches!(event.kind, EventKind::StepOutput { .. }) {
            return;
        }
        let mut open = self.open();
        match &event.platform {
            Some(platform) => open.of_platform(platform, &event.kind),
            None => open.of_build(&event.kind),
        }
    }

    fn span(&self, platform: Option<&Platform>) -> Span {
        let open = self.open();
        let known = |platform| open.platforms.iter().find(|(known, _)| known == platform);
        let inner = platform.and_then(known).and_then(|(_, spans)| spans.inner());
        inner.or(open.build.as_ref()).cloned().unwrap_or_else(Span::none)
    }
}

impl Open {
    fn of_build(&mut self, kind: &EventKind) {
        let Some(build) = &self.build else { return };
        match kind {
            EventKind::Started => {
                self.preparing = Some(info_span!(target: TARGET, parent: build, "prepare"));
            }
            EventKind::IndexAssembled { index } => {
                build.record("index", index.digest.as_str());
            }
            EventKind::PushStarted { registry } => {
                let push = info_span!(
                    target: TARGET, parent: build, "push",
                    registry, bytes = Empty, otel.status_code = Empty
                );
                self.pushes.push((registry.clone(), push));
            }
            EventKind::PushProgressed { sent, .. } => {
                // Which registry it is about is known only where it is the only one.
                if let [(_, push)] = &self.pushes[..] {
                    push.record("bytes", number(*sent));
                }
            }
            EventKind::PushFinished { registry } => self.pushes.retain(|(open, _)| open != registry),
            EventKind::Finished { error } => {
                if let Some(error) = error {
                    fail(build, error);
                    self.pushes.iter().for_each(|(_, push)| mark(push));
                }
                for (_, spans) in &mut self.platforms {
                    spans.close(None);
                }
                self.pushes.clear();
                (self.preparing, self.build) = (None, None);
            }
            _ => {}
        }
    }

    fn of_platform(&mut self, platform: &Platform, kind: &EventKind) {
        let Some(build) = &self.build else { return };
        self.preparing = None;
        let known = self.platforms.iter().position(|(known, _)| known == platform);
        let place = known.unwrap_or_else(|| {
            self.platforms.push((platform.clone(), PlatformSpans::below(build, platform)));
            self.platforms.len() - 1
        });
        self.platforms[place].1.see(kind);
    }
}
