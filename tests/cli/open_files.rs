//! How many files a server may have open.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::Stdio,
};

use crate::support::command::Desk;

#[test]
fn a_server_has_more_files_open_than_whoever_starts_it() {
    let desk = Desk::new();
    let script = "ulimit -Sn 256 && exec \"$0\" serve --listen 127.0.0.1:0";
    let program = env!("CARGO_BIN_EXE_polyarch");
    let mut command = desk.command_of(Path::new("sh"), ["-c", script, program]);
    let mut serving = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(serving.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
    let limits = fs::read_to_string(format!("/proc/{}/limits", serving.id())).expect("its limits");
    serving.kill().expect("killed");
    serving.wait().expect("it ended");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    let [soft, hard] = [3, 4].map(|field| line.split_whitespace().nth(field).expect("a number"));
    let most = hard.parse().map_or(10_240, |hard: u64| hard.min(10_240));
    assert_eq!(soft, most.to_string());
}
