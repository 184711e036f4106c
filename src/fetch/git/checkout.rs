//! Fetches one commit of a repository, and what of it is wanted.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use futures::FutureExt as _;

use super::{
    fault::Refusal,
    program::{Call, Git, GitAccess},
    refs,
    submodules::submodules,
    tally::{Excess, Tally, flooded},
    url::GitSource,
};
use crate::{
    archive::Limits,
    context::{Context, Entry, Ignore, Kind, RelPath},
    fetch::error::FetchError,
    folder::{Finish, Folder, Refused, name_of},
    oci::Store,
    registry::{RegistryError, TransferCx},
};

/// A directory of a repository as it was at one commit. Its files are removed when this is dropped.
#[derive(Debug)]
pub struct FetchedTree {
    _folder: tempfile::TempDir,
    directory: PathBuf,
    commit: String,
}

impl FetchedTree {
    /// The directory that is meant, in a folder of the store.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The digest of the commit, in hexadecimal.
    pub fn commit(&self) -> &str {
        &self.commit
    }
}

/// Fetches a repository at one commit, with its submodules unless `source` says otherwise.
///
/// No more of the history is fetched than that commit where the server allows it. `.git` is removed unless
/// `keep_git_dir` or the source asks for it and all of the repository is wanted, as in BuildKit. Every file has
/// mode 0644 or 0755, and the time of the commit, so that equal commits give equal images. How much is taken has
/// limits, and nothing is checked out that was not counted.
///
/// # Errors
/// [`FetchError::TooMuch`] when there is more of the repository than is taken,
/// [`FetchError::NoReference`] when the repository has no such branch, tag or commit, [`FetchError::Checksum`]
/// when the commit is another than the source demands, [`FetchError::Git`] for what git complains about.
pub async fn git(
    source: &GitSource,
    keep_git_dir: bool,
    access: &GitAccess,
    store: &Store,
    cx: &TransferCx,
) -> Result<FetchedTree, FetchError> {
    let folder = store.scratch_dir("git-")?;
    let (tree, home) = (folder.path().join("tree"), folder.path().join("home"));
    for folder in [&tree, &home] {
        fs::create_dir(folder).map_err(|source| FetchError::io("make", folder, source))?;
    }
    let git = Git::start(source, access, &tree, &home).await?;
    let limits = Limits::of(access.fetching);
    let work = async {
        tokio::select! {
            done = check_out(&git, source, limits, cx).boxed() => done,
            excess = flooded(tree.join(".git"), limits.bytes) => Err(said(source, Refusal::Excess(excess))),
        }
    };
    let fetched = cx.until_cancelled(async { Ok(work.await) }).await;
    git.end().await;
    let (commit, time) = fetched??;
    let wanted = RelPath::clean(source.subdirectory.as_deref().unwrap_or_default().as_bytes());
    let keep = source.keep_git_dir.unwrap_or(keep_git_dir) && wanted.is_root();
    let shown = source.to_string();
    let (top, below) = (tree.clone(), wanted.clone());
    let there = tokio::task::spawn_blocking(move || tidy(&top, &below, keep, time));
    let there = there.await.map_err(|error| FetchError::io("tidy", &tree, io::Error::other(error)))??;
    if !there {
        return Err(FetchError::NoSubdirectory { repository: shown, path: wanted.to_string() });
    }
    let directory = tree.join(wanted.to_string());
    Ok(FetchedTree { _folder: folder, directory, commit })
}

/// Fetches and checks out. Returns the digest of the commit and when it was made, in seconds since 1970.
async fn check_out(
    git: &Git,
    source: &GitSource,
    limits: Limits,
    cx: &TransferCx,
) -> Result<(String, i64), FetchError> {
    let said = |refusal| said(source, refusal);
    git.run(&["init", "--quiet", "--template="]).await.map_err(said)?;
    git.run(&["remote", "add", "--", "origin", &git.remote]).await.map_err(said)?;
    let wanted = source.reference.as_deref();
    let name = match wanted {
        Some(commit) if refs::is_commit(commit) => None,
        _ => {
            let mut listing = vec!["ls-remote", "--symref", "--", "origin"];
            listing.push(wanted.unwrap_or("HEAD"));
            let listing = Call { folder: &git.tree, settings: &[], arguments: &listing };
            let listing = patiently(git, cx, &listing).await?.map_err(said)?;
            let missing = || FetchError::NoReference {
                repository: source.to_string(),
                reference: wanted.unwrap_or("HEAD").to_owned(),
            };
            Some(refs::choose(wanted, &listing).ok_or_else(missing)?)
        }
    };
    let target = fetch(git, source, name.as_deref(), cx).await?;
    let read = async |what: &str| git.run(&["rev-parse", "--verify", "--quiet", what]).await;
    let named = read(&target).await.map_err(said)?.trim().to_owned();
    let commit = read(&format!("{target}^{{commit}}")).await.map_err(said)?.trim().to_owned();
    if let Some(expected) = &source.checksum
        && !commit.starts_with(expected)
        && !named.starts_with(expected)
    {
        let (what, expected) = (source.to_string(), expected.clone());
        return Err(FetchError::Checksum { what, expected, found: commit });
    }
    let mut tally = Tally::new(limits);
    let found = tally.count(git, &git.tree, &commit).await.map_err(said)?;
    git.run(&["checkout", "--quiet", "--force", "--detach", &commit]).await.map_err(said)?;
    if source.submodules.unwrap_or(true) {
        submodules(git, source, found, &mut tally, cx).await?;
    }
    let time = git.run(&["log", "-1", "--format=%ct", &commit]).await.map_err(said)?;
    // What fetching leaves says when it was done.
    git.run(&["reflog", "expire", "--all", "--expire=now"]).await.map_err(said)?;
    Ok((commit, time.trim().parse().unwrap_or(0)))
}

/// Fetches what has the full name `name`, else the commit that the source names. Returns what to check out.
async fn fetch(
    git: &Git,
    source: &GitSource,
    name: Option<&str>,
    cx: &TransferCx,
) -> Result<String, FetchError> {
    let commit = source.reference.clone().unwrap_or_default();
    let mapping = name.filter(|name| name.starts_with("refs/")).map(|name| format!("+{name}:{name}"));
    let what = mapping.as_deref().or(name).unwrap_or(&commit);
    let base = ["fetch", "--quiet", "--no-tags", "--update-head-ok", "--no-recurse-submodules"];
    let shallow = [&base[..], &["--depth=1", "--", "origin", what]].concat();
    // A server that gives no parts, or no commit by its digest, has to give everything that it names.
    let everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
    let whole = match name {
        Some(_) => [&base[..], &["--", "origin", what]].concat(),
        None => [&base[..], &["--", "origin"], &everything].concat(),
    };
    let shallow = Call { folder: &git.tree, settings: &[], arguments: &shallow };
    let mut end = patiently(git, cx, &shallow).await?;
    if matches!(end, Err(Refusal::Said { whole_may_work: true, .. })) {
        end = patiently(git, cx, &Call { arguments: &whole, ..shallow }).await?;
        if name.is_none() && end.is_ok() {
            let there = git.run(&["cat-file", "-e", &format!("{commit}^{{commit}}")]).await;
            let missing =
                || FetchError::NoReference { repository: source.to_string(), reference: commit.clone() };
            return there.map(|_| commit.clone()).map_err(|_| missing());
        }
    }
    end.map_err(|refusal| said(source, refusal))?;
    Ok(match name {
        Some(name) if mapping.is_some() => name.to_owned(),
        Some(_) => "FETCH_HEAD".to_owned(),
        None => commit,
    })
}

/// Runs a command that reaches out, again while that may help.
pub(super) async fn patiently(
    git: &Git,
    cx: &TransferCx,
    call: &Call<'_>,
) -> Result<Result<String, Refusal>, RegistryError> {
    cx.retrying(&git.host, || async {
        match git.call(call).await {
            Err(Refusal::Said { passing: true, reason, .. }) => {
                Err(RegistryError::Interrupted { registry: git.host.clone(), reason })
            }
            end => Ok(end),
        }
    })
    .await
}

/// What it means for whoever wants the repository.
pub(super) fn said(source: &GitSource, refusal: Refusal) -> FetchError {
    match refusal {
        Refusal::Said { fault, reason, .. } => {
            FetchError::Git { repository: source.to_string(), fault, reason }
        }
        Refusal::Fenced(error) => error,
        Refusal::Excess(Excess { what, limit }) => {
            FetchError::TooMuch { repository: source.to_string(), what, limit }
        }
        Refusal::Guard(error) => error.into(),
    }
}

/// Removes what is git's own, and gives every file a mode and time that do not vary. Says whether the directory
/// `wanted` is there.
fn tidy(tree: &Path, wanted: &RelPath, keep: bool, time: i64) -> Result<bool, FetchError> {
    let odd = |error: crate::context::ContextError| FetchError::io("read", tree, io::Error::other(error));
    let own = tree.join(".git");
    for name in ["FETCH_HEAD", "logs"] {
        remove(&own.join(name))?;
    }
    if !keep {
        remove(&own)?;
    }
    let context = Context::open(tree, Ignore::default()).map_err(odd)?;
    let Some(entries) = context.walk(wanted).map_err(odd)? else { return Ok(false) };
    if entries.first().is_none_or(|entry| entry.kind != Kind::Directory) {
        return Ok(false);
    }
    let root = Folder::open(tree).map_err(|source| FetchError::io("open", tree, source))?;
    // From the end: a directory changes when something in it is removed.
    for entry in entries.iter().rev() {
        let is_own = entry.path.components().any(|name| name == b".git");
        let path = tree.join(entry.path.to_string());
        if is_own && !keep {
            // No commit can hold this name: it is the pointer of a submodule to its repository.
            clear(&root, &entry.path).map_err(|refused| FetchError::io("remove", &path, refused.into()))?;
        } else if !is_own {
            settle(&root, entry, time).map_err(|refused| FetchError::io("finish", &path, refused.into()))?;
        }
    }
    Ok(true)
}

fn settle(root: &Folder, entry: &Entry, time: i64) -> Result<(), Refused> {
    let mode = if entry.kind == Kind::File && entry.mode & 0o100 == 0 { 0o644 } else { 0o755 };
    let finish = Finish { mode, modified: (time, 0) };
    let Some((above, name)) = entry.path.split() else { return root.finish(finish) };
    let is_link = matches!(entry.kind, Kind::Symlink { .. });
    descend(root, &above)?.finish_at(&name_of(name), is_link, finish)
}

fn clear(root: &Folder, path: &RelPath) -> Result<(), Refused> {
    let Some((above, name)) = path.split() else { return Ok(()) };
    descend(root, &above)?.clear(&name_of(name))
}

fn descend(root: &Folder, path: &RelPath) -> Result<Folder, Refused> {
    let mut at = root.again().map_err(Refused::Io)?;
    for name in path.components() {
        at = at.directory(&name_of(name))?;
    }
    Ok(at)
}

/// Removes a file or folder, if it is there.
fn remove(path: &Path) -> Result<(), FetchError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return Ok(()),
    };
    removed.map_err(|source| FetchError::io("remove", path, source))
}
