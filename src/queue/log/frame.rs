//! Events as lines.

use std::ops::Range;

use polyarch_actors::{BuildEvent, EventKind, LogBytes};

/// The most bytes of output in one line of a log: what is longer becomes several events, so that whoever reads a line
/// needs little memory.
const LONGEST_OUTPUT: usize = 16 << 10;

/// Whether a log may go without the event.
pub(super) fn is_output(event: &BuildEvent) -> bool {
    matches!(event.kind, EventKind::StepOutput { .. })
}

/// Whether no event follows.
pub(super) fn is_end(event: &BuildEvent) -> bool {
    matches!(event.kind, EventKind::Finished { .. })
}

/// Puts a line behind the others.
pub(super) fn write_line(lines: &mut Vec<u8>, event: &BuildEvent, sequence: u64) {
    let event = BuildEvent { sequence, ..event.clone() };
    let start = lines.len();
    if let Err(error) = serde_json::to_writer(&mut *lines, &event) {
        // No event of today has a form that is no JSON. Its place is kept, or the numbers would be wrong.
        lines.truncate(start);
        let message = format!("an event could not be written down: {error}");
        let told = BuildEvent { kind: EventKind::Warned { message }, ..event };
        lines.extend(serde_json::to_vec(&told).unwrap_or_default());
    }
    lines.push(b'\n');
}

/// The event of a log that stands for events that are not in it.
pub(super) fn missed(beside: &BuildEvent, events: u64) -> BuildEvent {
    BuildEvent { platform: None, kind: EventKind::Missed { events }, ..beside.clone() }
}

/// The event in pieces of which none is long; absent where it is short as it is.
pub(super) fn pieces(event: &BuildEvent) -> Option<impl Iterator<Item = BuildEvent> + '_> {
    let EventKind::StepOutput { step, data } = &event.kind else { return None };
    if data.0.len() <= LONGEST_OUTPUT {
        return None;
    }
    let piece = move |range: Range<usize>| {
        let data = LogBytes(data.0[range].to_vec());
        let (version, build, platform) = (event.version, event.build.clone(), event.platform.clone());
        let kind = EventKind::StepOutput { step: *step, data };
        BuildEvent { version, build, platform, sequence: event.sequence, time: event.time, kind }
    };
    Some(ranges(&data.0).into_iter().map(piece))
}

/// Where to cut: behind a line if possible, else between two letters.
fn ranges(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let limit = bytes.len().min(start + LONGEST_OUTPUT);
        let mut end = limit;
        if limit < bytes.len() {
            let continues = |at: usize| bytes[at] & 0b1100_0000 == 0b1000_0000;
            let letter = (limit - 3..=limit).rev().find(|at| !continues(*at)).unwrap_or(limit);
            let line = bytes[start..limit].iter().rposition(|byte| *byte == b'\n');
            end = line.map_or(letter, |at| start + at + 1);
        }
        ranges.push(start..end);
        start = end;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_output_is_cut_behind_lines_and_between_letters() {
        let line = [b"x".repeat(1000), b"\n".to_vec()].concat().repeat(40);
        let letters = "ß€😀".repeat(9000).into_bytes();
        let odd = vec![0x80; 40_000];
        for bytes in [&line, &letters, &odd] {
            let ranges = ranges(bytes);
            assert!(
                ranges.len() > 1 && ranges.iter().all(|range| (1..=LONGEST_OUTPUT).contains(&range.len()))
            );
            let whole: Vec<u8> = ranges.iter().flat_map(|range| bytes[range.clone()].to_vec()).collect();
            assert!(whole == *bytes);
        }
        assert!(ranges(&line).iter().all(|range| line[range.clone()].ends_with(b"\n")));
        assert!(ranges(&letters).iter().all(|range| std::str::from_utf8(&letters[range.clone()]).is_ok()));
    }
}
