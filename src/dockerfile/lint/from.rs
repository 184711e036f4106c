//! FROM: names that mean something else, and variables that name nothing.

use std::collections::{BTreeMap, BTreeSet};

use polyarch_actors::Platform;

use super::{
    super::{
        ast::{Dockerfile, Word},
        expand::{Expander, Expansion},
        plan::PlanOptions,
        scope::GlobalScope,
        statement::Statement,
        suggest::nearest,
    },
    found::Found,
    rule::Rule,
    source::Source,
};
use crate::oci::Reference;

/// Names that already mean something.
const RESERVED: [&str; 2] = ["context", "scratch"];

/// How many undeclared variables of one word are told of.
const MOST_NAMES: usize = 50;

/// Looks at names, which need no variables.
pub(super) fn check_names(source: &Source<'_>, found: &mut Found<'_>) {
    for stage in &source.stages {
        let name = stage.stage.name.as_deref();
        if let Some(name) = name.filter(|name| RESERVED.contains(name)) {
            let message = format!("Stage name should not use the same name as reserved stage {name:?}");
            let place = stage.from.blank_separated().pop().map(|word| stage.from.span_of(&word.range));
            found.add(Rule::ReservedStageName, place.unwrap_or(stage.stage.span), message);
        }
    }
}

/// Looks at the bases and platforms.
pub(super) fn check(
    source: &Source<'_>,
    dockerfile: &Dockerfile,
    scope: &GlobalScope,
    options: &PlanOptions<'_>,
    found: &mut Found<'_>,
) {
    let escape = dockerfile.directives.escape;
    let declared: BTreeSet<&str> = dockerfile.global_args.iter().map(|arg| arg.name.as_str()).collect();
    let no_arguments = BTreeMap::new();
    let defaults = GlobalScope::new(dockerfile, &PlanOptions { build_args: &no_arguments, ..*options }).ok();
    let names: BTreeSet<&str> = dockerfile.stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
    for stage in &source.stages {
        let base = &stage.stage.base;
        check_declared(&stage.from, base, escape, scope, &declared, found);
        if let Some(defaults) = &defaults
            && base.text.contains('$')
            && let Some(by_default) = expand(base, escape, &defaults.values)
            && !names.contains(by_default.text.to_lowercase().as_str())
            && by_default.text.parse::<Reference>().is_err()
        {
            let message =
                format!("Default value for ARG {} results in empty or invalid base image name", base.text);
            found.add(Rule::InvalidDefaultArgInFrom, base.span, message);
        }
        if let Some(platform) = &stage.stage.platform {
            check_declared(&stage.from, platform, escape, scope, &declared, found);
            check_platform(platform, stage.stage.name.as_deref(), escape, scope, found);
        }
    }
}

fn check_declared(
    from: &Statement<'_>,
    word: &Word,
    escape: char,
    scope: &GlobalScope,
    declared: &BTreeSet<&str>,
    found: &mut Found<'_>,
) {
    let Some(expansion) = expand(word, escape, &scope.values) else { return };
    let undeclared = expansion.unset.iter().filter(|name| !declared.contains(name.as_str()));
    for name in undeclared.take(MOST_NAMES) {
        let known = declared.iter().copied().chain(scope.values.keys().map(String::as_str));
        let may_compare = found.may_compare(declared.len() + scope.values.len());
        let hint = nearest(name, known.filter(|_| may_compare))
            .map(|known| format!(" (did you mean {known}?)"))
            .unwrap_or_default();
        let message = format!("FROM argument '{name}' is not declared{hint}");
        found.add(Rule::UndefinedArgInFrom, from.place_of_variable(name), message);
    }
}

fn check_platform(word: &Word, name: Option<&str>, escape: char, scope: &GlobalScope, found: &mut Found<'_>) {
    const TARGET: &str = "TARGETPLATFORM";
    let (Some(expansion), Some(bare)) =
        (expand(word, escape, &scope.values), expand(word, escape, &BTreeMap::new()))
    else {
        return;
    };
    let used: Vec<&str> = bare.unset.iter().map(String::as_str).collect();
    if used == [TARGET] && scope.values.get(TARGET) == Some(&expansion.text) {
        let message = format!(
            "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
            word.text
        );
        found.add(Rule::RedundantTargetPlatform, word.span, message);
    }
    let Some(platform) = expansion.text.parse::<Platform>().ok().filter(|_| used.is_empty()) else { return };
    // A stage that is called after its platform has it on purpose.
    let says = |part: &str| name.is_some_and(|name| name.contains(part));
    if !says(&platform.os().to_string()) && !says(platform.arch()) {
        let message = format!("FROM --platform flag should not use constant value {:?}", expansion.text);
        found.add(Rule::FromPlatformFlagConstDisallowed, word.span, message);
    }
}

fn expand(word: &Word, escape: char, values: &BTreeMap<String, String>) -> Option<Expansion> {
    Expander::new(escape, values).expand(&word.text).ok()
}
