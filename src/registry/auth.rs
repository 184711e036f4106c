//! Credentials: where they are looked for, in which order.
//!
//! The order is that of skopeo and buildah, which includes Docker's own file. A file that the user names, by
//! option or by `REGISTRY_AUTH_FILE`, is the only one that is read.
//!
//! Source: containers-auth.json(5); <https://docs.docker.com/reference/cli/docker/login/#credential-stores>.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{
    auth_file::{AuthFile, Entry},
    error::AuthError,
    helper,
};

/// Who somebody is to a registry. Its `Debug` form shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The file or helper they are from, for messages.
    pub origin: String,
    pub(super) secret: Secret,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Secret {
    Password { user: String, password: String },
    IdentityToken(String),
}

impl Credentials {
    /// A user name and a password. `origin` says in messages where they are from.
    pub fn password(user: &str, password: &str, origin: &str) -> Self {
        let (user, password) = (user.to_owned(), password.to_owned());
        Self { origin: origin.to_owned(), secret: Secret::Password { user, password } }
    }

    /// A token that stands for a login and is exchanged for access tokens.
    pub fn identity_token(token: &str, origin: &str) -> Self {
        Self { origin: origin.to_owned(), secret: Secret::IdentityToken(token.to_owned()) }
    }

    /// The user name, which an identity token has not.
    pub fn user(&self) -> Option<&str> {
        match &self.secret {
            Secret::Password { user, .. } => Some(user),
            Secret::IdentityToken(_) => None,
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Where credentials are looked for.
#[derive(Clone, Debug, Default)]
pub struct CredentialSources {
    /// The only file to read, which must be there.
    named: Option<PathBuf>,
    /// The files to read in turn, if they are there.
    usual: Vec<PathBuf>,
    /// The folders in which credential helpers are looked for.
    folders: Vec<PathBuf>,
    /// Credentials that were handed over, by registry; they come before any file.
    given: BTreeMap<String, Credentials>,
}

impl CredentialSources {
    /// The sources that this process's environment names, or only `authfile` if there is one.
    pub fn of_process(authfile: Option<PathBuf>) -> Self {
        Self::new(authfile, std::env::home_dir().as_deref(), |name| std::env::var_os(name))
    }

    /// The sources that an environment names, or only `authfile` if there is one.
    pub fn new(
        authfile: Option<PathBuf>,
        home: Option<&Path>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let folder = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let runtime =
            folder("XDG_RUNTIME_DIR").map(|folder| folder.join("containers")).or_else(run_containers);
        let config = folder("XDG_CONFIG_HOME").or_else(|| Some(home?.join(".config")));
        let docker = folder("DOCKER_CONFIG").or_else(|| Some(home?.join(".docker")));
        let usual = [
            runtime.map(|folder| folder.join("auth.json")),
            config.map(|folder| folder.join("containers/auth.json")),
            docker.map(|folder| folder.join("config.json")),
        ];
        Self {
            named: authfile.or_else(|| folder("REGISTRY_AUTH_FILE")),
            usual: usual.into_iter().flatten().collect(),
            folders: variable("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
            given: BTreeMap::new(),
        }
    }

    /// The same sources, with these credentials for one registry before any file.
    #[must_use]
    pub fn with(mut self, registry: &str, credentials: Credentials) -> Self {
        self.given.insert(registry.to_owned(), credentials);
        self
    }

    /// The credentials for a repository of a registry, if there are any.
    ///
    /// # Errors
    /// [`AuthError`] when a file is malformed or a helper fails, before something was found.
    pub async fn find(&self, registry: &str, repository: &str) -> Result<Option<Credentials>, AuthError> {
        if let Some(credentials) = self.given.get(registry) {
            return Ok(Some(credentials.clone()));
        }
        if let Some(path) = &self.named {
            let file = read(path)?.ok_or_else(|| AuthError::Unreadable {
                path: path.clone(),
                source: io::Error::from(io::ErrorKind::NotFound),
            })?;
            return self.find_in(path, &file, registry, repository).await;
        }
        for path in &self.usual {
            if let Some(file) = read(path)?
                && let Some(found) = self.find_in(path, &file, registry, repository).await?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn find_in(
        &self,
        path: &Path,
        file: &AuthFile,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Credentials>, AuthError> {
        // A store that is not installed matters only if nothing else in the file has the answer.
        let mut missing = None;
        for entry in file.entries(registry, repository) {
            let found = match entry {
                Entry::Secret(secret) => {
                    Ok(Some(Credentials { origin: path.display().to_string(), secret: secret.clone() }))
                }
                Entry::Helper { name, server } => {
                    helper::get(&self.folders, name, server, registry, path).await
                }
                Entry::Malformed(reason) => {
                    Err(AuthError::Malformed { path: path.to_owned(), reason: reason.to_owned() })
                }
            };
            match found {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error @ AuthError::NoHelper { .. }) => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        missing.map_or(Ok(None), Err)
    }
}

/// Reads a file if it is there.
fn read(path: &Path) -> Result<Option<AuthFile>, AuthError> {
    match fs::read(path) {
        Ok(bytes) => AuthFile::parse(&bytes)
            .map(Some)
            .map_err(|reason| AuthError::Malformed { path: path.to_owned(), reason }),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(AuthError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Where podman keeps credentials on Linux when no `XDG_RUNTIME_DIR` is set.
fn run_containers() -> Option<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        let user = fs::metadata("/proc/self").ok()?.uid();
        Some(PathBuf::from(format!("/run/containers/{user}")))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A home directory with some files of credentials for `ghcr.io`, each with its own user.
    fn home(files: &[&str]) -> tempfile::TempDir {
        let home = tempfile::tempdir().expect("a folder");
        for (user, file) in files.iter().enumerate() {
            let path = home.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            let text =
                format!(r#"{{"auths":{{"ghcr.io":{{"username":"user{user}","password":"hunter2"}}}}}}"#);
            fs::write(path, text).expect("written");
        }
        home
    }

    fn sources(home: &Path, authfile: Option<&str>, variables: &[(&str, &str)]) -> CredentialSources {
        CredentialSources::new(authfile.map(|file| home.join(file)), Some(home), |name| {
            // The runtime folder is always set: the machine that runs the test may have credentials of its own.
            let value = variables.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            let value = value.or((name == "XDG_RUNTIME_DIR").then_some("nowhere"))?;
            Some(home.join(value).into_os_string())
        })
    }

    async fn user(sources: CredentialSources) -> Option<String> {
        sources.find("ghcr.io", "team/app").await.expect("found").and_then(|it| Some(it.user()?.to_owned()))
    }

    #[tokio::test]
    async fn files_are_searched_in_the_order_of_skopeo_and_docker() {
        let files = [
            "named.json",
            "variable.json",
            "run/containers/auth.json",
            "xdg/containers/auth.json",
            ".config/containers/auth.json",
            "docker/config.json",
            ".docker/config.json",
        ];
        let home = home(&files);
        let variables = [
            ("REGISTRY_AUTH_FILE", "variable.json"),
            ("XDG_RUNTIME_DIR", "run"),
            ("XDG_CONFIG_HOME", "xdg"),
            ("DOCKER_CONFIG", "docker"),
        ];
        let find = async |authfile, variables: &[(&str, &str)]| {
            user(sources(home.path(), authfile, variables)).await.expect("credentials")
        };
        assert_eq!(find(Some("named.json"), &variables).await, "user0");
        assert_eq!(find(None, &variables).await, "user1");
        assert_eq!(find(None, &variables[1..]).await, "user2");
        assert_eq!(find(None, &variables[2..]).await, "user3");
        assert_eq!(find(None, &variables[3..]).await, "user4");
        fs::remove_file(home.path().join(files[4])).expect("removed");
        assert_eq!(find(None, &variables[3..]).await, "user5");
        assert_eq!(find(None, &[]).await, "user6");
    }

    #[tokio::test]
    async fn a_named_file_must_be_there_and_is_the_only_one() {
        let home = home(&[".docker/config.json"]);
        let missing = sources(home.path(), Some("missing.json"), &[]);
        let error = missing.find("ghcr.io", "a").await.expect_err("missing").to_string();
        let expected = format!("cannot read the credentials in {}", home.path().display());
        assert!(error.starts_with(&expected), "{error}");
        fs::write(home.path().join("empty.json"), "").expect("written");
        assert_eq!(user(sources(home.path(), Some("empty.json"), &[])).await, None);
    }

    #[tokio::test]
    async fn given_credentials_come_first() {
        let home = home(&[".docker/config.json"]);
        let given = Credentials::password("ci", "hunter2", "the service's settings");
        let sources = sources(home.path(), None, &[]).with("ghcr.io", given.clone());
        assert_eq!(sources.find("ghcr.io", "a").await.expect("found"), Some(given));
        assert_eq!(sources.find("quay.io", "a").await.expect("found"), None);
    }

    #[tokio::test]
    async fn no_secret_is_in_any_debug_form_or_error() {
        let home = home(&["a.json"]);
        let sources = sources(home.path(), Some("a.json"), &[])
            .with("quay.io", Credentials::identity_token("hunter2", "test"));
        let found = sources.find("ghcr.io", "a").await.expect("found").expect("some");
        let shown = format!("{sources:?} {found:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        for text in
            [r#"{"auths":"hunter2"}"#, r#"{"auths":{"ghcr.io":{"auth":"hunter2"}}}"#, r#"{"auths":{hunter2"#]
        {
            fs::write(home.path().join("a.json"), text).expect("written");
            let error = sources.find("ghcr.io", "a").await.expect_err(text);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[cfg(unix)]
    mod with_helpers {
        use super::*;
        use std::os::unix::fs::PermissionsExt;

        /// A configuration and a folder with the helper `docker-credential-test`.
        fn helper(config: &str, script: &str) -> (tempfile::TempDir, CredentialSources) {
            let home = tempfile::tempdir().expect("a folder");
            fs::write(home.path().join("config.json"), config).expect("written");
            let path = home.path().join("docker-credential-test");
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
            let sources = sources(home.path(), Some("config.json"), &[("PATH", "")]);
            (home, sources)
        }

        #[tokio::test]
        async fn a_helper_is_asked_for_the_host() {
            let (_home, sources) = helper(
                r#"{"credHelpers":{"ghcr.io":"test"}}"#,
                r#"[ "$1" = get ] && printf '{"ServerURL":"x","Username":"%s","Secret":"s"}' "$(cat)""#,
            );
            let found = sources.find("ghcr.io", "a").await.expect("found").expect("some");
            assert_eq!(found.user(), Some("ghcr.io"));
            assert_eq!(found.origin, "docker-credential-test");
        }

        #[tokio::test]
        async fn a_store_knows_docker_hub_by_its_old_address_and_may_hold_a_token() {
            let (_home, sources) = helper(
                r#"{"auths":{"https://index.docker.io/v1/":{}},"credsStore":"test"}"#,
                r#"[ "$(cat)" = https://index.docker.io/v1/ ] && echo '{"Username":"<token>","Secret":"t"}'"#,
            );
            let found = sources.find("docker.io", "a/b").await.expect("found").expect("some");
            assert!(found.secret == Secret::IdentityToken("t".into()));
        }

        #[tokio::test]
        async fn a_helper_without_credentials_is_no_error_and_a_broken_one_is() {
            let config = r#"{"credsStore":"test"}"#;
            let (_home, sources) = helper(config, "echo 'credentials not found in native keychain'; exit 1");
            assert_eq!(sources.find("ghcr.io", "a").await.expect("none"), None);
            let (_home, sources) = helper(config, "echo 'the keychain is locked'; exit 1");
            let error = sources.find("ghcr.io", "a").await.expect_err("broken").to_string();
            assert_eq!(error, "docker-credential-test has no credentials of ghcr.io: the keychain is locked");
            let (_home, sources) = helper(config, "echo '{\"Username\":7,\"Secret\":\"hunter2\"}'");
            let error = sources.find("ghcr.io", "a").await.expect_err("broken").to_string();
            assert!(error.ends_with("its answer is malformed"), "{error}");
        }

        #[tokio::test]
        async fn a_missing_helper_is_named_unless_the_file_has_the_answer() {
            let (home, sources) = helper(r#"{"credsStore":"desktop.exe"}"#, "");
            let error = sources.find("ghcr.io", "a").await.expect_err("missing").to_string();
            let path = home.path().join("config.json");
            assert_eq!(
                error,
                format!(
                    "{} asks docker-credential-desktop.exe for the credentials of ghcr.io, and there is no such \
                     program on the PATH",
                    path.display()
                )
            );
            let both = r#"{"credsStore":"gone","auths":{"ghcr.io":{"auth":"dTpw"}}}"#;
            fs::write(path, both).expect("written");
            assert_eq!(user(sources).await.as_deref(), Some("u"));
        }
    }
}
