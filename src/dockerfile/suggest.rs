//! The nearest of several names, for "did you mean".

/// The candidate that is few typing slips away from `word`, if there is one; case does not count.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Comparing costs the product of the lengths, and no name is anywhere near this long.
    const LONGEST: usize = 64;
    let word: Vec<char> = word.chars().take(LONGEST + 1).flat_map(char::to_lowercase).collect();
    let allowed = match word.len() {
        0 => return None,
        1..=4 => 1,
        5..=8 => 2,
        9..=LONGEST => 3,
        _ => return None,
    };
    candidates
        .into_iter()
        .map(|candidate| {
            let letters: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
            (distance(&word, &letters), candidate)
        })
        .filter(|(slips, candidate)| *slips <= allowed && *slips < candidate.chars().count())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// Whether one typing slip turns the one name into the other; case does not count.
pub(super) fn is_one_slip(one: &str, other: &str) -> bool {
    const LONGEST: usize = 64;
    let letters = |name: &str| -> Vec<char> { name.chars().flat_map(char::to_lowercase).collect() };
    one.len().abs_diff(other.len()) <= 4
        && one.len() <= LONGEST
        && distance(&letters(one), &letters(other)) == 1
}

/// How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_distant_one_is_not() {
        let names = ["RUN", "COPY", "FROM", "ENTRYPOINT", "USER", "ENV"];
        for (word, expected) in [
            ("RNU", Some("RUN")),
            ("cpoy", Some("COPY")),
            ("FORM", Some("FROM")),
            ("ENTYRPIONT", Some("ENTRYPOINT")),
            ("users", Some("USER")),
            ("BANANA", None),
            ("", None),
            ("X", None),
        ] {
            assert_eq!(nearest(word, names), expected, "{word}");
        }
        assert_eq!(nearest(&"R".repeat(1 << 20), names), None);
    }
}
