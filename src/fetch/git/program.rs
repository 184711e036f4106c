//! Runs `git`, with nothing but what it is told here.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use polyarch_actors::{Fetching, SecretRef, SshRef};
use tokio::sync::Mutex;

use super::{
    fault::{self, Refusal},
    url::{GitSource, without_credentials},
};
use crate::{
    agent,
    fetch::{
        error::FetchError,
        fence::{Fence, fence},
        secret,
    },
    guard::{Command, Programs},
    helper,
    sources::is_http,
};

/// The most that is read of what git prints.
const MOST: usize = 1 << 20;
/// What git and the programs it runs may speak, to submodules too.
const PROTOCOLS: &str = "https:http:ssh:git";
/// The same for somebody else, who may not be taken for the user of this machine.
const PROTOCOLS_FOR_OTHERS: &str = "https:http";
/// ssh without the user's configuration, and without questions: an unknown host is an error.
const SSH: &str = "ssh -F /dev/null -o BatchMode=yes";

/// Configuration that counts for every command, submodules included.
const SETTINGS: [(&str, &str); 13] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.symlinks", "true"),
    ("core.autocrlf", "false"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("init.defaultBranch", "master"),
    ("advice.detachedHead", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    // A server that sends nothing for a minute has hung.
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    ("protocol.ext.allow", "never"),
];

/// Variables that name proxies, and hosts that are reached without one.
const PROXIES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// With what repositories are reached.
#[derive(Clone, Debug, Default)]
pub struct GitAccess {
    /// The program that guards git; this one if it has called [`init`](crate::init).
    pub helper: Option<PathBuf>,
    /// Secrets of the build. Those named `GIT_AUTH_TOKEN` and `GIT_AUTH_HEADER`, with `.HOST` behind them for one
    /// host alone, are for repositories reached by HTTP, as with `docker build`.
    pub secrets: Vec<SecretRef>,
    /// The SSH agents and keys of the build; that named `default` counts.
    pub ssh: Vec<SshRef>,
    /// On whose behalf they are reached. For others there is no ssh.
    pub fetching: Fetching,
}

/// git for one repository, under a guard.
pub(super) struct Git {
    programs: Mutex<Programs>,
    fence: Option<Fence>,
    template: Command,
    /// The repository's address, without credentials.
    pub(super) remote: String,
    /// The repository's host.
    pub(super) host: String,
}

impl Git {
    /// Starts a guard for git in `tree`, an empty folder. `home` is another one, for what git keeps beside.
    pub(super) async fn start(
        source: &GitSource,
        access: &GitAccess,
        tree: &Path,
        home: &Path,
    ) -> Result<Self, FetchError> {
        let program = program().ok_or(FetchError::NoGit)?;
        let helper = access.helper.clone().or_else(helper::program).ok_or(FetchError::NoHelper)?;
        let own = access.fetching.is_own();
        let (remote, credentials) = without_credentials(&source.remote);
        if !own && !is_http(&remote) {
            return Err(FetchError::NotHttp { repository: source.to_string() });
        }
        let fence = fence(access.fetching).await?;
        let host = source.host().to_owned();
        let mut template = Command::new(program);
        template.cwd = Some(tree.to_owned());
        // Whatever this process was told about some repository is not about this one.
        let told = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        template.env_remove = told.filter(|name| name.starts_with("GIT_")).collect();
        template.env_remove.extend(["SSH_ASKPASS".to_owned(), "XDG_CONFIG_HOME".to_owned()]);
        if !own {
            template.env_remove.push("SSH_AUTH_SOCK".to_owned());
        }
        if fence.is_some() {
            // A proxy of this machine would reach what this machine does, and a host without one would be reached past the fence.
            template.env_remove.extend(PROXIES.map(str::to_owned));
        }
        let mut set = |name: &str, value: OsString| _ = template.env.insert(name.to_owned(), value);
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ALLOW_PROTOCOL", if own { PROTOCOLS } else { PROTOCOLS_FOR_OTHERS }),
            ("LC_ALL", "C"),
        ] {
            set(name, value.into());
        }
        set("HOME", home.as_os_str().to_owned());
        let (ssh, agent) = ssh(access);
        set("GIT_SSH_COMMAND", ssh.into());
        if let Some(agent) = agent {
            set("SSH_AUTH_SOCK", agent.into());
        }
        // In the environment, as arguments can be seen by everybody.
        let settings = SETTINGS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let header = authorization(access, &host, credentials)?;
        let header = header.map(|header| (format!("http.{}.extraHeader", scope(&remote)), header));
        let proxy = fence.as_ref().map(|fence| ("http.proxy".to_owned(), fence.proxy()));
        let mut count = 0_usize;
        for (key, value) in settings.chain(header).chain(proxy) {
            set(&format!("GIT_CONFIG_KEY_{count}"), key.into());
            set(&format!("GIT_CONFIG_VALUE_{count}"), value.into());
            count += 1;
        }
        set("GIT_CONFIG_COUNT", count.to_string().into());

        let programs = Mutex::new(Programs::start(helper, tree).await?);
        Ok(Self { programs, fence, template, remote, host })
    }

    /// Runs git to its end and returns what it printed.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<String, Refusal> {
        let mut command = self.template.clone();
        command.args(arguments.iter().copied());
        let (exit, stdout, stderr) = self.programs.lock().await.output(&command, MOST).await?;
        if exit.code == Some(0) {
            return Ok(String::from_utf8_lossy(&stdout).into_owned());
        }
        match self.fence.as_ref().and_then(|fence| fence.refusal(&self.remote)) {
            Some(refused) => Err(Refusal::Fenced(refused)),
            None => Err(fault::refusal(&String::from_utf8_lossy(&stderr))),
        }
    }

    /// Ends git and the guard. Nothing runs any more when this returns.
    pub(super) async fn end(self) {
        self.programs.into_inner().end().await;
    }
}

/// Where git is.
fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(format!("git{}", env::consts::EXE_SUFFIX)))
        .find(|path| path.is_file())
}

/// How ssh is called, and the agent it asks.
fn ssh(access: &GitAccess) -> (String, Option<PathBuf>) {
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
fn authorization(
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
fn scope(remote: &str) -> &str {
    let github = ["https://github.com/", "https://www.github.com/"];
    github.into_iter().find(|prefix| remote.starts_with(prefix)).unwrap_or(remote)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use polyarch_actors::SecretSource;

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
