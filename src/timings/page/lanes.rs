//! Which bars stand side by side: those of steps that went on at the same time have lanes of their own.

use crate::timings::Span;

/// The lane of each bar, in their order, and how many lanes there are. `bars` are sorted by their beginning; those of
/// one group keep to one lane as long as that is free.
pub(super) fn lanes(bars: &[(Span, Option<u32>)]) -> (Vec<usize>, usize) {
    let mut open: Vec<(u64, Option<u32>)> = Vec::new();
    let mut lanes = Vec::with_capacity(bars.len());
    for (span, group) in bars {
        let is_free = |lane: &(u64, Option<u32>)| lane.0 <= span.start_ms;
        let own = open.iter().position(|lane| is_free(lane) && lane.1 == *group);
        let lane = own.or_else(|| open.iter().position(is_free)).unwrap_or_else(|| {
            open.push((0, None));
            open.len() - 1
        });
        open[lane] = (span.end_ms.max(span.start_ms), *group);
        lanes.push(lane);
    }
    (lanes, open.len())
}
