//! One line a fact, for logs.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use polyarch_actors::{BuildEvent, EventKind, Platform};

use super::{View, kept::Kept, sentence, text};

/// Prefixes every line with its platform and gives step output as it is.
pub(super) struct Plain {
    /// What is said before every platform.
    label: String,
    /// The instructions of the steps that are not at their end: stages go on at the same time.
    steps: HashMap<(Option<Platform>, u32), String>,
    kept: Kept,
}

impl Plain {
    pub(super) fn new(label: String) -> Self {
        Self { label, steps: HashMap::new(), kept: Kept::default() }
    }
}

impl View for Plain {
    fn show(&mut self, event: &BuildEvent) -> io::Result<()> {
        let mut out = io::stderr().lock();
        let prefix = match &event.platform {
            Some(platform) => format!("[{}{platform}] ", self.label),
            None if self.label.is_empty() => String::new(),
            None => format!("[{}] ", self.label.trim_end()),
        };
        let more = self.kept.note(event);
        match &event.kind {
            EventKind::StepStarted { step, instruction, .. } => {
                let instruction = text::line(instruction);
                writeln!(out, "{prefix}#{step} {instruction}")?;
                self.steps.insert((event.platform.clone(), *step), instruction);
                Ok(())
            }
            EventKind::StepOutput { data, .. } => {
                let mut lines = Vec::new();
                for line in data.0.split_inclusive(|byte| *byte == b'\n') {
                    lines.extend_from_slice(prefix.as_bytes());
                    lines.extend_from_slice(b"    ");
                    lines.extend_from_slice(line);
                }
                if !lines.ends_with(b"\n") {
                    lines.push(b'\n');
                }
                out.write_all(&lines)
            }
            EventKind::StepFinished { step, cached, .. } => {
                match self.steps.remove(&(event.platform.clone(), *step)) {
                    Some(instruction) if *cached => writeln!(out, "{prefix}#{step} cached: {instruction}"),
                    _ => Ok(()),
                }
            }
            kind => sentence(kind).map_or(Ok(()), |sentence| writeln!(out, "{prefix}{sentence}{more}")),
        }
    }
}
