//! Where the context of a build is, and whether the tenant may use it.

use std::path::{Path, PathBuf};

use polyarch_actors::Digest;

use super::{document::ContextDocument, spec::Wrong};
use crate::{
    ContextInput,
    fetch::GitSource,
    images::blocking,
    service::{contexts::Shelf, problem::Problem, tenants::Tenant},
};

/// How git may be reached: a build of a tenant has no keys of ssh, and may not have those of the server.
const SCHEMES: [&str; 2] = ["https://", "http://"];
/// How long the digests of commits are, in hexadecimal digits: SHA-1 and SHA-256.
const COMMITS: [usize; 2] = [40, 64];

/// A context that the tenant may use.
#[derive(Debug)]
pub(super) struct ContextFound {
    /// Where it is.
    pub(super) input: ContextInput,
    /// The same, for people.
    pub(super) said: String,
    /// Whether it can never have other files.
    pub(super) pinned: bool,
}

impl ContextDocument {
    /// Finds the context. What is wrong with it is noted, and a context that is nothing stands for it.
    pub(super) async fn find(
        &self,
        tenant: &Tenant,
        shelf: &Shelf,
        wrong: &mut Wrong,
    ) -> Result<ContextFound, Problem> {
        let found = match self {
            Self::Upload(text) => upload(text, tenant, shelf).await?,
            Self::Git(text) => git(text),
            Self::Path(text) => path(text.clone(), tenant.paths.clone()).await?,
        };
        Ok(found.unwrap_or_else(|(pointer, detail)| {
            wrong.note(pointer, detail);
            ContextFound { input: ContextInput::Stdin, said: String::new(), pinned: false }
        }))
    }
}

type Found = Result<ContextFound, (&'static str, String)>;

async fn upload(text: &str, tenant: &Tenant, shelf: &Shelf) -> Result<Found, Problem> {
    let wrong = |detail: String| Err(("/context/upload", detail));
    let digest: Digest = match text.parse() {
        Ok(digest) => digest,
        Err(error) => return Ok(wrong(format!("{error}"))),
    };
    Ok(match shelf.take(&tenant.name, &digest).await? {
        Some(file) => Ok(ContextFound {
            input: ContextInput::Archive(file),
            said: format!("upload {digest}"),
            pinned: true,
        }),
        None => wrong("there is no such context (send it again: it is kept for a while only)".into()),
    })
}

fn git(text: &str) -> Found {
    let wrong = |detail: String| ("/context/git", detail);
    let source = match GitSource::parse(text) {
        Ok(Some(source)) => source,
        Ok(None) => return Err(wrong("it is no address of a git repository".into())),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let remote = source.remote.to_ascii_lowercase();
    if source.looks_local || !SCHEMES.iter().any(|scheme| remote.starts_with(scheme)) {
        return Err(wrong("git is reached by https:// or http:// here".into()));
    }
    let commit = source.checksum.as_deref().or(source.reference.as_deref());
    let pinned = commit.is_some_and(|commit| {
        COMMITS.contains(&commit.len()) && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    Ok(ContextFound { said: format!("git {source}"), input: ContextInput::Git(source), pinned })
}

async fn path(text: String, allowed: Vec<PathBuf>) -> Result<Found, Problem> {
    // Whether a directory is there that the tenant may not use is not told.
    let found = blocking(move || Ok(resolve(&text, &allowed).map(|path| (path, text)))).await;
    let failed = |error: crate::Error| {
        tracing::error!("a directory could not be looked at: {error}");
        Problem::internal()
    };
    Ok(match found.map_err(failed)? {
        Some((path, text)) => Ok(ContextFound {
            input: ContextInput::Enclosed(path),
            said: format!("path {text}"),
            pinned: false,
        }),
        None => Err(("/context/path", "it is no directory that this tenant may use".into())),
    })
}

/// The directory that a text names, without a symbolic link in its path, if it is in one of the allowed ones.
fn resolve(text: &str, allowed: &[PathBuf]) -> Option<PathBuf> {
    let path = Path::new(text);
    let resolved =
        path.is_absolute().then(|| path.canonicalize().ok()).flatten().filter(|path| path.is_dir())?;
    let is_within = |root: &PathBuf| root.canonicalize().is_ok_and(|root| resolved.starts_with(root));
    allowed.iter().any(is_within).then_some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_reached_over_the_network_without_keys_of_the_server() {
        for text in ["https://h/a.git", "http://h/a.git#main:dir", "HTTPS://h/a.git"] {
            assert!(git(text).is_ok(), "{text}");
        }
        for text in [
            "file:///srv/a.git",
            "/srv/a.git",
            "./a",
            "../a.git",
            "a.git",
            "ssh://git@h/a.git",
            "git://h/a",
            "git@h:a.git",
            "github.com/o/a",
            "ext::sh -c x",
            "https://h/a.git#-x",
            "",
            "-",
        ] {
            assert!(git(text).is_err(), "{text}");
        }
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let pinned = git(&format!("https://u:secret@h/a.git#{commit}")).expect("a repository");
        assert!(pinned.pinned && !pinned.said.contains("secret"), "{}", pinned.said);
        assert!(!git("https://h/a.git#main").expect("a repository").pinned);
    }

    #[cfg(unix)]
    #[test]
    fn only_directories_in_those_of_the_tenant_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a path");
        for name in ["mine/app", "mine-too", "other"] {
            std::fs::create_dir_all(root.join(name)).expect("made");
        }
        std::os::unix::fs::symlink("../other", root.join("mine/out")).expect("linked");
        std::os::unix::fs::symlink("app", root.join("mine/in")).expect("linked");
        std::fs::write(root.join("mine/file"), "").expect("written");
        let allowed = [root.join("mine")];
        let find = |name: &str| resolve(&root.join(name).display().to_string(), &allowed);
        assert_eq!(find("mine/app"), Some(root.join("mine/app")));
        assert_eq!(find("mine/in"), Some(root.join("mine/app")), "without the link");
        assert_eq!(find("other/../mine"), Some(root.join("mine")));
        for name in ["mine/out", "mine/../other", "mine-too", "other", "mine/file", "mine/none", "."] {
            assert_eq!(find(name), None, "{name}");
        }
        assert_eq!(resolve("mine/app", &allowed), None);
        assert_eq!(resolve("/\0", &allowed), None);
    }
}
