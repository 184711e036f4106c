//! All steps as tables, for whoever wants the numbers or does not see the chart.

use std::{collections::HashSet, fmt::Write as _};

use super::{
    bars::step_of,
    sections::LONGEST,
    text::{Escaped, bytes, count, cut, part, time},
};
use crate::timings::{CriticalPart, PlatformTiming, StepEnd, StepTiming, Timings};

/// Up to how many steps all tables are open.
const FEW: usize = 200;

pub(super) fn steps(timings: &Timings, path: &[CriticalPart], page: &mut String) {
    page.push_str("<h3>All steps</h3>");
    let on_path: HashSet<(usize, usize)> = path.iter().filter_map(step_of).collect();
    let all: usize = timings.platforms.iter().map(|platform| platform.steps.len()).sum();
    for (place, platform) in timings.platforms.iter().enumerate() {
        let _ = write!(
            page,
            "<details{}><summary>{}: {}</summary>",
            if all <= FEW { " open" } else { "" },
            Escaped(&platform.platform.to_string()),
            count(platform.steps.len(), "step")
        );
        page.push_str(
            "<div class=\"wide\"><table class=\"steps\"><thead><tr><th>#<th>stage<th>instruction<th>end<th>from\
             <th>took<th>waited<th>pulled<th>prepared<th>ran\
             <th>wrote</thead><tbody>\n",
        );
        for (at, step) in platform.steps.iter().enumerate() {
            row(step, on_path.contains(&(place, at)), page);
        }
        page.push_str("</tbody></table></div>");
        pulls(platform, page);
        page.push_str("</details>");
    }
}

fn row(step: &StepTiming, is_critical: bool, page: &mut String) {
    let stage = step.stage.as_ref().map(|stage| {
        let number = stage.number.to_string();
        stage.name.clone().unwrap_or(number)
    });
    let (end, class) = match step.end {
        StepEnd::Done => ("done", ""),
        StepEnd::Cached => ("cached", ""),
        StepEnd::Shared => ("shared", ""),
        StepEnd::Failed => ("✗ failed", " class=\"bad\""),
        StepEnd::Stopped => ("stopped", ""),
    };
    let critical = if is_critical { (" class=\"on\"", ", critical") } else { ("", "") };
    let _ = write!(
        page,
        "<tr{}><td>{}<td>{}<td><code>{}</code><td{class}>{end}{}<td>{}<td>{}",
        critical.0,
        step.number,
        Escaped(&stage.unwrap_or_default()),
        Escaped(&cut(&step.instruction, LONGEST)),
        critical.1,
        time(step.span.start_ms),
        time(step.span.duration_ms())
    );
    if let Some(work) = &step.work {
        for ms in [work.waited_ms, work.pulled_ms, work.prepared_ms, work.ran_ms, work.wrote_ms] {
            let _ = write!(page, "<td>{}", part(ms));
        }
    } else {
        page.push_str("<td colspan=\"5\" class=\"faint\">not told apart");
    }
    page.push('\n');
}

fn pulls(platform: &PlatformTiming, page: &mut String) {
    for pull in &platform.pulls {
        let size = pull.bytes.map(|size| format!(" ({})", bytes(size))).unwrap_or_default();
        let _ = write!(
            page,
            "<p>Pulled <code>{}</code>{size} from {} on in {}.</p>",
            Escaped(&pull.image),
            time(pull.span.start_ms),
            time(pull.span.duration_ms())
        );
    }
}
