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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::case::Ask;

    fn case(text: &str) -> Case {
        let ask: Ask = toml::from_str(text).expect("a case");
        Case { name: "case".into(), folder: "case".into(), ask }
    }

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    const DIFFERENT: &str = "[[difference]]\nbackend = \"one\"\nreason = \"it is so\"\n\
                             expected = [\"b\"]\ninstead = [\"x\", \"y\"]\n";

    #[test]
    fn a_known_difference_is_that_of_one_backend_and_nothing_more() {
        let case = case(DIFFERENT);
        assert_eq!(expected(&case, "one", "a\nb\nc\n"), Ok(lines("a\nc\nx\ny")));
        assert_eq!(expected(&case, "other", "a\nb\nc\n"), Ok(lines("a\nb\nc")));
        assert!(expected(&case, "one", "a\nc\n").is_err(), "the golden file does not have the line");
    }

    #[test]
    fn a_golden_file_written_anew_stays_as_it_was() {
        let golden = "a\nb\nc";
        let case = case(DIFFERENT);
        let given = expected(&case, "one", golden).expect("lines");
        let mut written = undone(&case, "one", given);
        written.sort();
        assert_eq!(written, lines(golden));
    }

    #[test]
    fn every_deviation_is_seen() {
        assert_eq!(differences(&lines("a\nb"), &lines("b\na")), Vec::<String>::new());
        assert_eq!(differences(&lines("a\nb"), &lines("a\nc")), ["  - b", "  + c"]);
        assert_eq!(differences(&lines("a"), &lines("a\na")), ["  + a"]);
        assert_eq!(differences(&lines("a\na"), &lines("a")), ["  - a"]);
    }
}
