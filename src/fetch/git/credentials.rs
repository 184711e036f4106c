//! Who asks for a repository: keys of ssh, and headers of HTTP.

use std::path::PathBuf;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::program::GitAccess;
use crate::{
    agent,
    fetch::{error::FetchError, secret},
};

/// ssh without the user's configuration, and without questions: an unknown host is an error.
const SSH: &str = "ssh -F /dev/null -o BatchMode=yes";

/// How ssh is called, and the agent it asks.
pub(super) fn ssh(access: &GitAccess) -> (String, Option<PathBuf>) {
    let mut ssh = SSH.to_owned();
    let mut agent = None;
    let paths = access.ssh.iter().filter(|one| one.id == "default").flat_map(|one| &one.paths);
    for path in paths {
        if agent::is_agent(path) {
            agent = Some(path.clone());
        } else {
            let quoted = path.display().to_string().replace('\'', r"'\''");
            ssh = format!("{ssh} -i '{quoted}'");
        }
    }
    (ssh, agent)
}

/// The header that says who asks, where the address or a secret of the build tells.
///
/// Source: BuildKit, `source/git/source.go` (`authSecretNames`, `getAuthToken`).
pub(super) fn authorization(
    access: &GitAccess,
    host: &str,
    credentials: Option<(String, String)>,
) -> Result<Option<String>, FetchError> {
    let basic = |user: &str, password: &str| {
        format!("Authorization: basic {}", STANDARD.encode(format!("{user}:{password}")))
    };
    if let Some((user, password)) = credentials {
        return Ok(Some(basic(&user, &password)));
    }
    let of_host = [format!("GIT_AUTH_HEADER.{host}"), format!("GIT_AUTH_TOKEN.{host}")];
    let names = of_host.into_iter().chain(["GIT_AUTH_HEADER".to_owned(), "GIT_AUTH_TOKEN".to_owned()]);
    for name in names {
        let Some(found) = access.secrets.iter().find(|one| one.id == name) else { continue };
        let value = secret::value(found)?;
        let is_token = name.starts_with("GIT_AUTH_TOKEN");
        let header =
            if is_token { basic("x-access-token", &value) } else { format!("Authorization: {value}") };
        return Ok(Some(header));
    }
    Ok(None)
}

/// Which addresses get the header: the repository's own, and everything of GitHub, whose submodules are often
/// private too.
pub(super) fn scope(remote: &str) -> &str {
    let github = ["https://github.com/", "https://www.github.com/"];
    github.into_iter().find(|prefix| remote.starts_with(prefix)).unwrap_or(remote)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use polyarch_actors::{SecretRef, SecretSource};

    use super::*;

    #[test]
    fn a_secret_of_the_host_comes_before_one_for_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let secret = |id: &str, text: &str| {
            let path = folder.path().join(id);
            fs::write(&path, text).expect("written");
            SecretRef { id: id.into(), source: SecretSource::File(path) }
        };
        let secrets = vec![secret("GIT_AUTH_TOKEN", "all\n"), secret("GIT_AUTH_TOKEN.h", "one\n")];
        let access = GitAccess { secrets, ..GitAccess::default() };
        let header = |host, given| authorization(&access, host, given).expect("readable").expect("a header");
        let of = |text: &str| format!("Authorization: basic {}", STANDARD.encode(text));
        assert_eq!(header("h", None), of("x-access-token:one"));
        assert_eq!(header("other", None), of("x-access-token:all"));
        assert_eq!(header("h", Some(("me".into(), "x".into()))), of("me:x"));
        assert_eq!(scope("https://github.com/a/b.git"), "https://github.com/");
        assert_eq!(scope("https://h/a.git"), "https://h/a.git");
    }
}
