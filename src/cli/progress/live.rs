//! A line for each platform that changes while the build goes on, for terminals.

use std::{collections::HashMap, io, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use polyarch_actors::{BuildEvent, EventKind, Platform};

use super::{View, kept::Kept, sentence, text};

/// How often a line that waits moves.
const TICK: Duration = Duration::from_millis(120);

/// Keeps one line a platform, and one for the push.
pub(super) struct Live {
    lines: MultiProgress,
    /// What every line begins with.
    label: String,
    platforms: HashMap<Platform, ProgressBar>,
    push: Option<ProgressBar>,
    kept: Kept,
}

impl Live {
    pub(super) fn new(lines: MultiProgress, label: String) -> Self {
        Self { lines, label, platforms: HashMap::new(), push: None, kept: Kept::default() }
    }
}

impl View for Live {
    fn show(&mut self, event: &BuildEvent) -> io::Result<()> {
        let more = self.kept.note(event);
        match (&event.platform, &event.kind) {
            (Some(platform), kind) => self.show_platform(platform, kind, more),
            (None, EventKind::PushProgressed { sent, total }) => {
                let bar = self.push.get_or_insert_with(|| self.lines.add(push_bar(&self.label)));
                bar.set_length(*total);
                bar.set_position(*sent);
                Ok(())
            }
            (None, EventKind::Finished { .. }) => {
                self.push.iter().chain(self.platforms.values()).for_each(ProgressBar::abandon);
                Ok(())
            }
            (None, kind) => sentence(kind)
                .map_or(Ok(()), |sentence| self.lines.println(format!("{}{sentence}", self.label))),
        }
    }
}

impl Live {
    fn show_platform(&mut self, platform: &Platform, kind: &EventKind, more: &str) -> io::Result<()> {
        let Self { lines, label, platforms, .. } = self;
        let name = format!("{label}{platform}");
        let line = platforms.entry(platform.clone()).or_insert_with(|| lines.add(platform_line(&name)));
        match kind {
            EventKind::StepStarted { step, instruction, .. } => {
                line.set_message(format!("#{step} {}", text::line(instruction)));
            }
            EventKind::StepOutput { data, .. } => {
                let printed = data.to_text();
                if let Some(last) = printed.lines().rev().find(|line| !line.trim().is_empty()) {
                    line.set_message(format!("│ {}", text::line(last)));
                }
            }
            EventKind::ImageBuilt { .. } | EventKind::PlatformFailed { .. } => {
                line.abandon_with_message(sentence(kind).unwrap_or_default() + more);
            }
            EventKind::Warned { .. } | EventKind::Retried { .. } => {
                let sentence = sentence(kind).unwrap_or_default();
                return lines.println(format!("{name}: {sentence}"));
            }
            kind => {
                if let Some(sentence) = sentence(kind) {
                    line.set_message(sentence);
                }
            }
        }
        Ok(())
    }
}

fn platform_line(name: &str) -> ProgressBar {
    let line = ProgressBar::new_spinner().with_prefix(name.to_owned());
    line.set_style(style("{prefix:14} {spinner} {elapsed:>4} {wide_msg}"));
    line.enable_steady_tick(TICK);
    line
}

fn push_bar(label: &str) -> ProgressBar {
    let bar = ProgressBar::new(0).with_prefix(format!("{label}push"));
    bar.set_style(style("{prefix:14} {bar:30} {bytes} of {total_bytes}"));
    bar
}

/// A style whose template is known to be good; the default one stands in if it ever is not.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
