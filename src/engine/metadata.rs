//! The instructions that change only the image's config.
//!
//! Source: BuildKit, `frontend/dockerfile/dockerfile2llb/convert.go` (`dispatchEnv` and its kin).

use std::{collections::BTreeMap, time::Duration};

use polyarch_actors::ImageOs;

use super::{config::Health, error::EngineError, signal, stage::Stage};
use crate::dockerfile::{
    ArgDeclaration, CommandLine, Expander, Healthcheck, InstructionKind, KeyValue, Probe, Variables,
    WINDOWS_SHELL,
};

/// What words are expanded with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'w> {
    pub(super) escape: char,
    pub(super) variables: &'w Variables,
}

impl Words<'_> {
    /// One word.
    pub(super) fn expand(&self, text: &str) -> Result<String, EngineError> {
        let expansion = Expander::new(self.escape, self.variables).expand(text);
        expansion.map(|expansion| expansion.text).map_err(|error| EngineError::Invalid(error.to_string()))
    }

    fn split(&self, text: &str) -> Result<Vec<String>, EngineError> {
        let words = Expander::new(self.escape, self.variables).words(text);
        words.map_err(|error| EngineError::Invalid(error.to_string()))
    }
}

/// Carries out an instruction that makes no layer; `false` where it is another kind.
pub(super) fn apply(
    stage: &mut Stage,
    kind: &InstructionKind,
    escape: char,
    globals: &BTreeMap<String, String>,
    given: &BTreeMap<String, String>,
) -> Result<bool, EngineError> {
    let variables = stage.variables.clone();
    let words = Words { escape, variables: &variables };
    let created_by = match kind {
        InstructionKind::Arg(declarations) => arguments(stage, declarations, escape, globals, given)?,
        InstructionKind::Env(pairs) => {
            let pairs = expand_pairs(pairs, words)?;
            for (name, value) in &pairs {
                stage.config.config.set_env(name, value, stage.platform.os());
                stage.variables.set(name, value);
            }
            format!("ENV {}", shown_pairs(&pairs))
        }
        InstructionKind::Label(pairs) => {
            let pairs = expand_pairs(pairs, words)?;
            stage.config.config.labels.extend(pairs.iter().cloned());
            format!("LABEL {}", shown_pairs(&pairs))
        }
        InstructionKind::Cmd(command) => {
            let arguments = command_line(command, stage);
            let created_by = format!("CMD {}", shown(&arguments));
            stage.config.config.cmd = arguments;
            stage.has_command = true;
            created_by
        }
        InstructionKind::Entrypoint(command) => {
            let arguments = command_line(command, stage);
            let created_by = format!("ENTRYPOINT {}", shown(&arguments));
            stage.config.config.entrypoint = arguments;
            if !stage.has_command {
                stage.config.config.cmd.clear();
            }
            created_by
        }
        InstructionKind::Expose(ports) => {
            let mut exposed = Vec::new();
            for port in ports {
                for word in words.split(port)? {
                    exposed.extend(read_ports(&word)?);
                }
            }
            let created_by = format!("EXPOSE {}", shown(&exposed));
            stage.config.config.exposed_ports.extend(exposed);
            created_by
        }
        InstructionKind::Healthcheck(check) => {
            let health = health(check);
            let created_by = format!("HEALTHCHECK {}", shown(&health.test));
            stage.config.config.healthcheck = Some(health);
            created_by
        }
        InstructionKind::Maintainer(name) => {
            let name = words.expand(name)?;
            let created_by = format!("MAINTAINER {name}");
            stage.config.author = name;
            created_by
        }
        InstructionKind::Onbuild(onbuild) => {
            stage.config.config.on_build.push(onbuild.expression.clone());
            return Ok(true);
        }
        InstructionKind::Shell(shell) => {
            stage.config.config.shell.clone_from(shell);
            format!("SHELL {}", shown(shell))
        }
        InstructionKind::StopSignal(signal) => {
            let signal = words.expand(signal)?;
            if !signal::is_known(&signal) {
                return Err(EngineError::Invalid(format!("{signal:?} is no signal, such as SIGTERM or 15")));
            }
            let created_by = format!("STOPSIGNAL {signal}");
            stage.config.config.stop_signal = signal;
            created_by
        }
        InstructionKind::User(user) => {
            let user = words.expand(user)?;
            let created_by = format!("USER {user}");
            stage.config.config.user = user;
            created_by
        }
        InstructionKind::Volume(volumes) => {
            let volumes: Vec<String> =
                volumes.iter().map(|volume| words.expand(volume)).collect::<Result<_, _>>()?;
            if volumes.iter().any(String::is_empty) {
                return Err(EngineError::Invalid("VOLUME names no path".into()));
            }
            let created_by = format!("VOLUME {}", shown(&volumes));
            stage.config.config.volumes.extend(volumes);
            created_by
        }
        InstructionKind::Add(_)
        | InstructionKind::Copy(_)
        | InstructionKind::Run(_)
        | InstructionKind::Workdir(_) => return Ok(false),
    };
    stage.remember(&created_by, None, true);
    Ok(true)
}

/// ARG: what was given, else the default, else what the head of the file says. Each sees those before it.
fn arguments(
    stage: &mut Stage,
    declarations: &[ArgDeclaration],
    escape: char,
    globals: &BTreeMap<String, String>,
    given: &BTreeMap<String, String>,
) -> Result<String, EngineError> {
    let mut texts = vec!["ARG".to_owned()];
    for ArgDeclaration { name, default, .. } in declarations {
        let value = match (given.get(name), default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => Some(Words { escape, variables: &stage.variables }.expand(default)?),
            (None, None) => globals.get(name).cloned(),
        };
        texts.push(value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}={value}")));
        if let Some(value) = value {
            stage.variables.set(name, &value);
        }
    }
    Ok(texts.join(" "))
}

fn expand_pairs(pairs: &[KeyValue], words: Words<'_>) -> Result<Vec<(String, String)>, EngineError> {
    let expand = |pair: &KeyValue| {
        let key = words.expand(&pair.key)?;
        if key.is_empty() {
            return Err(EngineError::Invalid("a name is empty".into()));
        }
        Ok((key, words.expand(&pair.value)?))
    };
    pairs.iter().map(expand).collect()
}

pub(super) fn command_line(command: &CommandLine, stage: &Stage) -> Vec<String> {
    match command {
        CommandLine::Exec(words) => words.clone(),
        CommandLine::Shell(line) => {
            let shell = &stage.config.config.shell;
            let default = match stage.platform.os() {
                ImageOs::Linux => ["/bin/sh", "-c"].as_slice(),
                ImageOs::Windows => &WINDOWS_SHELL,
            };
            let default = default.iter().map(|word| (*word).to_owned());
            let shell = if shell.is_empty() { default.collect() } else { shell.clone() };
            shell.into_iter().chain([line.clone()]).collect()
        }
    }
}

fn health(check: &Healthcheck) -> Health {
    let Healthcheck::Probe(Probe { command, interval, timeout, start_period, start_interval, retries }) =
        check
    else {
        return Health { test: vec!["NONE".into()], ..Health::default() };
    };
    let test = match command {
        CommandLine::Exec(words) => [vec!["CMD".to_owned()], words.clone()].concat(),
        CommandLine::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
    };
    let nanoseconds = |time: &Option<Duration>| {
        time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(i64::MAX.unsigned_abs()))
    };
    Health {
        test,
        interval: nanoseconds(interval),
        timeout: nanoseconds(timeout),
        start_period: nanoseconds(start_period),
        start_interval: nanoseconds(start_interval),
        retries: retries.unwrap_or(0).into(),
    }
}

/// `80`, `80/udp`, `8000-8003/tcp`: every port by itself.
fn read_ports(text: &str) -> Result<Vec<String>, EngineError> {
    let invalid = || EngineError::Invalid(format!("{text:?} is no port, such as 8080, 53/udp or 8000-8010"));
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    // What the port is called on a host does not belong into an image.
    let ports = ports.rsplit(':').next().unwrap_or(ports);
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(invalid());
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let port = |text: &str| text.parse::<u16>().map_err(|_| invalid());
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(invalid());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn shown(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(" "))
}

fn shown_pairs(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_ranges_and_protocols() {
        for (text, ports) in [
            ("80", vec!["80/tcp"]),
            ("53/UDP", vec!["53/udp"]),
            ("127.0.0.1:8080:80", vec!["80/tcp"]),
            ("8000-8002/tcp", vec!["8000/tcp", "8001/tcp", "8002/tcp"]),
        ] {
            assert_eq!(read_ports(text).unwrap_or_else(|error| panic!("{error}")), ports);
        }
        for text in ["", "x", "70000", "2-1", "80/http", "80:"] {
            assert!(read_ports(text).is_err(), "{text}");
        }
    }
}
