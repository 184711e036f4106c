//! What each crate may depend on, and in which direction.

use std::{collections::BTreeSet, fs, path::Path};

const MANIFEST_DIR: &str = env!("CARGO_MANIFEST_DIR");

/// The orchestration core decides when and where; it has nothing to decide how with.
const CORE_MAY_USE: [&str; 8] =
    ["actix", "dashmap", "futures", "serde", "thiserror", "tokio", "tokio-util", "tracing"];
/// What of tokio the core may switch on: no network, no files, no processes, no signals.
const CORE_TOKIO: [&str; 4] = ["macros", "rt", "sync", "time"];
/// Ways to reach the world that std offers to everybody.
const CORE_MUST_NOT_NAME: [&str; 6] =
    ["std::fs", "std::net", "std::process::Command", "std::env::var", "std::io::stdout", "std::io::stderr"];

/// The lines `name = …` or `name.workspace = …` of one table of a Cargo manifest.
fn table<'m>(manifest: &'m str, name: &str) -> Vec<&'m str> {
    let lines = manifest.lines().skip_while(|line| *line != format!("[{name}]")).skip(1);
    lines.take_while(|line| !line.starts_with('[')).filter(|line| line.contains('=')).collect()
}

fn key(line: &str) -> &str {
    line.split(['=', '.']).next().unwrap_or_default().trim()
}

#[test]
fn the_core_depends_on_nothing_that_does_container_work() {
    let manifest =
        fs::read_to_string(Path::new(MANIFEST_DIR).join("actors/Cargo.toml")).expect("the manifest");
    let dependencies = table(&manifest, "dependencies");
    let names: BTreeSet<&str> = dependencies.iter().map(|line| key(line)).collect();
    assert_eq!(names, BTreeSet::from(CORE_MAY_USE));
    let tokio = dependencies.iter().find(|line| key(line) == "tokio").expect("tokio");
    let features = tokio.split('[').nth(1).and_then(|rest| rest.split(']').next()).expect("features");
    let features: BTreeSet<&str> = features.split(',').map(|name| name.trim().trim_matches('"')).collect();
    assert_eq!(features, BTreeSet::from(CORE_TOKIO));
}

#[test]
fn the_core_reaches_for_nothing_outside() {
    let mut looked_at = 0;
    let mut folders = vec![Path::new(MANIFEST_DIR).join("actors/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source file");
            for forbidden in CORE_MUST_NOT_NAME {
                assert!(!text.contains(forbidden), "{} names {forbidden}", path.display());
            }
            assert!(!text.contains("polyarch::"), "{} depends on the root package", path.display());
            looked_at += 1;
        }
    }
    assert!(looked_at > 10, "only {looked_at} files were found");
}

#[test]
fn the_library_does_not_depend_on_the_command_line() {
    let source = Path::new(MANIFEST_DIR).join("src");
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let ours = path.strip_prefix(&source).expect("below src");
            if path.is_dir() {
                if ours != Path::new("cli") {
                    folders.push(path);
                }
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            let allowed = ["lib.rs", "main.rs"].iter().any(|name| ours == Path::new(name));
            for command_line in ["crate::cli", "use clap", "indicatif"] {
                assert!(allowed || !text.contains(command_line), "{} names {command_line}", path.display());
            }
        }
    }
}
