//! Failures that a test has asked for.

use std::{fs, path::Path, process, thread, time::Duration};

use crate::failure::{Failure, Outcome};

/// What a test wants to happen to a call.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    dies_after: bool,
}

/// What shall happen to the call of this number. One that is to fail fails here.
pub(crate) fn of_call(root: &Path, name: &str, number: u64) -> Outcome<Fault> {
    let text = fs::read_to_string(root.join("fail").join(name)).unwrap_or_default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let which = words.next().unwrap_or_default();
        if which != "*" && which.parse() != Ok(number) {
            continue;
        }
        let mut word = words.next().unwrap_or_default();
        match word {
            "die" => process::abort(),
            "die-after" => return Ok(Fault { dies_after: true }),
            "held" => {
                hold(root, name)?;
                return Ok(Fault::default());
            }
            _ => {}
        }
        let at_once = word == "at-once";
        if at_once {
            word = words.next().unwrap_or_default();
        }
        let Ok(code) = u32::from_str_radix(word.trim_start_matches("0x"), 16) else {
            return Err(Failure::at_once(0x8000_FFFF, format!("nobody understands the fault `{line}`")));
        };
        let message = words.collect::<Vec<_>>().join(" ");
        return Err(Failure { code, message, at_once });
    }
    Ok(Fault::default())
}

/// Waits until the test has seen that the call has come this far.
fn hold(root: &Path, name: &str) -> Outcome<()> {
    fs::create_dir_all(root.join("held"))?;
    let held = root.join("held").join(name);
    fs::write(&held, "")?;
    while held.exists() {
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

impl Fault {
    /// What shall happen after the call has done its work.
    pub(crate) fn after(&self) {
        if self.dies_after {
            process::abort();
        }
    }
}
