//! How much of a repository is taken: what git says of each commit is counted before any of it is checked out.
//!
//! A repository of a few KB can name the same directory again and again, level by level, so that billions of files come
//! out of it. git itself sets no limit. What attributes do to the ends of lines and to encodings is not counted.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::{task::spawn_blocking, time::sleep};

use super::{
    fault::Refusal,
    program::{Call, Git},
};
use crate::{archive::Limits, prune};

/// The most submodules, those of submodules included. Each is a repository of its own, which git starts several times.
const MOST_SUBMODULES: usize = 4096;
/// The longest path that git may tell; no Linux takes one that is this long.
const LONGEST_PATH: usize = 64 << 10;
/// How often is looked at least how much has been fetched.
const INTERVAL: Duration = Duration::from_secs(1);

/// There is more of something than is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Excess {
    /// What, in the plural.
    pub(super) what: &'static str,
    /// The most that is taken.
    pub(super) limit: u64,
}

/// A submodule, as the commit has it that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Submodule {
    /// Where in its repository.
    pub(super) path: String,
    /// The digest of its commit.
    pub(super) commit: String,
}

/// What has been counted so far of a repository and its submodules.
#[derive(Debug)]
pub(super) struct Tally {
    limits: Limits,
    members: usize,
    bytes: u64,
    names: u64,
    submodules: usize,
}

impl Tally {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, members: 0, bytes: 0, names: 0, submodules: 0 }
    }

    /// Counts what a commit holds of the repository in `folder`, and returns its submodules.
    pub(super) async fn count(
        &mut self,
        git: &Git,
        folder: &Path,
        commit: &str,
    ) -> Result<Vec<Submodule>, Refusal> {
        let mut listing = Listing { tally: self, line: Vec::new(), found: Vec::new() };
        // Directories too: those that hold nothing take time all the same.
        let call = Call { folder, settings: &[], arguments: &["ls-tree", "-r", "-t", "-l", "-z", commit] };
        git.read(&call, |bytes| listing.take(bytes)).await?;
        Ok(listing.found)
    }
}

/// What `git ls-tree -l -z` tells, as it comes.
struct Listing<'t> {
    tally: &'t mut Tally,
    /// What has come of an entry.
    line: Vec<u8>,
    found: Vec<Submodule>,
}

impl Listing<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Excess> {
        for piece in bytes.split_inclusive(|byte| *byte == 0) {
            self.line.extend_from_slice(piece);
            if self.line.pop_if(|last| *last == 0).is_some() {
                self.entry()?;
                self.line.clear();
            }
            if self.line.len() > LONGEST_PATH {
                return Err(Excess { what: "bytes in one path", limit: LONGEST_PATH as u64 });
            }
        }
        Ok(())
    }

    /// Counts one entry: `MODE TYPE DIGEST SIZE<tab>PATH`.
    fn entry(&mut self) -> Result<(), Excess> {
        let line = String::from_utf8_lossy(&self.line);
        let (facts, path) = line.split_once('\t').unwrap_or((&line, ""));
        let mut facts = facts.split_ascii_whitespace().skip(1);
        let (kind, commit) = (facts.next().unwrap_or_default(), facts.next().unwrap_or_default());
        let size: u64 = facts.next().and_then(|size| size.parse().ok()).unwrap_or(0);
        let tally = &mut *self.tally;
        tally.members += 1;
        tally.bytes = tally.bytes.saturating_add(size);
        tally.names += path.len() as u64;
        if kind == "commit" {
            tally.submodules += 1;
            self.found.push(Submodule { path: path.to_owned(), commit: commit.to_owned() });
        }
        let Limits { members, bytes, names, .. } = tally.limits;
        for (count, what, limit) in [
            (tally.members as u64, "files and directories", members as u64),
            (tally.bytes, "bytes in its files", bytes),
            (tally.names, "bytes in its paths", names),
            (tally.submodules as u64, "submodules", MOST_SUBMODULES as u64),
        ] {
            if count > limit {
                return Err(Excess { what, limit });
            }
        }
        Ok(())
    }
}

/// Waits until more has been fetched into a folder than is taken.
pub(super) async fn flooded(folder: PathBuf, most: u64) -> Excess {
    loop {
        let begun = Instant::now();
        let looked = folder.clone();
        let size = spawn_blocking(move || prune::occupied(&looked)).await.unwrap_or(0);
        if size > most {
            return Excess { what: "bytes to be fetched", limit: most };
        }
        // Looking takes a tenth of the time at most, however many files there are.
        sleep(INTERVAL.max(10 * begun.elapsed())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { members: 4, bytes: 100, allowance: 0, ratio: 1, names: 20 };

    /// Takes a text, whose lines are entries, byte by byte.
    fn listed(text: &str) -> Result<Vec<Submodule>, Excess> {
        let mut tally = Tally::new(LIMITS);
        let mut listing = Listing { tally: &mut tally, line: Vec::new(), found: Vec::new() };
        for byte in text.bytes() {
            listing.take(&[if byte == b'\n' { 0 } else { byte }])?;
        }
        Ok(listing.found)
    }

    #[test]
    fn what_git_tells_is_counted_as_it_comes() {
        let listing = "100644 blob cd32      57\t.gitmodules\n040000 tree 9999       -\ta b\n\
                       160000 commit c75d       -\ta b/\u{e9}\n";
        let found = listed(listing).expect("within the limits");
        assert_eq!(found, [Submodule { path: "a b/\u{e9}".into(), commit: "c75d".into() }]);
        let excess = |text: &str| listed(text).expect_err("too much");
        assert_eq!(
            excess(&"040000 tree 9999 -\ta\n".repeat(5)),
            Excess { what: "files and directories", limit: 4 }
        );
        assert_eq!(
            excess(&"100644 blob 9 51\ta\n".repeat(2)),
            Excess { what: "bytes in its files", limit: 100 }
        );
        assert_eq!(excess(&format!("100644 blob 9 {}\ta\n", u64::MAX)).what, "bytes in its files");
        assert_eq!(excess("100644 blob 9 1\t123456789012345678901\n").what, "bytes in its paths");
        assert_eq!(excess(&"x".repeat(LONGEST_PATH + 1)).what, "bytes in one path");
    }

    #[tokio::test]
    async fn what_floods_a_folder_is_noticed_wherever_it_comes() {
        let folder = tempfile::tempdir().expect("a folder");
        let most = 1 << 20;
        let flood = flooded(folder.path().to_owned(), most);
        tokio::pin!(flood);
        let wait = Duration::from_millis(100);
        tokio::time::timeout(wait, &mut flood).await.expect_err("nothing is there");
        std::fs::create_dir_all(folder.path().join("modules/a")).expect("made");
        std::fs::write(folder.path().join("modules/a/pack"), vec![7; 2 << 20]).expect("written");
        let excess = tokio::time::timeout(Duration::from_mins(1), flood).await.expect("noticed");
        assert_eq!(excess, Excess { what: "bytes to be fetched", limit: most });
    }
}
