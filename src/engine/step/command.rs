//! What a RUN executes.

use polyarch_actors::ImageOs;

use crate::{
    dockerfile::{CommandLine, Heredoc, Run},
    engine::{metadata, stage::Stage},
};

/// Where a script in a heredoc is seen.
pub(super) const SCRIPTS: &str = "/dev/pipes";

/// What is to be executed.
pub(super) struct Command {
    pub(super) arguments: Vec<String>,
    /// Whether the arguments are one line as they stand, for a shell of Windows.
    pub(super) verbatim: bool,
    /// The name and text of a script that the command sees as a file.
    pub(super) script: Option<(String, String)>,
}

impl Command {
    /// Source: BuildKit, `frontend/dockerfile/dockerfile2llb/convert.go` (`dispatchRun`).
    pub(super) fn new(run: &Run, stage: &Stage) -> Self {
        let plain = |arguments, verbatim| Self { arguments, verbatim, script: None };
        let CommandLine::Shell(line) = &run.command else {
            return plain(metadata::command_line(&run.command, stage), false);
        };
        let shell = |line: String| metadata::command_line(&CommandLine::Shell(line), stage);
        match run.heredocs.as_slice() {
            [] => plain(shell(line.clone()), stage.platform.os() == ImageOs::Windows),
            [only] if is_alone(line, only) => {
                let text = only.text();
                if !text.starts_with("#!") {
                    return plain(shell(text), false);
                }
                let arguments = shell(format!("{SCRIPTS}/{}", only.name));
                Self { script: Some((only.name.clone(), text)), ..plain(arguments, false) }
            }
            several => {
                // The shell reads them itself.
                let documents =
                    several.iter().map(|heredoc| format!("\n{}{}", heredoc.content, heredoc.name));
                plain(shell(line.clone() + &documents.collect::<String>()), false)
            }
        }
    }
}

/// Whether a command is nothing but the marker of its only document.
fn is_alone(line: &str, heredoc: &Heredoc) -> bool {
    let marker = line.trim().trim_start_matches(|letter: char| letter.is_ascii_digit());
    let name = marker.strip_prefix("<<-").or_else(|| marker.strip_prefix("<<")).unwrap_or_default();
    let name = name.trim_matches(['"', '\'']);
    name == heredoc.name
}
