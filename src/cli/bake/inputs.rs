//! What definitions are read from: files, standard input and the environment.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read},
    path::Path,
};

use polyarch_actors::Platform;

use super::super::report::Failure;
use crate::{
    bake::{Definition, Resolved, Surroundings},
    spec::EPOCH,
};

/// The files that are read if none is named, as far as they are there.
///
/// Source: buildx, `bake/bake.go` (`defaultFilenames`).
const DEFAULT_FILES: [&str; 8] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
];
/// Variables for compose files.
const DOTENV: &str = ".env";
/// With this variable set, the environment changes no variable.
const NO_ENVIRONMENT: &str = "BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP";

/// Reads the files that are named, or else those that there are.
pub(super) fn read(names: &[String], variables: &[String]) -> Result<Definition, Failure> {
    let files = texts(names)?;
    if files.is_empty() {
        return Err(Failure::input("there is no file with definitions here").hint(
            "name one with -f FILE; docker-bake.hcl, docker-bake.json and compose.yaml are found by themselves",
        ));
    }
    let mut given = BTreeMap::new();
    for variable in variables {
        match variable.split_once('=') {
            Some((name, value)) => drop(given.insert(name.to_owned(), value.to_owned())),
            None => given.extend(env::var(variable).ok().map(|value| (variable.clone(), value))),
        }
    }
    let is_closed = env::var(NO_ENVIRONMENT).is_ok_and(|value| ["1", "true"].contains(&value.as_str()));
    let environment = |name: &str| {
        let from_environment = || if is_closed { None } else { env::var(name).ok() };
        given.get(name).cloned().or_else(from_environment)
    };
    let builtins =
        [("BAKE_CMD_CONTEXT", String::new()), ("BAKE_LOCAL_PLATFORM", Platform::host_linux().to_string())];
    let surroundings = Surroundings {
        environment: &environment,
        builtins: builtins.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        compose_defaults: dotenv(&fs::read_to_string(DOTENV).unwrap_or_default()),
    };
    Ok(Definition::read(&files, &surroundings)?)
}

fn texts(names: &[String]) -> Result<Vec<(String, String)>, Failure> {
    if names.is_empty() {
        let there = DEFAULT_FILES.into_iter().filter(|name| Path::new(name).exists());
        return there.map(text).collect();
    }
    names.iter().map(|name| text(name)).collect()
}

fn text(name: &str) -> Result<(String, String), Failure> {
    let failed = |error: io::Error| Failure::input(format!("cannot read {name}: {error}"));
    if name == "-" {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map_err(failed)?;
        return Ok(("standard input".into(), text));
    }
    let path = name.strip_prefix("cwd://").unwrap_or(name);
    fs::read_to_string(path).map(|text| (path.to_owned(), text)).map_err(failed)
}

/// `NAME=VALUE` on each line; a value in quotes may have anything in it.
fn dotenv(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        let value = value.trim();
        let quoted = ['"', '\''].iter().find_map(|quote| {
            let inside = value.strip_prefix(*quote)?;
            inside.find(*quote).map(|end| inside[..end].to_owned())
        });
        let plain = || value.split(" #").next().unwrap_or_default().trim_end().to_owned();
        Some((name.trim().to_owned(), quoted.unwrap_or_else(plain)))
    };
    text.lines().filter_map(line).collect()
}

/// Gives every target the moment that the environment gives, as buildx does.
pub(super) fn add_source_date(resolved: &mut Resolved) {
    if let Some(date) = env::var(EPOCH).ok().filter(|date| !date.is_empty()) {
        for target in resolved.targets.values_mut() {
            target.args.entry(EPOCH.into()).or_insert_with(|| date.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_variables_has_comments_and_quotes() {
        let read = dotenv("# a\nA=1 # one\nexport B = \"x # y\" z\nC='q'\n\nD=\nE\n");
        let read: Vec<(&str, &str)> =
            read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, [("A", "1"), ("B", "x # y"), ("C", "q"), ("D", "")]);
    }
}
