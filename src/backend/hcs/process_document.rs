//! The documents by which Windows is told of the processes in containers, and tells how they ended.
//!
//! Source: Microsoft, "Schema reference of the Host Compute System"
//! (<https://learn.microsoft.com/virtualization/api/hcs/schemareference>).

use std::collections::BTreeMap;

use serde::Serialize;

use super::document::json;

/// What a process is started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// The program and its arguments, as [`command_line`] writes them.
    pub command_line: String,
    /// Where it begins: `C:\app`.
    pub directory: String,
    /// Its environment; the container adds what Windows needs.
    pub environment: BTreeMap<String, String>,
    /// Who runs it, such as `ContainerAdministrator`; whom the container takes if empty.
    pub user: String,
}

impl Process {
    /// The document of `HcsCreateProcess`.
    pub fn document(&self) -> String {
        json(&ProcessParameters {
            command_line: &self.command_line,
            user: &self.user,
            working_directory: &self.directory,
            environment: &self.environment,
            emulate_console: false,
            create_std_in_pipe: false,
            create_std_out_pipe: true,
            create_std_err_pipe: true,
        })
    }
}

/// The words of a command as one text, from which a program makes the same words again.
///
/// Source: Microsoft, "Parsing C command-line arguments"
/// (<https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments>).
pub fn command_line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    if !word.is_empty() && !word.contains([' ', '\t', '\n', '\u{b}', '"']) {
        return word.to_owned();
    }
    let mut line = String::from("\"");
    let mut slashes = 0;
    for letter in word.chars() {
        match letter {
            '\\' => slashes += 1,
            // Before a quote, every backslash counts twice, and one more makes the quote a letter.
            '"' => {
                line.push_str(&"\\".repeat(slashes * 2 + 1));
                line.push('"');
                slashes = 0;
            }
            letter => {
                line.push_str(&"\\".repeat(slashes));
                line.push(letter);
                slashes = 0;
            }
        }
    }
    line.push_str(&"\\".repeat(slashes * 2));
    line.push('"');
    line
}

/// What a process says of itself at its end (`ProcessStatus`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ProcessStatus {
    /// Whether it has ended.
    pub exited: bool,
    /// How; left out by Windows where it is 0.
    pub exit_code: u32,
}

impl ProcessStatus {
    /// The exit code of a process that has ended, with its sign as programs give it.
    pub fn code(self) -> Option<i32> {
        self.exited.then(|| i32::from_ne_bytes(self.exit_code.to_ne_bytes()))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the schema has them")]
struct ProcessParameters<'p> {
    command_line: &'p str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'p str,
    working_directory: &'p str,
    environment: &'p BTreeMap<String, String>,
    emulate_console: bool,
    create_std_in_pipe: bool,
    create_std_out_pipe: bool,
    create_std_err_pipe: bool,
}
