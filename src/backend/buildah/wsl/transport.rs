//! Ways into a Linux.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use tokio::process::Command;

/// The way to run programs as root in some Linux, with their standard streams at hand.
///
/// No argument has a character in it that a command line of Windows could read in two ways: scripts come over the
/// standard input.
pub trait LinuxTransport: fmt::Debug + Send + Sync {
    /// A command that runs `arguments` in `/`. Of a distribution's name the transport says what it means.
    fn command(&self, distribution: Option<&str>, arguments: &[&str]) -> Command;

    /// The home of root there, in which builds have their folders.
    fn home(&self) -> String;

    /// A command that lists the distributions, one a line; absent where there is but one Linux.
    fn list(&self) -> Option<Command>;
}

/// The Linux that this process runs on.
#[derive(Clone, Debug)]
pub struct LocalTransport {
    home: String,
}

impl LocalTransport {
    /// This Linux; builds have their folders below `home`, which is absolute.
    pub fn new(home: impl Into<String>) -> Self {
        Self { home: home.into() }
    }
}

impl LinuxTransport for LocalTransport {
    fn command(&self, _: Option<&str>, arguments: &[&str]) -> Command {
        let (program, arguments) = arguments.split_first().unwrap_or((&"true", &[]));
        let mut command = Command::new(program);
        // What a distribution of WSL has is not what this process has either.
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        command.args(arguments).current_dir("/").env_clear().env("PATH", path);
        alone(&mut command);
        command
    }

    fn home(&self) -> String {
        self.home.clone()
    }

    fn list(&self) -> Option<Command> {
        None
    }
}

/// A distribution of WSL.
#[derive(Clone, Debug)]
pub struct WslTransport {
    program: PathBuf,
}

impl WslTransport {
    /// Distributions that the program `program` knows: `wsl.exe`, from where Windows keeps it.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// The `wsl.exe` of this Windows. One in `PATH` or in the working directory is nobody's to run.
    pub fn of_windows(system_root: Option<OsString>) -> Self {
        let root = system_root.map_or_else(|| Path::new(r"C:\Windows").to_owned(), PathBuf::from);
        Self::new(root.join("System32").join("wsl.exe"))
    }

    fn program(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Of the environment only what is named in WSLENV would be passed on.
        command.env("WSLENV", "").env("WSL_UTF8", "1");
        alone(&mut command);
        command
    }
}

impl LinuxTransport for WslTransport {
    fn command(&self, distribution: Option<&str>, arguments: &[&str]) -> Command {
        let mut command = self.program();
        command.args(distribution.iter().flat_map(|name| ["-d", name]));
        command.args(["-u", "root", "--cd", "/", "--exec"]).args(arguments);
        command
    }

    fn home(&self) -> String {
        "/root".to_owned()
    }

    fn list(&self) -> Option<Command> {
        let mut command = self.program();
        command.args(["--list", "--quiet"]);
        Some(command)
    }
}

/// The keys that end a program in a terminal are for this process: it ends what it has started.
fn alone(command: &mut Command) {
    #[cfg(unix)]
    command.process_group(0);
    #[cfg(windows)]
    {
        /// The process has no window and no console of ours.
        ///
        /// Source: Windows, "Process Creation Flags".
        const CREATE_NO_WINDOW: u32 = 0x0800_0000;
        command.creation_flags(CREATE_NO_WINDOW);
    }
    command.kill_on_drop(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<String> {
        let command = command.as_std();
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_distribution_is_entered_as_root_without_a_shell() {
        let wsl = WslTransport::new("wsl.exe");
        let command = wsl.command(Some("My Linux"), &["sh", "-c", "true"]);
        let expected = ["wsl.exe", "-d", "My Linux", "-u", "root", "--cd", "/", "--exec", "sh", "-c", "true"];
        assert_eq!(words(&command), expected);
        let shared: Vec<_> = command.as_std().get_envs().map(|(name, _)| name.to_os_string()).collect();
        assert_eq!(shared, ["WSLENV", "WSL_UTF8"]);
        assert_eq!(words(&wsl.list().expect("a list")), ["wsl.exe", "--list", "--quiet"]);
    }

    #[test]
    fn this_machine_gets_nothing_of_the_environment() {
        let command = LocalTransport::new("/root").command(Some("any"), &["sh", "-c", "true"]);
        assert_eq!(words(&command), ["sh", "-c", "true"]);
        let names: Vec<_> = command.as_std().get_envs().map(|(name, _)| name.to_os_string()).collect();
        assert_eq!(names, ["PATH"]);
    }
}
