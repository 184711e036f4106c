//! The names of signals.
//!
//! Source: `signal(7)`; moby, `github.com/moby/sys/signal` (`ParseSignal`).

/// Linux's signals without `SIG`, but for the real-time ones.
const NAMES: [&str; 38] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX", "UNUSED", "EMT",
];
/// The number of real-time signals after the first.
const REAL_TIME: u32 = 30;

/// Whether a word is a signal: `15`, `TERM`, `sigterm`, `RTMIN+3`.
pub(super) fn is_known(word: &str) -> bool {
    if let Ok(number) = word.parse::<i64>() {
        return number != 0;
    }
    let upper = word.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = name.strip_prefix("RTMIN+").or_else(|| name.strip_prefix("RTMAX-"));
    match offset {
        Some(offset) => offset.parse::<u32>().is_ok_and(|offset| (1..REAL_TIME).contains(&offset)),
        None => NAMES.contains(&name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_numbers_and_names() {
        for word in ["15", "TERM", "SIGTERM", "sigint", "SIGRTMIN+3", "RTMAX-1"] {
            assert!(is_known(word), "{word}");
        }
        for word in ["", "0", "NOPE", "SIG", "SIGRTMIN+99", "SIGTERM "] {
            assert!(!is_known(word), "{word}");
        }
    }
}
