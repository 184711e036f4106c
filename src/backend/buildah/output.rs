//! Turns what `buildah build` prints into events.
//!
//! This is progress only, never the result: a RUN's own output goes the same way and can look like anything.
//! A line counts as the head of a step only if it is the one that must come next.

use std::collections::{BTreeMap, VecDeque};

use polyarch_actors::{EventKind, LogBytes};

/// The most bytes of output in one event, and of a line that has not ended.
const MOST: usize = 32 << 10;
/// How many of the last lines are kept for an error, and how much of each.
const LAST_LINES: usize = 20;
const LINE_LENGTH: usize = 500;

/// Reads the output of one build, however it is cut into pieces. Uses a bounded amount of memory.
#[derive(Debug)]
pub(super) struct OutputParser {
    /// What to show in place of image ids.
    names: BTreeMap<String, String>,
    stdout: Line,
    stderr: Line,
    /// The last head of a step.
    head: Option<Head>,
    step: u32,
    instruction: String,
    open: bool,
    cached: bool,
    /// Output of the step that has not been sent.
    pending: Vec<u8>,
    /// The last lines of the step.
    last: VecDeque<String>,
    events: Vec<EventKind>,
}

/// A line that is being read.
#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    /// Whether an earlier part of it was given away already.
    continues: bool,
}

/// The head of a step: `[stage/stages] STEP step/steps: instruction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    /// Absent where there is only one stage.
    stage: Option<(u32, u32)>,
    step: u32,
    steps: u32,
}

impl OutputParser {
    /// `names` are what to show in place of image ids.
    pub(super) fn new(names: BTreeMap<String, String>) -> Self {
        Self {
            names,
            stdout: Line::default(),
            stderr: Line::default(),
            head: None,
            step: 0,
            instruction: String::new(),
            open: false,
            cached: false,
            pending: Vec::new(),
            last: VecDeque::new(),
            events: Vec::new(),
        }
    }

    /// Takes a piece of the standard output.
    pub(super) fn stdout(&mut self, piece: &[u8]) {
        let mut line = std::mem::take(&mut self.stdout);
        line.feed(piece, |bytes, begins, ends| self.stdout_line(bytes, begins, ends));
        self.stdout = line;
    }

    /// Takes a piece of the standard error. buildah writes little there while a step runs, so it is what the
    /// step wrote.
    pub(super) fn stderr(&mut self, piece: &[u8]) {
        let mut line = std::mem::take(&mut self.stderr);
        line.feed(piece, |bytes, begins, ends| {
            if !(begins && is_buildahs_word(bytes)) {
                self.output(bytes, ends);
            }
        });
        self.stderr = line;
    }

    /// The events so far, with all whole lines.
    pub(super) fn events(&mut self) -> Vec<EventKind> {
        self.flush();
        std::mem::take(&mut self.events)
    }

    /// The build ended, well or not. Returns the last events.
    pub(super) fn finish(&mut self, well: bool) -> Vec<EventKind> {
        let line = std::mem::take(&mut self.stdout);
        if !line.bytes.is_empty() {
            self.stdout_line(&line.bytes, !line.continues, false);
        }
        let line = std::mem::take(&mut self.stderr);
        if !line.bytes.is_empty() && (line.continues || !is_buildahs_word(&line.bytes)) {
            self.output(&line.bytes, false);
        }
        if well {
            self.close();
        } else {
            self.flush();
            if std::mem::take(&mut self.open) {
                self.events.push(EventKind::StepFailed { step: self.step, work: None });
            }
        }
        self.events()
    }

    /// The instruction of the step that began last, and the last lines that it printed.
    pub(super) fn last_step(&self) -> (&str, Vec<String>) {
        (&self.instruction, self.last.iter().cloned().collect())
    }

    fn stdout_line(&mut self, line: &[u8], begins: bool, ends: bool) {
        if begins && let Some((head, instruction)) = self.head_in(line) {
            return self.begin(head, instruction);
        }
        // A RUN that ends without a newline has the next head on its last line.
        if let Some(at) = self.glued_head(line)
            && let Some((head, instruction)) = self.head_in(&line[at..])
        {
            self.output(&line[..at], false);
            return self.begin(head, instruction);
        }
        if begins && self.open {
            if is_cache_hit(line) {
                self.cached = true;
                return;
            }
            if self.is_remark(line) {
                return;
            }
        }
        // The Dockerfile's plan has told of them already, once for all platforms.
        if begins && line.starts_with(b"[Warning] one or more build args were not consumed: [") {
            return;
        }
        self.output(line, ends);
    }

    fn begin(&mut self, head: Head, instruction: &[u8]) {
        self.close();
        self.head = Some(head);
        self.step += 1;
        self.instruction = shortened(instruction);
        for (id, name) in &self.names {
            if self.instruction.contains(id.as_str()) {
                self.instruction = self.instruction.replace(id.as_str(), name);
            }
        }
        self.open = true;
        self.cached = false;
        self.last.clear();
        let instruction = self.instruction.clone();
        self.events.push(EventKind::StepStarted { step: self.step, instruction, stage: None });
    }

    fn close(&mut self) {
        self.flush();
        if std::mem::take(&mut self.open) {
            self.events.push(EventKind::StepFinished { step: self.step, cached: self.cached, work: None });
        }
    }

    fn output(&mut self, bytes: &[u8], ends: bool) {
        if self.step == 0 || bytes.is_empty() && !ends {
            return;
        }
        if self.pending.len() + bytes.len() + 1 > MOST {
            self.flush();
        }
        self.pending.extend_from_slice(bytes);
        if ends {
            self.pending.push(b'\n');
        }
        if !bytes.is_empty() {
            if self.last.len() == LAST_LINES {
                self.last.pop_front();
            }
            self.last.push_back(shortened(bytes));
        }
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            let data = LogBytes(std::mem::take(&mut self.pending));
            self.events.push(EventKind::StepOutput { step: self.step, data });
        }
    }

    /// The head of a step at the start of `line`, if it is one that may come next.
    fn head_in<'a>(&self, line: &'a [u8]) -> Option<(Head, &'a [u8])> {
        let (stage, rest) = match line.strip_prefix(b"[") {
            Some(inner) => {
                let (stage, rest) = fraction(inner)?;
                (Some(stage), rest.strip_prefix(b"] ")?)
            }
            None => (None, line),
        };
        let ((step, steps), rest) = fraction(rest.strip_prefix(b"STEP ")?)?;
        let head = Head { stage, step, steps };
        let follows = match self.head {
            None => step == 1,
            Some(last) => head.follows(last),
        };
        follows.then_some((head, rest.strip_prefix(b": ")?))
    }

    /// Where in a line the head of the very next step may begin.
    fn glued_head(&self, line: &[u8]) -> Option<usize> {
        let last = self.head?;
        let next = if last.step < last.steps {
            let stage = last.stage.map(|(stage, stages)| format!("[{stage}/{stages}] "));
            format!("{}STEP {}/{}: ", stage.unwrap_or_default(), last.step + 1, last.steps)
        } else {
            let (stage, stages) = last.stage?;
            format!("[{}/{stages}] STEP 1/", stage + 1)
        };
        line.windows(next.len()).position(|window| window == next.as_bytes())
    }

    /// What buildah says about its own work between steps.
    fn is_remark(&self, line: &[u8]) -> bool {
        let Some(head) = self.head else { return false };
        let rest = match head.stage {
            Some((stage, stages)) => {
                line.strip_prefix(format!("[{stage}/{stages}] ").as_bytes()).unwrap_or(line)
            }
            None => line,
        };
        let committed = rest == b"COMMIT" || rest.starts_with(b"COMMIT ");
        let layer = rest
            .strip_prefix(b"--> ")
            .is_some_and(|id| (11..=64).contains(&id.len()) && id.iter().all(u8::is_ascii_hexdigit));
        layer || head.step == head.steps && committed
    }
}

impl Line {
    /// Adds a piece and gives away whole lines, and parts of lines that are too long. Each comes with whether it
    /// begins a line and whether it ends one.
    fn feed(&mut self, piece: &[u8], mut take: impl FnMut(&[u8], bool, bool)) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (mut content, ends) = match part.strip_suffix(b"\n") {
                Some(content) => (content, true),
                None => (part, false),
            };
            while self.bytes.len() + content.len() > MOST {
                let (now, later) = content.split_at(MOST - self.bytes.len());
                self.bytes.extend_from_slice(now);
                content = later;
                take(&self.bytes, !self.continues, false);
                self.bytes.clear();
                self.continues = true;
            }
            self.bytes.extend_from_slice(content);
            if ends {
                take(&self.bytes, !self.continues, true);
                self.bytes.clear();
                self.continues = false;
            }
        }
    }
}

impl Head {
    fn follows(self, last: Self) -> bool {
        if self.stage == last.stage {
            return self.steps == last.steps && self.step == last.step + 1;
        }
        // Stages that the target does not need are passed over.
        match (last.stage, self.stage) {
            (Some((before, stages)), Some((now, same))) => {
                same == stages && now > before && self.step == 1 && last.step == last.steps
            }
            _ => false,
        }
    }
}

/// Reads `3/7` and gives back the rest.
fn fraction(text: &[u8]) -> Option<((u32, u32), &[u8])> {
    let (part, rest) = number(text)?;
    let (whole, rest) = number(rest.strip_prefix(b"/")?)?;
    Some(((part, whole), rest))
}

fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// `--> Using cache <image id>`.
fn is_cache_hit(line: &[u8]) -> bool {
    line.strip_prefix(b"--> Using cache ")
        .is_some_and(|id| id.len() == 64 && id.iter().all(u8::is_ascii_hexdigit))
}

/// What buildah writes to its standard error when a step failed; the error says the same.
fn is_buildahs_word(line: &[u8]) -> bool {
    [&b"Error: building at STEP "[..], b"subprocess exited with status ", b"error running container: from "]
        .iter()
        .any(|words| line.starts_with(words))
}

fn shortened(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(LINE_LENGTH)]).into_owned()
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
