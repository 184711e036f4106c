//! The addresses of git repositories, as BuildKit reads them.
//!
//! Source: BuildKit, `frontend/dockerfile/dfgitutil/git_ref.go`, `util/gitutil/git_url.go` and
//! `util/sshutil/scpurl.go`.

use std::fmt;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::form::GitForm;

/// A repository, and what of it is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "GitForm", into = "GitForm")]
pub struct GitSource {
    /// Where it is, as git takes it.
    pub remote: String,
    /// A branch, a tag, a full name below `refs/` or the digest of a commit; the default branch if absent.
    pub reference: Option<String>,
    /// The directory in it that is meant; all of it if absent.
    pub subdirectory: Option<String>,
    /// How the digest of the commit, or of the tag that names it, must begin.
    pub checksum: Option<String>,
    /// Whether `.git` stays, where the address says it.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched; they are where the address does not say.
    pub submodules: Option<bool>,
    /// Whether it was written like a path (`github.com/…`), which only a build context may be.
    pub looks_local: bool,
}

/// Why the address of a git repository cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid git address {address:?}: {reason}")]
pub struct GitUrlError {
    pub(super) address: String,
    pub(super) reason: String,
}

/// What git may speak.
const SCHEMES: [&str; 4] = ["http", "https", "ssh", "git"];
/// The longest digest of a commit: SHA-256 in hexadecimal.
const LONGEST_COMMIT: usize = 64;

/// The parts of an address.
struct Parts<'a> {
    remote: String,
    query: &'a str,
    fragment: String,
}

impl GitSource {
    /// Reads an address; `None` when it is none of a git repository.
    ///
    /// ```
    /// let source = polyarch::fetch::GitSource::parse("https://example.com/a.git#v1:sub")?.expect("a repository");
    /// assert_eq!(source.reference.as_deref(), Some("v1"));
    /// assert_eq!(source.subdirectory.as_deref(), Some("sub"));
    /// assert_eq!(polyarch::fetch::GitSource::parse("https://example.com/a.tar.gz")?, None);
    /// # Ok::<_, polyarch::fetch::GitUrlError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Option<Self>, GitUrlError> {
        if text.starts_with("./") || text.starts_with("../") {
            return Ok(None);
        }
        let looks_local = text.starts_with("github.com/");
        let parts = if looks_local {
            let (rest, query, fragment) = split(text);
            Some(Parts { remote: format!("https://{rest}"), query, fragment: decoded(fragment) })
        } else {
            with_scheme(text).or_else(|| like_scp(text))
        };
        let Some(parts) = parts else { return Ok(None) };
        let mut source = Self { remote: parts.remote, looks_local, ..Self::default() };
        let (reference, subdirectory) = parts.fragment.split_once(':').unwrap_or((&parts.fragment, ""));
        source.reference = some(reference);
        source.subdirectory = some(subdirectory);
        let wrong = |reason: String| GitUrlError { address: shown(text), reason };
        source.read_query(parts.query).map_err(wrong)?;
        source.check().map_err(wrong)?;
        Ok(Some(source))
    }

    fn read_query(&mut self, query: &str) -> Result<(), String> {
        let (mut tag, mut branch) = (None, None);
        let mut seen = Vec::new();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            if seen.contains(&key) {
                return Err(format!("{key} is given twice"));
            }
            let switch = matches!(&*key, "submodules" | "keep-git-dir");
            if value.is_empty() && !switch {
                return Err(format!("{key} has no value"));
            }
            match &*key {
                "ref" => agree("ref", &mut self.reference, &value)?,
                "subdir" => agree("subdir", &mut self.subdirectory, &value)?,
                "tag" => tag = Some(below("refs/tags/", &value)),
                "branch" => branch = Some(below("refs/heads/", &value)),
                "checksum" | "commit" => agree("commit", &mut self.checksum, &value)?,
                "keep-git-dir" => self.keep_git_dir = Some(truth(&key, &value)?),
                "submodules" => self.submodules = Some(truth(&key, &value)?),
                _ => {
                    let known = "ref, tag, branch, commit, subdir, submodules and keep-git-dir";
                    return Err(format!("{key:?} is not known after the question mark ({known} are)"));
                }
            }
            seen.push(key);
        }
        if tag.is_some() && branch.is_some() {
            return Err("it names a branch and a tag: give one of them".into());
        }
        if let Some(name) = tag.or(branch) {
            agree("ref", &mut self.reference, &name)?;
        }
        if self.reference.is_none() {
            self.reference.clone_from(&self.checksum);
        }
        Ok(())
    }

    /// What git or its transports could take for something else is refused.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(reference) = &self.reference
            && !is_plain_reference(reference)
        {
            return Err(format!("{reference:?} is no name of a branch, tag or commit"));
        }
        if let Some(checksum) = &self.checksum
            && !is_commit_prefix(checksum)
        {
            return Err(format!("the commit {checksum:?} is not hexadecimal"));
        }
        let host = self.host();
        if host.is_empty() || host.starts_with(['-', ':']) || self.remote.contains(|c: char| c.is_control()) {
            return Err("it names no host".into());
        }
        Ok(())
    }

    /// The same commit, and no other than one whose digest begins with `checksum`, as `ADD --checksum` asks for.
    pub fn expecting(mut self, checksum: &str) -> Result<Self, GitUrlError> {
        let wrong = |reason| GitUrlError { address: shown(&self.remote), reason };
        let mut expected = self.checksum.take();
        agree("commit", &mut expected, checksum).map_err(wrong)?;
        self.checksum = expected;
        self.check().map_err(|reason| GitUrlError { address: shown(&self.remote), reason })?;
        Ok(self)
    }

    /// Whether it can mean one commit only: it names one by its whole digest.
    pub(crate) fn is_pinned(&self) -> bool {
        let names = [&self.reference, &self.checksum];
        names.into_iter().flatten().any(|name| super::refs::is_commit(name))
    }

    /// The host of the repository.
    pub(crate) fn host(&self) -> &str {
        let authority = match self.remote.split_once("://") {
            Some((_, rest)) => rest.split('/').next(),
            None => self.remote.split(':').next(),
        };
        authority.and_then(|authority| authority.rsplit('@').next()).unwrap_or_default()
    }
}

impl fmt::Display for GitSource {
    /// The address without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.remote))?;
        match (&self.reference, &self.subdirectory) {
            (None, None) => Ok(()),
            (reference, None) => write!(f, "#{}", reference.as_deref().unwrap_or_default()),
            (reference, Some(folder)) => write!(f, "#{}:{folder}", reference.as_deref().unwrap_or_default()),
        }
    }
}

/// Whether a text can be how the digest of a commit begins.
pub(super) fn is_commit_prefix(text: &str) -> bool {
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    !text.is_empty() && text.len() <= LONGEST_COMMIT && text.bytes().all(hexadecimal)
}

/// The address of a repository without user and password, and those; ssh needs its user and gives no password.
pub(super) fn without_credentials(remote: &str) -> (String, Option<(String, String)>) {
    let Some((scheme, rest)) = remote.split_once("://") else { return (remote.to_owned(), None) };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    match authority.rsplit_once('@') {
        Some((user, host)) if scheme != "ssh" => {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            (format!("{scheme}://{host}{path}"), Some((decoded(user), decoded(password))))
        }
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            (format!("{scheme}://{user}@{host}{path}"), None)
        }
        None => (remote.to_owned(), None),
    }
}

/// An address without its password.
fn shown(address: &str) -> String {
    without_credentials(address).0
}

/// `scheme://host/path`; over HTTP only with the ending `.git`.
fn with_scheme(text: &str) -> Option<Parts<'_>> {
    let (scheme, _) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    if !SCHEMES.contains(&scheme.as_str()) {
        return None;
    }
    let (rest, query, fragment) = split(&text[scheme.len()..]);
    if scheme.starts_with("http") {
        let path = rest.trim_start_matches("://").split_once('/').map_or("", |(_, path)| path);
        decoded(path).strip_suffix(".git")?;
    }
    Some(Parts { remote: format!("{scheme}{rest}"), query, fragment: decoded(fragment) })
}

/// `[user@]host:path`.
fn like_scp(text: &str) -> Option<Parts<'_>> {
    if text.contains("://") {
        return None;
    }
    let (rest, query, fragment) = split(text);
    let (authority, path) = rest.split_once(':')?;
    let (user, host) = authority.split_once('@').unwrap_or(("user", authority));
    let is = |text: &str, others: &[u8]| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
    };
    // Two colons are git's way to name a program that fetches.
    let matches = is(user, b"-_") && is(host, b"-.") && !path.starts_with(':');
    matches.then(|| Parts { remote: rest.to_owned(), query, fragment: fragment.to_owned() })
}

/// What stands before the query, the query, and the fragment.
fn split(text: &str) -> (&str, &str, &str) {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    (rest, query, fragment)
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Sets what may be said twice if it is the same.
fn agree(what: &str, place: &mut Option<String>, value: &str) -> Result<(), String> {
    match place {
        Some(there) if there != value => Err(format!("it gives {what} as {there:?} and as {value:?}")),
        _ => {
            *place = Some(value.to_owned());
            Ok(())
        }
    }
}

fn below(prefix: &str, name: &str) -> String {
    if name.starts_with(prefix) { name.to_owned() } else { format!("{prefix}{name}") }
}

/// Booleans as Go's `strconv.ParseBool` has them; a switch without a value is on.
fn truth(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{key} is {value:?}, neither true nor false")),
    }
}

/// Whether a text can name a reference and is no option, pattern or mapping.
///
/// Source: git-check-ref-format(1).
fn is_plain_reference(text: &str) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    !text.starts_with(['-', '+', '/', '.'])
        && !text.ends_with(['/', '.'])
        && !text.contains("..")
        && !text.contains("//")
        && !text.contains("@{")
        && !text.contains(odd)
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
