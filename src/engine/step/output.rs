//! What a command prints, as events of whole lines.

use std::collections::VecDeque;

use polyarch_actors::{EventKind, EventSink, LogBytes};

use crate::session::Stream;

/// The most that waits for the end of its line.
const MOST: usize = 32 << 10;
/// What of a failed step is shown again at the end.
const LAST_LINES: usize = 20;
const LINE_LENGTH: usize = 500;

/// The output of one step.
pub(super) struct Output {
    events: EventSink,
    step: u32,
    /// What waits for the end of its line: of the standard output, and of the standard error.
    pending: [Vec<u8>; 2],
    last: VecDeque<String>,
}

impl Output {
    pub(super) fn new(events: EventSink, step: u32) -> Self {
        Self { events, step, pending: Default::default(), last: VecDeque::new() }
    }

    /// Takes what was printed, and passes on what is whole lines.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let stream = usize::from(stream == Stream::Stderr);
        let pending = &mut self.pending[stream];
        pending.extend_from_slice(bytes);
        let whole = pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let whole = if whole == 0 && pending.len() > MOST { pending.len() } else { whole };
        self.pass_on(stream, whole);
    }

    /// Passes on the rest. Returns the last lines.
    pub(super) fn finish(mut self) -> Vec<String> {
        for stream in 0..self.pending.len() {
            self.pass_on(stream, self.pending[stream].len());
        }
        self.last.into()
    }

    fn pass_on(&mut self, stream: usize, length: usize) {
        if length == 0 {
            return;
        }
        let data: Vec<u8> = self.pending[stream].drain(..length).collect();
        for line in data.strip_suffix(b"\n").unwrap_or(&data).split(|byte| *byte == b'\n') {
            if self.last.len() == LAST_LINES {
                self.last.pop_front();
            }
            // What comes before a carriage return was overwritten.
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = line.rsplit(|byte| *byte == b'\r').next().unwrap_or_default();
            let line = String::from_utf8_lossy(line);
            self.last.push_back(line.chars().take(LINE_LENGTH).collect());
        }
        self.events.emit(EventKind::StepOutput { step: self.step, data: LogBytes(data) });
    }
}
