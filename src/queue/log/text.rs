//! The log of a build as text for people.

use std::fmt::Write as _;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use polyarch_actors::{BuildEvent, EventKind};

use super::{error::LogError, reader::LogReader};

/// The text of a log, some lines at a time.
pub(super) fn text(reader: LogReader) -> impl Stream<Item = Result<Bytes, LogError>> + Send + use<> {
    reader.into_stream().filter_map(async |line| match line {
        // What only a newer version knows says nothing here.
        Ok(line) => serde_json::from_slice(&line.json).ok().and_then(|event| lines_of(&event)).map(Ok),
        Err(error) => Some(Err(error)),
    })
}

/// What an event is as lines of text, if it is about a step or something went wrong.
fn lines_of(event: &BuildEvent) -> Option<Bytes> {
    let step = match &event.kind {
        EventKind::StepStarted { step, .. }
        | EventKind::StepOutput { step, .. }
        | EventKind::StepFinished { step, .. }
        | EventKind::StepFailed { step, .. } => Some(*step),
        _ => None,
    };
    let prefix = prefix(event, step);
    let said = match &event.kind {
        EventKind::StepOutput { data, .. } => return Some(with_prefix(&prefix, &data.0)),
        EventKind::StepStarted { instruction, .. } => instruction.clone(),
        EventKind::StepFinished { cached: true, .. } => "cached".to_owned(),
        EventKind::StepFailed { .. } => "failed".to_owned(),
        EventKind::Warned { message } => format!("warning: {message}"),
        EventKind::Retried { attempt, error, .. } => format!("attempt {attempt} failed: {error}"),
        EventKind::PlatformFailed { error } | EventKind::Finished { error: Some(error) } => {
            format!("error: {error}")
        }
        EventKind::Missed { events } => format!("({events} events are missing here)"),
        _ => return None,
    };
    // One line, whatever is in it.
    let said = said.replace(char::is_control, " ");
    Some(Bytes::from(format!("{prefix}{said}\n")))
}

/// `[linux/amd64 #3] `, as far as it is known.
fn prefix(event: &BuildEvent, step: Option<u32>) -> String {
    let mut inside = event.platform.as_ref().map(ToString::to_string).unwrap_or_default();
    if let Some(step) = step {
        let blank = if inside.is_empty() { "" } else { " " };
        let _ = write!(inside, "{blank}#{step}");
    }
    if inside.is_empty() { String::new() } else { format!("[{inside}] ") }
}

/// The bytes with the prefix before each line, and a line break at the end.
fn with_prefix(prefix: &str, bytes: &[u8]) -> Bytes {
    let mut lines = Vec::with_capacity(bytes.len() + 2 * prefix.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        lines.extend_from_slice(prefix.as_bytes());
        lines.extend_from_slice(line);
    }
    if !lines.ends_with(b"\n") {
        lines.push(b'\n');
    }
    lines.into()
}
