//! The instructions one by one: their flags and the shape of their arguments.

use super::{
    ast::{
        Add, ArgDeclaration, CommandLine, Copy, InstructionKind, KeyValue, Network, Run, Security, Sources,
    },
    error::{ErrorKind, Mistake},
    flags::{FlagForm, Flags},
    heredoc,
    json::JsonForm,
    mount,
    statement::{Argument, Statement},
};

pub(super) fn add(statement: &Statement<'_>) -> Result<InstructionKind, Mistake> {
    let flags = Flags::read(
        statement,
        &[
            ("chown", FlagForm::Value),
            ("chmod", FlagForm::Value),
            ("link", FlagForm::Switch),
            ("exclude", FlagForm::Values),
            ("checksum", FlagForm::Value),
            ("keep-git-dir", FlagForm::Switch),
            ("unpack", FlagForm::Switch),
        ],
    )?;
    Ok(InstructionKind::Add(Add {
        sources: sources(statement)?,
        chown: flags.value("chown").map(|word| word.text),
        chmod: flags.value("chmod").map(|word| word.text),
        link: flags.switch("link")?.unwrap_or(false),
        exclude: flags.values("exclude").map(|word| word.text).collect(),
        checksum: flags.value("checksum").map(|word| word.text),
        keep_git_dir: flags.switch("keep-git-dir")?.unwrap_or(false),
        unpack: flags.switch("unpack")?,
    }))
}

pub(super) fn copy(statement: &Statement<'_>) -> Result<InstructionKind, Mistake> {
    let flags = Flags::read(
        statement,
        &[
            ("from", FlagForm::Value),
            ("chown", FlagForm::Value),
            ("chmod", FlagForm::Value),
            ("link", FlagForm::Switch),
            ("parents", FlagForm::Switch),
            ("exclude", FlagForm::Values),
        ],
    )?;
    let from = flags.value("from");
    if let Some(word) = from.as_ref().filter(|word| word.text.contains('$')) {
        return Err(word.span.mistake(ErrorKind::VariableInFrom { value: word.text.clone() }));
    }
    Ok(InstructionKind::Copy(Copy {
        sources: sources(statement)?,
        from,
        chown: flags.value("chown").map(|word| word.text),
        chmod: flags.value("chmod").map(|word| word.text),
        link: flags.switch("link")?.unwrap_or(false),
        parents: flags.switch("parents")?.unwrap_or(false),
        exclude: flags.values("exclude").map(|word| word.text).collect(),
    }))
}

pub(super) fn run(statement: &Statement<'_>) -> Result<InstructionKind, Mistake> {
    let flags = Flags::read(
        statement,
        &[("mount", FlagForm::Values), ("network", FlagForm::Value), ("security", FlagForm::Value)],
    )?;
    let networks = [("default", Network::Default), ("none", Network::None), ("host", Network::Host)];
    let securities = [("sandbox", Security::Sandbox), ("insecure", Security::Insecure)];
    let command = command_line(statement, statement.arguments_text())?;
    if matches!(&command, CommandLine::Exec(words) if words.is_empty()) || statement.arguments.is_empty() {
        return Err(missing(statement, "a command"));
    }
    Ok(InstructionKind::Run(Run {
        command,
        heredocs: statement.line.heredocs.clone(),
        mounts: flags.values("mount").map(|given| mount::read(&given)).collect::<Result<_, _>>()?,
        network: flags.choice("network", &networks, "default, none or host")?.unwrap_or_default(),
        security: flags.choice("security", &securities, "sandbox or insecure")?.unwrap_or_default(),
    }))
}

/// CMD and ENTRYPOINT; alone they are an empty line for the shell, as BuildKit has it.
pub(super) fn command(statement: &Statement<'_>) -> Result<CommandLine, Mistake> {
    Flags::read(statement, &[])?;
    command_line(statement, statement.arguments_text())
}

/// A command in JSON form, or in shell form where it is no JSON array.
pub(super) fn command_line(statement: &Statement<'_>, text: &str) -> Result<CommandLine, Mistake> {
    Ok(json_form(statement, text)?.map_or_else(|| CommandLine::Shell(text.to_owned()), CommandLine::Exec))
}

pub(super) fn shell(statement: &Statement<'_>) -> Result<InstructionKind, Mistake> {
    Flags::read(statement, &[])?;
    match json_form(statement, statement.arguments_text())? {
        Some(words) if !words.is_empty() => Ok(InstructionKind::Shell(words)),
        _ => {
            let range =
                if statement.arguments.is_empty() { &statement.keyword } else { &statement.arguments };
            Err(statement.mistake(range, ErrorKind::NotJson { instruction: statement.name() }))
        }
    }
}

pub(super) fn arg(statement: &Statement<'_>, escape: char) -> Result<InstructionKind, Mistake> {
    Flags::read(statement, &[])?;
    let words = statement.quoted_words(escape);
    if words.is_empty() {
        return Err(missing(statement, "a name, such as VERSION or VERSION=1.0"));
    }
    let declaration = |word: Argument| {
        let span = statement.span_of(&word.range);
        let (name, default) = match word.text.split_once('=') {
            Some(("", _)) => return Err(span.mistake(ErrorKind::BlankName { instruction: statement.name() })),
            Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
            None => (word.text, None),
        };
        Ok(ArgDeclaration { name, default, span })
    };
    Ok(InstructionKind::Arg(words.into_iter().map(declaration).collect::<Result<_, _>>()?))
}

/// ENV and LABEL: `key=value …`, or the old `key value`, in which the value is the rest of the line.
pub(super) fn pairs(statement: &Statement<'_>, escape: char) -> Result<Vec<KeyValue>, Mistake> {
    Flags::read(statement, &[])?;
    let words = statement.quoted_words(escape);
    let Some(first) = words.first() else { return Err(missing(statement, "name=value")) };
    if !first.text.contains('=') {
        let blanks = ['\t', '\x0b', '\x0c', '\r', ' '];
        let Some((key, value)) = statement.arguments_text().split_once(blanks) else {
            return Err(missing(statement, "name=value"));
        };
        return Ok(vec![KeyValue {
            key: key.to_owned(),
            value: value.trim_start_matches(blanks).to_owned(),
        }]);
    }
    let pair = |word: Argument| match word.text.split_once('=') {
        Some(("", _)) => {
            Err(statement.mistake(&word.range, ErrorKind::BlankName { instruction: statement.name() }))
        }
        Some((key, value)) => Ok(KeyValue { key: key.to_owned(), value: value.to_owned() }),
        None => Err(statement.mistake(&word.range, ErrorKind::MissingEquals { word: word.text })),
    };
    words.into_iter().map(pair).collect()
}

pub(super) fn expose(statement: &Statement<'_>) -> Result<InstructionKind, Mistake> {
    Flags::read(statement, &[])?;
    let ports: Vec<String> = statement.blank_separated().into_iter().map(|word| word.text).collect();
    if ports.is_empty() {
        return Err(missing(statement, "a port, such as 8080 or 53/udp"));
    }
    Ok(InstructionKind::Expose(ports))
}

pub(super) fn volume(statement: &Statement<'_>) -> Result<InstructionKind, Mistake> {
    Flags::read(statement, &[])?;
    let (words, _) = json_or_words(statement)?;
    let volumes: Vec<String> = words.into_iter().map(|word| word.trim().to_owned()).collect();
    if volumes.is_empty() || volumes.iter().any(String::is_empty) {
        return Err(missing(statement, "a path"));
    }
    Ok(InstructionKind::Volume(volumes))
}

/// An instruction whose one argument is the rest of the line.
pub(super) fn whole(statement: &Statement<'_>, needs: &'static str) -> Result<String, Mistake> {
    Flags::read(statement, &[])?;
    if statement.arguments.is_empty() {
        return Err(missing(statement, needs));
    }
    Ok(statement.arguments_text().to_owned())
}

fn sources(statement: &Statement<'_>) -> Result<Sources, Mistake> {
    let (mut words, is_json) = json_or_words(statement)?;
    let destination = words.pop().filter(|_| !words.is_empty());
    let Some(destination) = destination else {
        return Err(missing(statement, "at least one source and a destination"));
    };
    if is_json {
        return Ok(Sources { paths: words, heredocs: Vec::new(), destination });
    }
    if heredoc::marker_name(&destination).is_some() {
        let instruction = statement.name();
        return Err(statement.mistake(&statement.arguments, ErrorKind::HeredocDestination { instruction }));
    }
    let mut sources = Sources { paths: Vec::new(), heredocs: Vec::new(), destination };
    for word in words {
        let known = heredoc::marker_name(&word)
            .and_then(|name| statement.line.heredocs.iter().rev().find(|heredoc| heredoc.name == name));
        match known {
            Some(heredoc) => sources.heredocs.push(heredoc.clone()),
            None => sources.paths.push(word),
        }
    }
    Ok(sources)
}

/// The arguments, and whether they were a JSON array.
fn json_or_words(statement: &Statement<'_>) -> Result<(Vec<String>, bool), Mistake> {
    Ok(match json_form(statement, statement.arguments_text())? {
        Some(words) => (words, true),
        None => (statement.blank_separated().into_iter().map(|word| word.text).collect(), false),
    })
}

/// The strings of a JSON array; text that is no JSON is left to its other form.
fn json_form(statement: &Statement<'_>, text: &str) -> Result<Option<Vec<String>>, Mistake> {
    match JsonForm::read(text) {
        JsonForm::Strings(words) => Ok(Some(words)),
        JsonForm::Not => Ok(None),
        JsonForm::OtherArray => {
            let kind = ErrorKind::JsonNotStrings { instruction: statement.name() };
            Err(statement.mistake(&statement.arguments, kind))
        }
    }
}

fn missing(statement: &Statement<'_>, needs: &'static str) -> Mistake {
    statement.keyword_mistake(ErrorKind::Arguments { instruction: statement.name(), needs })
}
