//! What programs do: their command line says it, in the words of a shell that only tests have.
//!
//! `cmd /S /C write C:\app\x text & echo done`: one command after the other until one fails.

use std::{io::Write as _, path::Path, time::Duration};

use super::{
    changes::{Change, Found, find, folded, of_image},
    documents::Process,
    process::{Pipes, Running},
    world::FakeWindows,
};

/// Runs a program to its end. Returns its exit code.
pub(super) fn run(
    windows: &FakeWindows,
    running: &Running,
    scratch: &Path,
    document: &Process,
    mut pipes: Pipes,
) -> u32 {
    let line = &document.command_line;
    let commands = line.strip_prefix("cmd /S /C ").unwrap_or(line);
    for command in commands.split(" & ") {
        if running.is_killed() {
            return 1;
        }
        let words: Vec<&str> = command.splitn(3, ' ').collect();
        let code = one(windows, running, scratch, document, &mut pipes, &words);
        if code != 0 {
            return code;
        }
    }
    0
}

fn one(
    windows: &FakeWindows,
    running: &Running,
    scratch: &Path,
    document: &Process,
    pipes: &mut Pipes,
    words: &[&str],
) -> u32 {
    let first = words.get(1).copied().unwrap_or_default();
    let rest = words.get(1..).unwrap_or_default().join(" ");
    let text = words.get(2).copied().unwrap_or_default();
    let change = |path: &str, change: Change| {
        let mut state = windows.state();
        // A container that has ended writes nothing more.
        if running.is_killed() {
            return 1;
        }
        let Some(layer) = state.layers.get_mut(scratch) else { return 1 };
        layer.changes.insert(folded(path), change);
        windows.keep(&state);
        0
    };
    let name = of_image(first);
    let found = || find(&windows.state(), scratch, &of_image(first));
    match words[0] {
        "echo" => said(pipes.say(&rest)),
        "warn" => said(writeln!(pipes.stderr, "{rest}\r")),
        "exit" => first.parse().unwrap_or(1),
        "write" => match name.rsplit_once('/') {
            Some((above, _)) if find(&windows.state(), scratch, above) != Some(Found::Directory) => 3,
            _ => change(&name, Change::File { name: name.clone(), content: text.as_bytes().to_vec() }),
        },
        "mkdir" => change(&name, Change::Directory { name: name.clone() }),
        "del" => match found() {
            None => 2,
            Some(_) => change(&name, Change::Deleted { name: name.clone() }),
        },
        "reg" => {
            let content = text.as_bytes().to_vec();
            change(&format!(":{first}"), Change::Registry { name: first.to_owned(), content })
        }
        "type" => {
            if let Some(Found::File(content)) = found() {
                return said(pipes.say(&String::from_utf8_lossy(&content)));
            }
            let _ = writeln!(pipes.stderr, "The system cannot find the file specified.\r");
            1
        }
        "cd" => said(pipes.say(&document.working_directory)),
        "whoami" => said(pipes.say(&document.user)),
        "set" => said(pipes.say(document.environment.get(first).map_or("", String::as_str))),
        // More than pipes hold: who reads only one of the two waits for ever.
        "flood" => {
            let noise = "x".repeat(first.parse().unwrap_or(0));
            said(writeln!(pipes.stderr, "{noise}\r")).max(said(pipes.say(&noise)))
        }
        "hang" => {
            let mut state = windows.state();
            while !running.is_killed() {
                let waited = windows.world.changed.wait_timeout(state, Duration::from_millis(50));
                state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
            }
            1
        }
        _ => 9009,
    }
}

fn said(written: std::io::Result<()>) -> u32 {
    u32::from(written.is_err())
}
