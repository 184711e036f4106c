//! What git's complaints mean.

use super::tally::Excess;
use crate::{
    fetch::error::{FetchError, GitFault},
    guard::GuardError,
};

/// Why git did not do what it was told.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It said why.
    Said {
        /// Who can do something about it.
        fault: GitFault,
        /// Its words, one line.
        reason: String,
        /// Whether the same may work without asking for a part of the history.
        whole_may_work: bool,
        /// Whether the same may work in a moment.
        passing: bool,
    },
    /// It was not let out.
    Fenced(FetchError),
    /// There is too much, and git was not let go on.
    Excess(Excess),
    /// The guard failed.
    Guard(GuardError),
}

impl From<GuardError> for Refusal {
    fn from(error: GuardError) -> Self {
        Self::Guard(error)
    }
}

/// Reads what git wrote to its standard error.
pub(super) fn refusal(stderr: &str) -> Refusal {
    let has = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
    let fault = if has(&["No space left on device"]) {
        GitFault::NoSpace
    } else if has(&["Host key verification failed"]) {
        GitFault::UnknownHost
    } else if has(&[
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "Permission denied (",
        "The requested URL returned error: 401",
        "The requested URL returned error: 403",
    ]) {
        GitFault::Denied
    } else if has(&[
        "Could not resolve host",
        "Could not resolve hostname",
        "unable to look up",
        "Failed to connect",
        "Connection refused",
        "Connection timed out",
        "Connection reset",
        "Operation timed out",
        "Operation too slow",
        "unable to connect",
        "early EOF",
        "unexpected disconnect",
        "The requested URL returned error: 5",
        "The requested URL returned error: 429",
        "SSL certificate problem",
        "server certificate verification failed",
    ]) {
        GitFault::Unreachable
    } else {
        GitFault::Refused
    };
    let passing = has(&[
        "Connection reset",
        "Connection timed out",
        "Operation timed out",
        "Operation too slow",
        "early EOF",
        "unexpected disconnect",
        "The requested URL returned error: 5",
        "The requested URL returned error: 429",
    ]);
    let whole_may_work = has(&["--depth", "shallow", "not our ref", "unadvertised object"]);
    Refusal::Said { fault, reason: reason(stderr), whole_may_work, passing }
}

/// The line that says most: the first that begins with `fatal:` or `remote:`, else the last.
fn reason(stderr: &str) -> String {
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let marked = |mark| lines().find_map(move |line| line.strip_prefix(mark));
    let said = marked("fatal: ").or_else(|| marked("error: ")).or_else(|| lines().next_back());
    let said = said.unwrap_or("it said nothing");
    said.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stderr: &str) -> (GitFault, String, bool, bool) {
        match refusal(stderr) {
            Refusal::Said { fault, reason, whole_may_work, passing } => {
                (fault, reason, whole_may_work, passing)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn complaints_of_real_servers_are_told_apart() {
        for (stderr, fault, word, whole, passing) in [
            (
                "fatal: unable to access 'https://h/a.git/': Could not resolve host: h\n",
                GitFault::Unreachable,
                "Could not resolve host",
                false,
                false,
            ),
            (
                "fatal: could not read Username for 'https://h': terminal prompts disabled\n",
                GitFault::Denied,
                "could not read Username",
                false,
                false,
            ),
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\nPlease\n",
                GitFault::Denied,
                "Could not read from remote",
                false,
                false,
            ),
            (
                "error: RPC failed; HTTP 500\nfatal: the requested URL: The requested URL returned error: 500\n",
                GitFault::Unreachable,
                "500",
                false,
                true,
            ),
            (
                "fatal: dumb http transport does not support shallow capabilities\n",
                GitFault::Refused,
                "dumb http",
                true,
                false,
            ),
            (
                "error: Server does not allow request for unadvertised object 12\n",
                GitFault::Refused,
                "Server",
                true,
                false,
            ),
            ("", GitFault::Refused, "nothing", false, false),
        ] {
            let (got, reason, whole_may_work, passes) = read(stderr);
            assert_eq!((got, whole_may_work, passes), (fault, whole, passing), "{stderr}");
            assert!(reason.contains(word), "{reason}");
        }
    }
}
