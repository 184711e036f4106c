//! What single instructions of a stage say, and what is said twice.

use std::collections::BTreeMap;

use polyarch_actors::ImageOs;

use super::{
    super::{
        ast::{CommandLine, InstructionKind},
        error::Span,
        expand::Expander,
        links::Links,
        statement::Statement,
    },
    found::Found,
    ports,
    rule::Rule,
    run::Reached,
    source::{Source, Written},
};

/// Words in a name that stand for something secret, between underscores.
///
/// Source: BuildKit, `getSecretsRegex`.
const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
/// Words that say the rest is no secret after all.
const NOT_SECRET: [&str; 3] = ["public", "file", "version"];

/// What a stage hands on to those that begin from it.
#[derive(Clone, Copy, Default)]
struct Inherited {
    has_shell: bool,
    has_workdir: bool,
}

/// MAINTAINER is told of in every stage.
pub(super) fn check_maintainers(source: &Source<'_>, found: &mut Found<'_>) {
    for statement in source.statements().filter(|statement| statement.is("MAINTAINER")) {
        let message = "Maintainer instruction is deprecated in favor of using label";
        found.add(Rule::MaintainerDeprecated, statement.span(), message);
    }
}

/// Everything else only where it is built.
pub(super) fn check(
    source: &Source<'_>,
    escape: char,
    links: &Links<'_>,
    reached: &Reached,
    found: &mut Found<'_>,
) {
    // What a stage that is built begins from is built too, so the others hand nothing on.
    let mut all = vec![Inherited::default(); source.stages.len()];
    for (number, stage) in source.stages.iter().enumerate().filter(|(number, _)| reached.contains(*number)) {
        let parent = links.base(number).stage().and_then(|parent| all.get(parent));
        let mut inherited = parent.copied().unwrap_or_default();
        let mut last = BTreeMap::new();
        for written in &stage.instructions {
            check_form(written, escape, inherited, found);
            check_repeated(&written.statement, &mut last, found);
            match &written.instruction.kind {
                InstructionKind::Shell(_) => inherited.has_shell = true,
                InstructionKind::Workdir(path) => {
                    // One absolute path is enough for all the relative ones after it, and one warning too.
                    if !inherited.has_workdir {
                        check_workdir(&written.statement, path, escape, reached.os(number), found);
                    }
                    inherited.has_workdir = true;
                }
                _ => {}
            }
        }
        all[number] = inherited;
    }
}

fn check_form(written: &Written<'_>, escape: char, inherited: Inherited, found: &mut Found<'_>) {
    let statement = &written.statement;
    match &written.instruction.kind {
        InstructionKind::Env(pairs) => {
            check_separator(statement, escape, found);
            check_secrets(statement, escape, pairs.iter().map(|pair| pair.key.as_str()), found);
        }
        InstructionKind::Label(_) => check_separator(statement, escape, found),
        InstructionKind::Arg(arguments) => {
            check_secrets(statement, escape, arguments.iter().map(|argument| argument.name.as_str()), found);
        }
        InstructionKind::Expose(_) => ports::check(statement, found),
        InstructionKind::Cmd(CommandLine::Shell(_)) | InstructionKind::Entrypoint(CommandLine::Shell(_))
            if !inherited.has_shell =>
        {
            let message = format!(
                "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                statement.keyword_text()
            );
            found.add(Rule::JsonArgsRecommended, statement.span(), message);
        }
        _ => {}
    }
}

/// `ENV name value` and `LABEL name value`.
fn check_separator(statement: &Statement<'_>, escape: char, found: &mut Found<'_>) {
    if statement.quoted_words(escape).first().is_some_and(|word| !word.text.contains('=')) {
        let keyword = statement.keyword_text();
        let message = format!(
            "\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"
        );
        found.add(Rule::LegacyKeyValueFormat, statement.span(), message);
    }
}

fn check_secrets<'n>(
    statement: &Statement<'_>,
    escape: char,
    names: impl Iterator<Item = &'n str>,
    found: &mut Found<'_>,
) {
    let mut secret = names.filter(|name| sounds_secret(name)).peekable();
    if secret.peek().is_none() || !found.wants(Rule::SecretsUsedInArgOrEnv) {
        return;
    }
    let places: BTreeMap<String, Span> = statement
        .quoted_words(escape)
        .into_iter()
        .map(|word| (word.text.split('=').next().unwrap_or_default().to_owned(), word.range))
        .map(|(name, range)| (name, statement.span_of(&range)))
        .collect();
    for name in secret {
        let instruction = statement.name();
        let message =
            format!("Do not use ARG or ENV instructions for sensitive data ({instruction} {name:?})");
        let place = places.get(name).copied().unwrap_or_else(|| statement.span());
        found.add(Rule::SecretsUsedInArgOrEnv, place, message);
    }
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| name.split('_').any(|word| words.contains(&word));
    has(&SECRET) && !has(&NOT_SECRET)
}

/// A path that begins with a variable may well be absolute.
fn check_workdir(statement: &Statement<'_>, path: &str, escape: char, os: ImageOs, found: &mut Found<'_>) {
    let no_values = BTreeMap::new();
    let expanded = Expander::new(escape, &no_values).expand(path).map(|expansion| expansion.text);
    let bare = expanded.unwrap_or_default();
    let begins_with_variable = path.trim_start_matches(['"', '\'']).starts_with('$');
    let on_drive =
        bare.get(1..2) == Some(":") && bare.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let is_absolute = bare.starts_with('/') || os == ImageOs::Windows && (bare.starts_with('\\') || on_drive);
    if !is_absolute && !begins_with_variable {
        let named = if path.contains('$') { path } else { &bare };
        let message =
            format!("Relative workdir {named:?} can have unexpected results if the base image changes");
        found.add(Rule::WorkdirRelativePath, statement.span_of(&statement.arguments), message);
    }
}

/// The one before the last is told of: it is the one that is in vain.
fn check_repeated(statement: &Statement<'_>, last: &mut BTreeMap<&'static str, Span>, found: &mut Found<'_>) {
    let counted = ["CMD", "ENTRYPOINT", "HEALTHCHECK"].into_iter().find(|keyword| statement.is(keyword));
    let Some(keyword) = counted else { return };
    if let Some(before) = last.insert(keyword, statement.span()) {
        let message = format!(
            "Multiple {} instructions should not be used in the same stage because only the last one will be used",
            statement.keyword_text()
        );
        found.add(Rule::MultipleInstructionsDisallowed, before, message);
    }
}
