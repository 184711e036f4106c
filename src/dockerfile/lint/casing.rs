//! How keywords and names are written: capital letters or small ones.

use super::{
    found::Found,
    rule::Rule,
    source::{Source, WrittenStage},
};

pub(super) fn check(source: &Source<'_>, found: &mut Found<'_>) {
    for stage in &source.stages {
        check_from(stage, found);
    }
    check_keywords(source, found);
}

fn check_from(stage: &WrittenStage<'_>, found: &mut Found<'_>) {
    let words = stage.from.blank_separated();
    let [_, r#as, name] = words.as_slice() else { return };
    if name.text != name.text.to_lowercase() {
        let message = format!("Stage name '{}' should be lowercase", name.text);
        found.add(Rule::StageNameCasing, stage.from.span_of(&name.range), message);
    }
    let from = stage.from.keyword_text();
    let matches = match Casing::of(from) {
        Some(Casing::Lower) => Casing::of(&r#as.text) == Some(Casing::Lower),
        Some(Casing::Upper) => Casing::of(&r#as.text) == Some(Casing::Upper),
        // The keyword itself is the first thing to change.
        None => true,
    };
    if !matches {
        let message = format!("'{}' and '{from}' keywords' casing do not match", r#as.text);
        found.add(Rule::FromAsCasing, stage.from.span_of(&r#as.range), message);
    }
}

/// What the majority does is right, and capitals where there is none. Mixed words count for nobody.
fn check_keywords(source: &Source<'_>, found: &mut Found<'_>) {
    let keywords = || source.stages.iter().flat_map(WrittenStage::statements);
    let count =
        |casing| keywords().filter(|statement| Casing::of(statement.keyword_text()) == Some(casing)).count();
    let (wanted, name) = if count(Casing::Lower) > count(Casing::Upper) {
        (Casing::Lower, "lowercase")
    } else {
        (Casing::Upper, "uppercase")
    };
    for statement in keywords() {
        let keyword = statement.keyword_text();
        if Casing::of(keyword) != Some(wanted) {
            let message =
                format!("Command '{keyword}' should match the case of the command majority ({name})");
            found.add(Rule::ConsistentInstructionCasing, statement.keyword_span(), message);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Casing {
    Lower,
    Upper,
}

impl Casing {
    /// The casing of a word that has one throughout.
    fn of(word: &str) -> Option<Self> {
        if word == word.to_lowercase() {
            Some(Self::Lower)
        } else if word == word.to_uppercase() {
            Some(Self::Upper)
        } else {
            None
        }
    }
}
