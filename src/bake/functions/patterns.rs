//! Regular expressions.

use regex::{Captures, Regex, RegexBuilder};

use super::{super::value::Value, arguments::exactly};

/// How large a regular expression may become, in bytes.
const LARGEST: usize = 1 << 20;

fn compile(pattern: &Value) -> Result<Regex, String> {
    let pattern = pattern.text()?;
    let built = RegexBuilder::new(&pattern).size_limit(LARGEST).build();
    built.map_err(|_| format!("{pattern:?} is no regular expression that is supported"))
}

/// Each group may be the whole text.
fn check_groups(expression: &Regex, text: &str) -> Result<(), String> {
    let most = expression.captures_len().saturating_mul(text.len());
    if most > super::format::LONGEST { Err("the result is too long".into()) } else { Ok(()) }
}

/// The text, the groups by number, or the groups by name.
fn found(expression: &Regex, captures: &Captures<'_>) -> Value {
    let text = |group: Option<regex::Match<'_>>| group.map_or(Value::Null, |group| group.as_str().into());
    let names: Vec<&str> = expression.capture_names().flatten().collect();
    if !names.is_empty() {
        let groups = names.into_iter().map(|name| (name.to_owned(), text(captures.name(name))));
        return Value::Map(groups.collect());
    }
    match captures.len() {
        0 | 1 => text(captures.get(0)),
        _ => Value::List(captures.iter().skip(1).map(text).collect()),
    }
}

pub(super) fn regex(values: &[Value]) -> Result<Value, String> {
    let [pattern, text] = exactly(values)?;
    let (expression, text) = (compile(pattern)?, text.text()?);
    check_groups(&expression, &text)?;
    let captures = expression.captures(&text).ok_or("the pattern is not in the string")?;
    Ok(found(&expression, &captures))
}

pub(super) fn regexall(values: &[Value]) -> Result<Value, String> {
    let [pattern, text] = exactly(values)?;
    let (expression, text) = (compile(pattern)?, text.text()?);
    check_groups(&expression, &text)?;
    Ok(Value::List(expression.captures_iter(&text).map(|captures| found(&expression, &captures)).collect()))
}

pub(super) fn regex_replace(values: &[Value]) -> Result<Value, String> {
    let [text, pattern, replacement] = exactly(values)?;
    let (text, expression, replacement) = (text.text()?, compile(pattern)?, replacement.text()?);
    let most = expression.find_iter(&text).count().saturating_mul(replacement.len() + text.len());
    if most > super::format::LONGEST {
        return Err("the result is too long".into());
    }
    Ok(expression.replace_all(&text, replacement).into_owned().into())
}
