//! Stands in for `wsl.exe` under Wine, for tests.
//!
//! `ci/wine` installs it where Windows has its own. Without anything in the environment it is that of a Windows on which
//! WSL is not installed. With `POLYARCH_WSL_STAND_IN`, a script of this machine's shell by its path in Linux, it runs
//! the script with its own arguments, passes the standard streams on, and ends with its exit code. As with the real
//! one, what runs in Linux goes on when this process is killed, and sees that its input ends.
//!
//! Wine starts programs of Linux, but cannot give them pipes of Windows. So what is started connects to this process,
//! once for each stream and once for the exit code.

#[cfg(windows)]
mod forward;
mod refusal;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(windows)]
    if let Some(script) = std::env::var_os("POLYARCH_WSL_STAND_IN") {
        return forward::forward(&script).unwrap_or_else(|error| refusal::refuse(&error.to_string()));
    }
    refusal::refuse(
        "The Windows Subsystem for Linux is not installed. You can install by running 'wsl.exe --install'.",
    )
}
