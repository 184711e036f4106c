//! Which commit a name stands for, by what `git ls-remote` prints.

/// The full name of the branch, tag or other reference that `wanted` means; of the default branch if `None`.
///
/// A branch wins over a tag of the same name, as in BuildKit (`source/git/source.go`).
pub(super) fn choose(wanted: Option<&str>, listing: &str) -> Option<String> {
    let lines = || listing.lines().filter_map(|line| line.split_once('\t'));
    let Some(wanted) = wanted else {
        let head = lines().find(|(_, name)| *name == "HEAD")?;
        let branch = lines().find_map(|(target, name)| {
            let target = target.strip_prefix("ref: ")?;
            (name == "HEAD").then(|| target.to_owned())
        });
        // A detached HEAD, or a server that does not say where its HEAD points, has no more of a name.
        return Some(branch.unwrap_or_else(|| head.1.to_owned()));
    };
    let full = match wanted {
        "HEAD" => vec![wanted.to_owned()],
        _ if wanted.starts_with("refs/") => vec![wanted.to_owned()],
        _ => ["heads/", "tags/", ""].iter().map(|folder| format!("refs/{folder}{wanted}")).collect(),
    };
    full.into_iter().find(|full| lines().any(|(_, name)| name == full))
}

/// Whether a text is the whole digest of a commit.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && super::url::is_commit_prefix(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "ref: refs/heads/main\tHEAD\n1111\tHEAD\n1111\trefs/heads/main\n2222\trefs/heads/v1\n\
                           3333\trefs/tags/v1\n4444\trefs/tags/v2\n5555\trefs/tags/v2^{}\n6666\trefs/pull/1/head\n";

    fn name(wanted: Option<&str>) -> Option<String> {
        choose(wanted, LISTING)
    }

    #[test]
    fn a_branch_wins_over_a_tag_and_nothing_means_the_default_branch() {
        for (wanted, found) in [
            (None, Some("refs/heads/main")),
            (Some("main"), Some("refs/heads/main")),
            (Some("v1"), Some("refs/heads/v1")),
            (Some("refs/tags/v1"), Some("refs/tags/v1")),
            (Some("v2"), Some("refs/tags/v2")),
            (Some("pull/1/head"), Some("refs/pull/1/head")),
            (Some("head"), None),
            (Some("v3"), None),
        ] {
            assert_eq!(name(wanted).as_deref(), found, "{wanted:?}");
        }
        assert_eq!(choose(None, "1111\tHEAD\n").as_deref(), Some("HEAD"));
        assert_eq!(choose(None, ""), None);
    }

    #[test]
    fn only_a_whole_digest_is_a_commit() {
        assert!(is_commit(&"a1".repeat(20)) && is_commit(&"0".repeat(64)));
        assert!(!is_commit("deadbeef") && !is_commit(&"A1".repeat(20)) && !is_commit(&"g".repeat(40)));
    }
}
