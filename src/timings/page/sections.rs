//! What the page says in words about a build: its length, its critical path, and what emulation cost.

use std::fmt::Write as _;

use super::{
    bars::phase_words,
    text::{Escaped, count, percent, time},
};
use crate::timings::{CriticalPart, CriticalWork, EmulatedRun, EmulationCost, PlatformEnd, StepEnd, Timings};

/// How many characters of an instruction a table has.
pub(super) const LONGEST: usize = 200;

/// What must be known of backends that do not tell the parts of a step.
const INEXACT: &str = " The backend does not say which of them it emulated, nor how long their commands ran: these are \
                       whole steps, and some may be of stages for this machine's CPU.";

/// How a build went, in a sentence or two.
pub(super) fn summary(timings: &Timings, page: &mut String) {
    let steps = || timings.platforms.iter().flat_map(|platform| &platform.steps);
    let ended = |end: StepEnd| steps().filter(|step| step.end == end).count();
    let end = if timings.failed { "<span class=\"bad\">failed</span> after" } else { "took" };
    let _ = write!(
        page,
        "<p>{} and {} {end} {}: {} carried out, {} cached, {} shared with others that were at the same work",
        count(timings.platforms.len(), "platform"),
        count(steps().count(), "step"),
        time(timings.duration_ms),
        ended(StepEnd::Done),
        ended(StepEnd::Cached),
        ended(StepEnd::Shared),
    );
    for (end, words) in [(StepEnd::Failed, "failed"), (StepEnd::Stopped, "stopped")] {
        if ended(end) > 0 {
            let _ = write!(page, ", {} {words}", ended(end));
        }
    }
    page.push_str(".</p>");
    for platform in timings.platforms.iter().filter(|platform| platform.end == PlatformEnd::Failed) {
        let failed = platform.steps.iter().find(|step| step.end == StepEnd::Failed);
        let at = failed.map(|step| format!(" at <code>{}</code>", Escaped(&step.instruction)));
        let name = platform.platform.to_string();
        let at = at.unwrap_or_default();
        let _ = write!(page, "<p class=\"bad\">✗ {} failed{at}.</p>", Escaped(&name));
    }
    if timings.missed > 0 {
        let _ = write!(
            page,
            "<p class=\"bad\">{} events came too fast to be seen; what they said is missing here.</p>",
            timings.missed
        );
    }
}

/// What the build could not be shorter than.
pub(super) fn critical_path(timings: &Timings, path: &[CriticalPart], page: &mut String) {
    page.push_str(
        "<h3>Critical path</h3><p>Each part had to wait for the one before it, so only what is here makes the build \
         shorter.</p>",
    );
    let _ = write!(
        page,
        "<details{}><summary>{} from start to end</summary><div class=\"wide\"><table><thead><tr><th class=\"n\">from\
         <th class=\"n\">took<th class=\"n\">share<th>where<th>what</thead><tbody>",
        if path.len() <= 100 { " open" } else { "" },
        count(path.len(), "part")
    );
    // Gaps of a millisecond and the like would hide what matters.
    let is_worth_it =
        |part: &&CriticalPart| part.span.duration_ms().saturating_mul(1000) >= timings.duration_ms;
    for part in path.iter().filter(is_worth_it) {
        let took = part.span.duration_ms();
        let (place, what) = words(timings, part.work);
        let _ = writeln!(
            page,
            "<tr><td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td>{}<td><code>{}</code>",
            time(part.span.start_ms),
            time(took),
            percent(took, timings.duration_ms),
            Escaped(&place),
            Escaped(&super::text::cut(&what, LONGEST)),
        );
    }
    page.push_str("</tbody></table></div>");
    let short: Vec<_> = path.iter().filter(|part| !is_worth_it(part)).collect();
    if !short.is_empty() {
        let sum = short.iter().map(|part| part.span.duration_ms()).sum();
        let _ = write!(
            page,
            "<p><small>{} of less than a thousandth of the build not listed, {} together.</small></p>",
            count(short.len(), "part"),
            time(sum)
        );
    }
    page.push_str("</details>");
}

fn words(timings: &Timings, work: CriticalWork) -> (String, String) {
    let platform = |place: usize| timings.platforms[place].platform.to_string();
    let all = || "all platforms".to_owned();
    match work {
        CriticalWork::Waiting => (all(), "waiting".to_owned()),
        CriticalWork::Queued { platform: place } => (platform(place), "queued".to_owned()),
        CriticalWork::Platform { platform: place } => {
            (platform(place), "what is besides its steps".to_owned())
        }
        CriticalWork::Phase { phase } => (all(), phase_words(&timings.phases[phase])),
        CriticalWork::Step { platform: place, step } => {
            let step = &timings.platforms[place].steps[step];
            (platform(place), format!("#{} {}", step.number, step.instruction))
        }
    }
}

/// What emulation cost, as far as the build itself shows it.
pub(super) fn emulation(timings: &Timings, page: &mut String) {
    let costs = timings.emulation();
    let is_emulated = timings.platforms.iter().any(|platform| platform.emulated);
    if costs.is_empty() && !is_emulated {
        return;
    }
    page.push_str("<h3>What emulation cost</h3>");
    if costs.is_empty() {
        page.push_str(
            "<p>No emulated RUN was carried out to its end in this build, so nothing is known of it.</p>",
        );
    }
    for cost in &costs {
        let name = timings.platforms[cost.platform].platform.to_string();
        let exact = if cost.is_exact { "" } else { INEXACT };
        let _ = write!(page, "<p><strong>{}</strong>: {}{exact}</p>", Escaped(&name), sentence(cost));
        if cost.runs.iter().any(|run| run.native.is_some()) {
            compared(timings, cost, page);
        }
    }
}

fn sentence(cost: &EmulationCost) -> String {
    let (runs, all) = (cost.runs.len(), time(cost.emulated_ms()));
    let begin = format!("{} ran emulated for {all} in all", count(runs, "RUN"));
    let Some((emulated, native)) = cost.compared_ms() else {
        return format!(
            "{begin}. That is their whole time and not what emulation added: no platform of this build ran the same \
             instructions natively."
        );
    };
    let compared = cost.runs.iter().filter(|run| run.native.is_some()).count();
    let difference = if emulated >= native {
        format!("{} more", time(emulated - native))
    } else {
        format!("{} less", time(native - emulated))
    };
    let rest = if compared == runs {
        String::new()
    } else {
        format!(" Nothing is known of the {} others.", runs - compared)
    };
    format!(
        "{begin}. {compared} of {runs} ran natively for another platform of this build too: {} emulated and {} natively, \
         which is {difference}{}. Where they ran at the same time, each slowed the other down.{rest}",
        time(emulated),
        time(native),
        factor(emulated, native)
    )
}

/// How many times as long, where that says anything.
fn factor(emulated: u64, native: u64) -> String {
    if native < 10 {
        return String::new();
    }
    let tenths = emulated.saturating_mul(10) / native;
    format!(" ({}.{} times as long)", tenths / 10, tenths % 10)
}

fn compared(timings: &Timings, cost: &EmulationCost, page: &mut String) {
    page.push_str(
        "<div class=\"wide\"><table><thead><tr><th>instruction<th class=\"n\">emulated<th class=\"n\">natively\
         <th>there<th></thead><tbody>",
    );
    for EmulatedRun { step, emulated_ms, native } in &cost.runs {
        let instruction = &timings.platforms[cost.platform].steps[*step].instruction;
        let (took, place, times) = match native {
            Some((platform, _, ms)) => {
                let platform = timings.platforms[*platform].platform.to_string();
                (time(*ms), platform, factor(*emulated_ms, *ms))
            }
            None => ("not run".to_owned(), String::new(), String::new()),
        };
        let _ = writeln!(
            page,
            "<tr><td><code>{}</code><td class=\"n\">{}<td class=\"n\">{took}<td>{}<td>{times}",
            Escaped(&super::text::cut(instruction, LONGEST)),
            time(*emulated_ms),
            Escaped(&place),
        );
    }
    page.push_str("</tbody></table></div>");
}
