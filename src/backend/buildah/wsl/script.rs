//! The scripts that run in the distribution, each with the values it needs.

use super::text::quoted;

/// A script of a POSIX shell. It is read from the standard input, and what follows it there is on file descriptor 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Script {
    text: String,
    /// Whether it sees the environment that the distribution gives to everybody.
    pub(super) sees_environment: bool,
}

impl Script {
    fn new(values: &[(&str, &str)], text: &str) -> Self {
        let values = values.iter().map(|(name, value)| format!("{name}={}\n", quoted(value)));
        // In braces a shell does nothing before it has read all. What it works on comes behind, and whoever reads the script for
        // it must have come that far before anybody else reads.
        let parts = ["{\n", include_str!("scripts/common.sh"), &values.collect::<String>(), text, "}\n"];
        Self { text: parts.concat(), sees_environment: false }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Says what there is.
    pub(super) fn probe() -> Self {
        Self { sees_environment: true, ..Self::new(&[], include_str!("scripts/probe.sh")) }
    }

    /// Holds a folder for the work that is called `id`.
    pub(super) fn hold(id: &str) -> Self {
        Self::new(&[("id", id)], include_str!("scripts/hold.sh"))
    }

    /// Ends the work that is called `id`.
    pub(super) fn end(id: &str) -> Self {
        Self::new(&[("id", id)], include_str!("scripts/end.sh"))
    }

    /// Unpacks what comes in and runs `pulls`.
    pub(super) fn put(folder: &str, pulls: &str) -> Self {
        Self::new(&[("folder", folder), ("pulls", pulls)], include_str!("scripts/put.sh"))
    }

    /// Runs `build` with the Dockerfile that comes in.
    pub(super) fn build(folder: &str, build: &str) -> Self {
        Self::new(&[("folder", folder), ("build", build)], include_str!("scripts/build.sh"))
    }

    /// Gives the image, after `export`; `known` are the layers that are not wanted.
    pub(super) fn get(folder: &str, export: &str, known: &str) -> Self {
        let values = [("folder", folder), ("export", export), ("known", known)];
        Self::new(&values, include_str!("scripts/get.sh"))
    }
}

/// A command line of words that mean nothing to a shell.
pub(super) fn line<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_words_whatever_is_in_them() {
        let script = Script::hold("'; touch /x; '");
        let text = String::from_utf8_lossy(script.as_bytes()).into_owned();
        assert!(text.contains("id=''\\''; touch /x; '\\'''\n"), "{text}");
        assert_eq!(line(&["a", "b c", "$(d)"]), "'a' 'b c' '$(d)'");
    }

    #[test]
    #[cfg(unix)]
    fn nothing_of_a_script_is_done_before_all_of_it_is_read() {
        use std::{io::Write as _, process::Stdio};

        let script = Script::new(&[], "echo done\n");
        for (bytes, output) in
            [(script.as_bytes(), "done\n"), (&script.as_bytes()[..script.as_bytes().len() - 2], "")]
        {
            let mut shell = std::process::Command::new("sh");
            shell.env("HOME", "/nowhere").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut shell = shell.spawn().expect("a shell");
            shell.stdin.take().expect("a pipe").write_all(bytes).expect("written");
            let said = shell.wait_with_output().expect("an end").stdout;
            assert_eq!(String::from_utf8_lossy(&said), output);
        }
    }

    #[test]
    #[cfg(unix)]
    fn every_script_is_one_to_a_shell() {
        for script in [
            Script::probe(),
            Script::hold("a"),
            Script::end("a"),
            Script::put("/a", "true"),
            Script::build("/a", "true"),
            Script::get("/a", "true", ""),
        ] {
            let mut shell = std::process::Command::new("sh");
            let text = String::from_utf8_lossy(script.as_bytes()).into_owned();
            let output = shell.args(["-n", "-c", &text]).output().expect("a shell");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
