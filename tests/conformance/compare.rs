//! What was expected beside what came.

use super::case::Case;

/// The lines that a backend is to give: the golden ones with its known differences. Else why the case is no case.
pub(super) fn expected(case: &Case, backend: &str, golden: &str) -> Result<Vec<String>, String> {
    let mut lines: Vec<String> = golden.lines().map(str::to_owned).collect();
    for difference in case.differences(backend) {
        for line in &difference.expected {
            let at = lines.iter().position(|golden| golden == line);
            lines.remove(at.ok_or_else(|| format!("  a difference expects what is not there: {line}"))?);
        }
        lines.extend(difference.instead.iter().cloned());
    }
    Ok(lines)
}

/// The golden lines for what a backend gave: its known differences undone.
pub(super) fn undone(case: &Case, backend: &str, mut lines: Vec<String>) -> Vec<String> {
    for difference in case.differences(backend) {
        let mut at = None;
        for line in &difference.instead {
            if let Some(found) = lines.iter().position(|given| given == line) {
                lines.remove(found);
                at = at.or(Some(found));
            }
        }
        let at = at.unwrap_or(lines.len());
        lines.splice(at..at, difference.expected.iter().cloned());
    }
    lines
}

/// The lines that only one of the two has; nothing where they agree. Their order is that of names, so it says nothing.
pub(super) fn differences(expected: &[String], found: &[String]) -> Vec<String> {
    let (mut missing, mut surplus) = (expected.to_vec(), Vec::new());
    for line in found {
        match missing.iter().position(|expected| expected == line) {
            Some(at) => _ = missing.remove(at),
            None => surplus.push(format!("  + {line}")),
        }
    }
    missing.iter().map(|line| format!("  - {line}")).chain(surplus).collect()
}
