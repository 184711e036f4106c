//! Submodules, level by level: all of a repository are fetched, then counted, then checked out.
//!
//! git fetches and checks out in one command, unless it is told to run something else instead of checking out.

use std::path::{Path, PathBuf};

use super::{
    checkout::{patiently, said},
    fault::Refusal,
    program::{Call, Git},
    tally::{Excess, Submodule, Tally},
    url::GitSource,
};
use crate::{
    fetch::error::{FetchError, GitFault},
    registry::{RegistryError, TransferCx},
};

/// The most that is read of how git knows the submodules of one repository.
const MOST: usize = 1 << 20;

/// Fetches and checks out the submodules that a repository has in `tree`, and theirs.
pub(super) async fn submodules(
    git: &Git,
    source: &GitSource,
    found: Vec<Submodule>,
    tally: &mut Tally,
    cx: &TransferCx,
) -> Result<(), FetchError> {
    let mut due = vec![(git.tree.clone(), found)];
    while let Some((folder, found)) = due.pop() {
        let listed = call(git, &folder, &[], &["ls-files", "--error-unmatch", "--", ".gitmodules"]).await;
        if found.is_empty() || listed.is_err() {
            continue;
        }
        due.extend(level(git, &folder, found, tally, cx).await.map_err(|error| error.of(source))?);
    }
    Ok(())
}

/// Does the submodules of one repository, and returns theirs.
async fn level(
    git: &Git,
    folder: &Path,
    found: Vec<Submodule>,
    tally: &mut Tally,
    cx: &TransferCx,
) -> Result<Vec<(PathBuf, Vec<Submodule>)>, Failed> {
    call(git, folder, &[], &["submodule", "--quiet", "init"]).await?;
    let names = names(git, folder).await?;
    let doing = |what: &str| -> Vec<(String, String)> {
        names.iter().map(|name| (format!("submodule.{name}.update"), what.to_owned())).collect()
    };
    let only_fetched = doing("!true");
    let update = ["submodule", "--quiet", "update"];
    let shallow = [&update[..], &["--depth=1"]].concat();
    let fetch = Call { folder, settings: &only_fetched, arguments: &shallow };
    let mut end = patiently(git, cx, &fetch).await?;
    if matches!(end, Err(Refusal::Said { whole_may_work: true, .. })) {
        end = patiently(git, cx, &Call { arguments: &update, ..fetch }).await?;
    }
    end?;
    let mut below = Vec::new();
    for submodule in found {
        if let Some(folder) = place(folder, &submodule.path)? {
            let found = tally.count(git, &folder, &submodule.commit).await?;
            below.push((folder, found));
        }
    }
    let check_out = [&update[..], &["--force", "--no-fetch"]].concat();
    call(git, folder, &doing("checkout"), &check_out).await?;
    Ok(below)
}

async fn call(
    git: &Git,
    folder: &Path,
    settings: &[(String, String)],
    arguments: &[&str],
) -> Result<String, Refusal> {
    git.call(&Call { folder, settings, arguments }).await
}

/// What the submodules of a repository are called that are to be fetched.
///
/// One that was missing here would be checked out before it is counted, so that a name that cannot be told fails.
async fn names(git: &Git, folder: &Path) -> Result<Vec<String>, Failed> {
    let mut told = Vec::new();
    let arguments = ["config", "-z", "--get-regexp", r"^submodule\..*\.(url|update)$"];
    let take = |bytes: &[u8]| {
        told.extend_from_slice(bytes);
        let excess = Excess { what: "bytes in the names and addresses of submodules", limit: MOST as u64 };
        if told.len() > MOST { Err(excess) } else { Ok(()) }
    };
    git.read(&Call { folder, settings: &[], arguments: &arguments }, take).await?;
    let told =
        String::from_utf8(told).map_err(|_| Failed::Odd("a submodule has a name that is not UTF-8"))?;
    Ok(chosen(&told))
}

/// The names of submodules that have an address and are not to be left alone, of what `git config -z` tells.
fn chosen(told: &str) -> Vec<String> {
    let told: Vec<(&str, &str)> = told.split('\0').filter_map(|one| one.split_once('\n')).collect();
    let of = |key: &'_ str, what: &str| {
        let name = key.strip_prefix("submodule.").and_then(|rest| rest.strip_suffix(what));
        name.map(str::to_owned)
    };
    let left = |name: &str| {
        told.iter().any(|(key, value)| *value == "none" && of(key, ".update").as_deref() == Some(name))
    };
    told.iter().filter_map(|(key, _)| of(key, ".url")).filter(|name| !left(name)).collect()
}

/// Where a submodule of the repository in `folder` has been fetched to; `None` where it was left alone. git is not run where
/// a symbolic link leads.
fn place(folder: &Path, path: &str) -> Result<Option<PathBuf>, Failed> {
    let mut place = folder.to_owned();
    for part in path.split('/') {
        place.push(part);
        let is_directory = place.symlink_metadata().is_ok_and(|found| found.is_dir());
        if matches!(part, "" | "." | "..") || !is_directory {
            return Err(Failed::Odd("a submodule has a path that cannot be used"));
        }
    }
    Ok(place.join(".git").exists().then_some(place))
}

/// Why submodules cannot be had.
enum Failed {
    Error(FetchError),
    Refusal(Refusal),
    Odd(&'static str),
}

impl Failed {
    fn of(self, source: &GitSource) -> FetchError {
        match self {
            Self::Error(error) => error,
            Self::Refusal(refusal) => match said(source, refusal) {
                FetchError::Git { repository, fault, reason } => {
                    FetchError::Git { repository, fault, reason: format!("a submodule: {reason}") }
                }
                error => error,
            },
            Self::Odd(reason) => FetchError::Git {
                repository: source.to_string(),
                fault: GitFault::Refused,
                reason: reason.to_owned(),
            },
        }
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<RegistryError> for Failed {
    fn from(error: RegistryError) -> Self {
        Self::Error(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submodules_are_named_as_git_tells_them() {
        let told = "submodule.a.b/c.url\n../x\0submodule.left.update\nnone\0submodule.left.url\ny\0\
                    submodule.other.update\nrebase\0submodule.other.url\nz\0";
        assert_eq!(chosen(told), ["a.b/c", "other"]);
        assert_eq!(chosen(""), [""; 0]);
    }

    #[cfg(unix)]
    #[test]
    fn no_submodule_is_where_a_link_leads() {
        use std::{fs, os::unix::fs::symlink};
        let root = tempfile::tempdir().expect("a folder");
        let tree = root.path().join("tree");
        for folder in ["tree/a/b", "tree/left", "away/b"] {
            fs::create_dir_all(root.path().join(folder)).expect("made");
        }
        for folder in ["tree/a/b", "away/b"] {
            fs::write(root.path().join(folder).join(".git"), "gitdir: x\n").expect("written");
        }
        symlink("../away", tree.join("link")).expect("linked");
        assert!(matches!(place(&tree, "a/b"), Ok(Some(found)) if found == tree.join("a/b")));
        assert!(matches!(place(&tree, "left"), Ok(None)));
        for path in ["link/b", "link", "../away/b", "a/../a/b", "a/none", ""] {
            assert!(place(&tree, path).is_err(), "{path}");
        }
    }
}
