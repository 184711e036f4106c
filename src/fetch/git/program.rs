//! Runs `git`, with nothing but what it is told here.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use polyarch_actors::{Fetching, SecretRef, SshRef};
use tokio::sync::Mutex;

use super::{
    credentials::{authorization, scope, ssh},
    fault::{self, Refusal},
    tally::Excess,
    url::{GitSource, without_credentials},
};
use crate::{
    fence::Fence,
    fetch::error::FetchError,
    guard::{Command, Exit, Programs},
    helper,
    sources::is_http,
};

/// The most that is read of what git prints.
const MOST: usize = 1 << 20;
/// What git and the programs it runs may speak, to submodules too.
const PROTOCOLS: &str = "https:http:ssh:git";
/// The same for somebody else, who may not be taken for the user of this machine.
const PROTOCOLS_FOR_OTHERS: &str = "https:http";
/// The most memory that git takes at once for somebody else. It takes files in pieces that are larger than half of that,
/// unless an attribute has it change them.
const LARGEST_PIECE: &str = "1g";
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

/// One run of git.
#[derive(Clone, Copy)]
pub(super) struct Call<'c> {
    /// Where.
    pub(super) folder: &'c Path,
    /// Configuration that counts for it alone.
    pub(super) settings: &'c [(String, String)],
    /// What it is to do.
    pub(super) arguments: &'c [&'c str],
}

/// git for one repository, under a guard.
pub(super) struct Git {
    programs: Mutex<Programs>,
    fence: Option<Fence>,
    template: Command,
    /// How many settings the template has.
    settings: usize,
    /// The folder that the repository is checked out in.
    pub(super) tree: PathBuf,
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
        let fence = Fence::of(access.fetching).map_err(|error| FetchError::fence(&error))?;
        let host = source.host().to_owned();
        let mut template = Command::new(program);
        template.cwd = Some(tree.to_owned());
        // Whatever this process was told about some repository is not about this one.
        let told = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        template.env_remove = told.filter(|name| name.starts_with("GIT_")).collect();
        template.env_remove.extend(["SSH_ASKPASS".to_owned(), "XDG_CONFIG_HOME".to_owned()]);
        if !own {
            template.env_remove.push("SSH_AUTH_SOCK".to_owned());
            // A few bytes that say how to make an object from another one can make one of any size.
            template.env.insert("GIT_ALLOC_LIMIT".to_owned(), LARGEST_PIECE.into());
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
        let settings = SETTINGS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let header = authorization(access, &host, credentials)?;
        let header = header.map(|header| (format!("http.{}.extraHeader", scope(&remote)), header));
        let proxy = fence.as_ref().map(|fence| ("http.proxy".to_owned(), fence.proxy()));
        let settings: Vec<(String, String)> = settings.chain(header).chain(proxy).collect();
        configure(&mut template, 0, &settings);

        let programs = Mutex::new(Programs::start(helper, tree).await?);
        let (settings, tree) = (settings.len(), tree.to_owned());
        Ok(Self { programs, fence, template, settings, tree, remote, host })
    }

    /// Runs git in the tree to its end and returns what it printed.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<String, Refusal> {
        self.call(&Call { folder: &self.tree, settings: &[], arguments }).await
    }

    /// Runs git to its end and returns what it printed.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<String, Refusal> {
        let command = self.command(call);
        let (exit, stdout, stderr) = self.programs.lock().await.output(&command, MOST).await?;
        self.judged(exit, &stderr)?;
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    }

    /// Runs git and gives `take` what it prints. Once that has failed, git only waits to be ended.
    pub(super) async fn read(
        &self,
        call: &Call<'_>,
        mut take: impl FnMut(&[u8]) -> Result<(), Excess> + Send,
    ) -> Result<(), Refusal> {
        let command = self.command(call);
        let mut failed = None;
        let mut each = |bytes: &[u8]| {
            failed = take(bytes).err();
            failed.is_none()
        };
        let ended = self.programs.lock().await.read(&command, MOST, &mut each).await?;
        match (ended, failed) {
            (Some((exit, stderr)), None) => self.judged(exit, &stderr),
            (_, Some(excess)) => Err(Refusal::Excess(excess)),
            (None, None) => Ok(()),
        }
    }

    fn command(&self, call: &Call<'_>) -> Command {
        let mut command = self.template.clone();
        command.args(call.arguments.iter().copied());
        command.cwd = Some(call.folder.to_owned());
        configure(&mut command, self.settings, call.settings);
        command
    }

    /// What the end of git means.
    fn judged(&self, exit: Exit, stderr: &[u8]) -> Result<(), Refusal> {
        if exit.code == Some(0) {
            return Ok(());
        }
        match FetchError::refused(self.fence.as_ref(), &self.remote) {
            Some(refused) => Err(Refusal::Fenced(refused)),
            None => Err(fault::refusal(&String::from_utf8_lossy(stderr))),
        }
    }

    /// Ends git and the guard. Nothing runs any more when this returns.
    pub(super) async fn end(self) {
        self.programs.into_inner().end().await;
    }
}

/// Adds settings to those that git is given, of which there are `known`. In the environment, as arguments can be seen by
/// everybody; those of submodules get them too.
fn configure(command: &mut Command, known: usize, settings: &[(String, String)]) {
    let mut set = |name: String, value: OsString| _ = command.env.insert(name, value);
    for (number, (key, value)) in settings.iter().enumerate() {
        set(format!("GIT_CONFIG_KEY_{}", known + number), key.into());
        set(format!("GIT_CONFIG_VALUE_{}", known + number), value.into());
    }
    set("GIT_CONFIG_COUNT".to_owned(), (known + settings.len()).to_string().into());
}

/// Where git is.
fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(format!("git{}", env::consts::EXE_SUFFIX)))
        .find(|path| path.is_file())
}
