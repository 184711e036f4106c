//! What a person or a program sees while a build runs.

mod kept;
mod last;
mod live;
mod plain;

use std::{
    io::{self, Write},
    sync::Arc,
};

use futures::{Stream, StreamExt};
use indicatif::MultiProgress;
use polyarch_actors::{BuildEvent, EventKind};
use serde::Serialize;

use last::WarningsLast;
use live::Live;
use plain::Plain;

use super::text;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Quiet,
    Plain,
    Live,
    RawJson,
}

/// Shows the builds of a command, each with its name where there are several.
#[derive(Clone)]
pub(super) struct Screen {
    style: Style,
    lines: MultiProgress,
}

impl Screen {
    pub(super) fn new(style: Style) -> Self {
        Self { style, lines: MultiProgress::new() }
    }

    /// How the events of a build are shown.
    fn view(&self, target: Option<String>) -> Box<dyn View + Send> {
        let label = target.as_ref().map_or_else(String::new, |target| format!("{target} "));
        match self.style {
            Style::Quiet => Box::new(Nothing),
            Style::Plain => Box::new(WarningsLast::new(Plain::new(label.clone()), label)),
            Style::Live => Box::new(WarningsLast::new(Live::new(self.lines.clone(), label.clone()), label)),
            Style::RawJson => Box::new(RawJson { target }),
        }
    }
}

/// Shows events until the last one, with the name of what is built if there is one.
pub(super) async fn show(
    mut events: impl Stream<Item = Arc<BuildEvent>> + Unpin,
    screen: Screen,
    target: Option<String>,
) {
    let mut view = screen.view(target);
    while let Some(event) = events.next().await {
        // Nobody reads any more when standard error is closed; the build goes on.
        if view.show(&event).is_err() {
            break;
        }
    }
}

/// One way to show events.
trait View {
    fn show(&mut self, event: &BuildEvent) -> io::Result<()>;
}

struct Nothing;

impl View for Nothing {
    fn show(&mut self, _: &BuildEvent) -> io::Result<()> {
        Ok(())
    }
}

struct RawJson {
    target: Option<String>,
}

/// An event and what it is about.
#[derive(Serialize)]
struct Line<'l> {
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'l str>,
    #[serde(flatten)]
    event: &'l BuildEvent,
}

impl View for RawJson {
    fn show(&mut self, event: &BuildEvent) -> io::Result<()> {
        let mut line = match self.target.as_deref() {
            None => serde_json::to_vec(event)?,
            target => serde_json::to_vec(&Line { target, event })?,
        };
        line.push(b'\n');
        io::stderr().lock().write_all(&line)
    }
}

/// One line about an event, for those that are worth one.
fn sentence(kind: &EventKind) -> Option<String> {
    let sentence = match kind {
        EventKind::Routed { backend, emulated: true, reason, .. } => format!("{backend}, emulated: {reason}"),
        EventKind::Routed { backend, reason, .. } => format!("{backend}: {reason}"),
        EventKind::Queued { ahead: 0, reason } => format!("waits: {reason}"),
        EventKind::Queued { ahead: 1, reason } => format!("waits behind another: {reason}"),
        EventKind::Queued { ahead, reason } => format!("waits behind {ahead} others: {reason}"),
        EventKind::Pulled { image, .. } => format!("pulled {image}"),
        EventKind::Fetched { address } => format!("fetched {address}"),
        EventKind::Warned { message } => format!("warning: {message}"),
        EventKind::Retried { attempt, delay_ms, error } => {
            format!("attempt {attempt} failed, another follows in {delay_ms} ms: {error}")
        }
        EventKind::BackendRestarted { backend } => format!("backend {backend} was lost and started again"),
        EventKind::ImageBuilt { image } => format!(
            "built {} in {:.1} s{}",
            image.manifest.digest,
            image.duration.as_secs_f64(),
            if image.emulated { ", emulated" } else { "" }
        ),
        EventKind::PlatformFailed { error } => format!("failed: {error}"),
        EventKind::IndexAssembled { index } => format!("index {}", index.digest),
        EventKind::Exported { destination } => format!("written to {destination}"),
        EventKind::Pushed { reference, digest } => format!("pushed {reference} as {digest}"),
        EventKind::CacheImported { place, steps } => format!("{steps} steps known from the cache {place}"),
        EventKind::CacheExported { place, steps } => format!("{steps} steps written to the cache {place}"),
        EventKind::Missed { events } => format!("{events} events came too fast to be shown"),
        _ => return None,
    };
    Some(text::line(&sentence))
}
