//! The chart: a row for the critical path, for what is done once, and for each platform.

use std::{collections::HashSet, fmt::Write as _};

use super::{
    lanes::lanes,
    text::{Escaped, bytes, cut, mark, percent, time},
};
use crate::timings::{
    CriticalPart, CriticalWork, PhaseKind, PhaseTiming, PlatformEnd, PlatformTiming, Span, StepEnd,
    StepTiming, Timings,
};

/// The height of a lane, in pixels.
const LANE: usize = 26;
/// The share of the chart from which on a bar has words in it: one of this many parts.
const WORTH_WORDS: u64 = 40;
/// How many characters of an instruction a bar has.
const LONGEST: usize = 60;

/// The time that the whole width of the chart stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// Where the build begins on it, in milliseconds.
    pub(super) offset: u64,
    /// How long it is, in milliseconds.
    pub(super) length: u64,
}

impl Axis {
    /// The distance between two marks, in milliseconds: there are at most ten.
    fn tick(self) -> u64 {
        let mut unit = 1_u64;
        loop {
            for factor in [1, 2, 5] {
                if unit.saturating_mul(factor).saturating_mul(10) >= self.length {
                    return unit * factor;
                }
            }
            unit = unit.saturating_mul(10);
        }
    }

    fn place(self, span: Span) -> String {
        let left = percent(span.start_ms + self.offset, self.length);
        format!("left:{left};width:{}", percent(span.duration_ms(), self.length))
    }
}

/// One bar.
struct Bar {
    span: Span,
    /// Bars of one group stay together.
    group: Option<u32>,
    classes: String,
    /// What is said where somebody points at it.
    title: String,
    /// What is said in it.
    words: String,
    /// What it consists of, with the class of each part.
    parts: Vec<(&'static str, u64)>,
}

/// The chart of one build.
pub(super) fn chart(timings: &Timings, path: &[CriticalPart], axis: Axis, page: &mut String) {
    let tick = axis.tick();
    let _ = write!(
        page,
        "<div class=\"chart\" role=\"img\" aria-label=\"A chart of what the tables below say\" style=\"--tick:{}\">",
        percent(tick, axis.length)
    );
    page.push_str("<div class=\"row axis\"><div class=\"label\"></div><div class=\"track\">");
    for at in (0..=axis.length / tick).map(|number| number * tick) {
        // The last word would stand outside.
        if at * 20 <= axis.length * 19 {
            let _ = write!(page, "<span style=\"left:{}\">{}</span>", percent(at, axis.length), mark(at));
        }
    }
    page.push_str("</div></div>");
    let critical = path.iter().filter(|part| part.work != CriticalWork::Waiting);
    row("critical path", "", critical.map(|part| critical_bar(timings, part)).collect(), axis, page);
    let on_path: HashSet<(usize, usize)> = path.iter().filter_map(step_of).collect();
    for (place, platform) in timings.platforms.iter().enumerate() {
        let backend = platform.backend.as_ref().map(ToString::to_string).unwrap_or_default();
        let emulated = if platform.emulated { ", emulated" } else { "" };
        let note = format!("{backend}{emulated}, {}", time(platform.span.duration_ms()));
        let bars = platform_bars(platform, |step| on_path.contains(&(place, step)));
        row(&platform.platform.to_string(), note.trim_start_matches(", "), bars, axis, page);
    }
    let phases: Vec<Bar> = timings.phases.iter().map(|phase| phase_bar(phase, "")).collect();
    if !phases.is_empty() {
        row("all platforms", "index, outputs, registries", phases, axis, page);
    }
    page.push_str("</div>");
}

/// The step that a part of the critical path is about.
pub(super) fn step_of(part: &CriticalPart) -> Option<(usize, usize)> {
    match part.work {
        CriticalWork::Step { platform, step } => Some((platform, step)),
        _ => None,
    }
}

fn row(name: &str, note: &str, mut bars: Vec<Bar>, axis: Axis, page: &mut String) {
    bars.sort_by_key(|bar| bar.span.start_ms);
    let spans: Vec<_> = bars.iter().map(|bar| (bar.span, bar.group)).collect();
    let (places, count) = lanes(&spans);
    let _ = write!(
        page,
        "<div class=\"row\"><div class=\"label\">{} <small>{}</small></div><div class=\"track\" style=\"height:{}px\">",
        Escaped(name),
        Escaped(note),
        count.max(2) * LANE
    );
    for (bar, lane) in bars.iter().zip(places) {
        let Bar { span, classes, title, words, parts, .. } = bar;
        let _ = write!(page, "<b class=\"{classes}\" style=\"{}", axis.place(*span));
        if lane > 0 {
            let _ = write!(page, ";top:{}px", lane * LANE);
        }
        let _ = write!(page, "\" title=\"{}\">", Escaped(title));
        let whole = span.duration_ms();
        let parts = parts.iter().filter(|(_, ms)| *ms > 0 && whole > 0);
        for (class, ms) in parts {
            let _ = write!(page, "<i class={class} style=width:{}></i>", percent(*ms, whole));
        }
        if whole.saturating_mul(WORTH_WORDS) >= axis.length {
            let _ = write!(page, "<u>{}</u>", Escaped(words));
        }
        page.push_str("</b>\n");
    }
    page.push_str("</div></div>\n");
}

fn platform_bars(platform: &PlatformTiming, is_critical: impl Fn(usize) -> bool) -> Vec<Bar> {
    let mut bars = Vec::new();
    let queued = Span { end_ms: platform.began_ms.unwrap_or(platform.span.end_ms), ..platform.span };
    if queued.duration_ms() > 0 {
        let title = format!("queued, {}", time(queued.duration_ms()));
        bars.push(plain(queued, "wait", title, "queued".to_owned()));
    }
    bars.extend(platform.steps.iter().enumerate().map(|(place, step)| step_bar(step, is_critical(place))));
    for pull in &platform.pulls {
        let size = pull.bytes.map(|count| format!(", {}", bytes(count))).unwrap_or_default();
        let words = format!("pull {}", pull.image);
        let title = format!("{words}{size}, {}", time(pull.span.duration_ms()));
        // A pull goes on beside the steps, whichever stage they are in.
        bars.push(Bar { group: Some(u32::MAX), ..plain(pull.span, "pull", title, words) });
    }
    let last = platform.steps.iter().map(|step| step.span.end_ms).max();
    if let Some(last) = last.filter(|last| platform.end == PlatformEnd::Built && *last < platform.span.end_ms)
    {
        let rest = Span { start_ms: last, end_ms: platform.span.end_ms };
        let title = format!("the image is put together, {}", time(rest.duration_ms()));
        bars.push(plain(rest, "other", title, "image".to_owned()));
    }
    bars
}

fn step_bar(step: &StepTiming, is_critical: bool) -> Bar {
    let words = cut(&step.instruction, LONGEST);
    let whole = step.span.duration_ms();
    let stage = step.stage.as_ref().map(|stage| stage.number);
    let (mut classes, how) = match step.end {
        StepEnd::Done => (String::new(), String::new()),
        StepEnd::Cached => ("there".to_owned(), "cached, ".to_owned()),
        StepEnd::Shared => ("there".to_owned(), "shared, ".to_owned()),
        StepEnd::Failed => ("fail".to_owned(), "failed after ".to_owned()),
        StepEnd::Stopped => ("stop".to_owned(), "stopped after ".to_owned()),
    };
    if is_critical {
        classes.push_str(" crit");
    }
    let mut parts = Vec::new();
    let mut title = format!("#{} {words}: {how}{}", step.number, time(whole));
    if let Some(work) = &step.work {
        let all = [
            ("wait", "waited", work.waited_ms),
            ("pull", "pulled", work.pulled_ms),
            ("prep", "prepared", work.prepared_ms),
            ("run", "ran", work.ran_ms),
            ("write", "wrote", work.wrote_ms),
        ];
        for (class, verb, ms) in all.into_iter().filter(|(_, _, ms)| *ms > 0) {
            let _ = write!(title, "; {verb} {}", time(ms));
            parts.push((class, ms));
        }
    }
    let sign = match step.end {
        StepEnd::Failed => "✗ ",
        StepEnd::Cached => "cached: ",
        StepEnd::Shared => "shared: ",
        StepEnd::Done | StepEnd::Stopped => "",
    };
    let words = format!("{sign}{words}");
    Bar { span: step.span, group: stage, classes: classes.trim().to_owned(), title, words, parts }
}

fn critical_bar(timings: &Timings, part: &CriticalPart) -> Bar {
    let took = time(part.span.duration_ms());
    let platform = |place: usize| timings.platforms[place].platform.to_string();
    let bar = match part.work {
        CriticalWork::Waiting => plain(part.span, "wait", format!("waiting, {took}"), "waiting".to_owned()),
        CriticalWork::Queued { platform: place } => {
            let words = format!("{} queued", platform(place));
            plain(part.span, "wait", format!("{words}, {took}"), words)
        }
        CriticalWork::Platform { platform: place } => {
            plain(part.span, "other", format!("{}, {took}", platform(place)), platform(place))
        }
        CriticalWork::Step { platform: place, step } => {
            let step = &timings.platforms[place].steps[step];
            let mut bar = step_bar(step, false);
            bar.title = format!("{} {}", platform(place), bar.title);
            bar.parts = later(bar.parts, step.span.duration_ms(), part.span.duration_ms());
            bar
        }
        CriticalWork::Phase { phase } => phase_bar(&timings.phases[phase], &format!(", {took}")),
    };
    Bar { span: part.span, group: None, ..bar }
}

/// The parts of a step in the last `rest` of its `whole` time: what was waited for at its beginning has bars of its own.
fn later(parts: Vec<(&'static str, u64)>, whole: u64, rest: u64) -> Vec<(&'static str, u64)> {
    let mut before = whole.saturating_sub(rest);
    let left = parts.into_iter().map(|(class, ms)| {
        let cut = ms.min(before);
        before -= cut;
        (class, ms - cut)
    });
    left.collect()
}

fn phase_bar(phase: &PhaseTiming, more: &str) -> Bar {
    let words = phase_words(phase);
    let class = match phase.kind {
        PhaseKind::Pushing | PhaseKind::Tagging => "push",
        PhaseKind::Fetching | PhaseKind::ImportingCache => "pull",
        PhaseKind::Exporting | PhaseKind::ExportingCache => "write",
        PhaseKind::Preparing | PhaseKind::Assembling => "other",
    };
    let title = if more.is_empty() {
        format!("{words}, {}", time(phase.span.duration_ms()))
    } else {
        format!("{words}{more}")
    };
    plain(phase.span, class, title, words)
}

/// What was done once, in words.
pub(super) fn phase_words(phase: &PhaseTiming) -> String {
    let about = phase.about.as_deref().unwrap_or_default();
    let words = match phase.kind {
        PhaseKind::Fetching => "fetch",
        PhaseKind::Preparing => "prepare",
        PhaseKind::ImportingCache => "read the cache",
        PhaseKind::Assembling => "assemble the index",
        PhaseKind::Exporting => "write",
        PhaseKind::Pushing => "push to",
        PhaseKind::Tagging => "tag",
        PhaseKind::ExportingCache => "write the cache",
    };
    format!("{words} {about}").trim_end().to_owned()
}

fn plain(span: Span, class: &str, title: String, words: String) -> Bar {
    Bar { span, group: None, classes: class.to_owned(), title, words, parts: Vec::new() }
}
