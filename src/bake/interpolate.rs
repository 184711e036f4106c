//! `$VARIABLE` and `${VARIABLE…}` in compose files.
//!
//! Source: compose-spec, `12-interpolation.md`.

use super::value::Value;

/// What the environment says.
pub(super) type Environment<'e> = dyn Fn(&str) -> Option<String> + Sync + 'e;

/// How deep defaults may be in each other.
const DEEPEST: usize = 16;

/// Replaces the variables in all strings of a value. `path` has the keys that lead to it; where this fails, it has
/// those that lead to what is wrong.
pub(super) fn interpolate(
    value: Value,
    environment: &Environment<'_>,
    path: &mut Vec<String>,
) -> Result<Value, String> {
    let mut inner = |key: String, value: Value| {
        path.push(key);
        let value = interpolate(value, environment, path)?;
        path.pop();
        Ok(value)
    };
    Ok(match value {
        Value::Text(text) => Value::Text(replace(&text, environment, 0)?),
        Value::List(list) => {
            let elements = list.into_iter().enumerate().map(|(at, value)| inner(at.to_string(), value));
            Value::List(elements.collect::<Result<_, String>>()?)
        }
        Value::Map(map) => {
            let entries = map.into_iter().map(|(key, value)| Ok((key.clone(), inner(key, value)?)));
            Value::Map(entries.collect::<Result<_, String>>()?)
        }
        other => other,
    })
}

fn replace(text: &str, environment: &Environment<'_>, depth: usize) -> Result<String, String> {
    if depth > DEEPEST {
        return Err("there are too many defaults in each other".into());
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let end = end_of(inside).ok_or_else(|| format!("${{ has no }} in {text:?}"))?;
            out.push_str(&braced(&inside[..end], environment, depth)?);
            rest = &inside[end + 1..];
        } else {
            let name = name_of(rest);
            if name.is_empty() {
                return Err(format!("a $ stands alone in {text:?} (write $$)"));
            }
            out.push_str(&environment(name).unwrap_or_default());
            rest = &rest[name.len()..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the brace is that closes a text.
fn end_of(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn name_of(text: &str) -> &str {
    let end =
        text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(text.len());
    if text.starts_with(|letter: char| letter.is_ascii_digit()) { "" } else { &text[..end] }
}

fn braced(inside: &str, environment: &Environment<'_>, depth: usize) -> Result<String, String> {
    let name = name_of(inside);
    let rest = &inside[name.len()..];
    if name.is_empty() {
        return Err(format!("${{{inside}}} has no name of a variable"));
    }
    let value = environment(name);
    let filled = value.clone().filter(|value| !value.is_empty());
    let other = |text: &str| replace(text, environment, depth + 1);
    let missing = |message: &str| {
        let message = if message.is_empty() { "it is not set" } else { message };
        Err(format!("the variable {name} is needed: {message}"))
    };
    if rest.is_empty() {
        return Ok(value.unwrap_or_default());
    }
    let operators: [&str; 6] = [":-", ":?", ":+", "-", "?", "+"];
    let found = operators.iter().find_map(|operator| Some((*operator, rest.strip_prefix(operator)?)));
    match found {
        Some((":-", default)) => filled.map_or_else(|| other(default), Ok),
        Some(("-", default)) => value.map_or_else(|| other(default), Ok),
        Some((":?", message)) => filled.map_or_else(|| missing(message), Ok),
        Some(("?", message)) => value.map_or_else(|| missing(message), Ok),
        Some((":+", instead)) => filled.map_or_else(|| Ok(String::new()), |_| other(instead)),
        Some((_, instead)) => value.map_or_else(|| Ok(String::new()), |_| other(instead)),
        None => Err(format!("${{{inside}}} is not supported")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_as_compose_does() {
        let environment = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected) in [
            ("$A ${A}", "a a"),
            ("$$A", "$A"),
            ("${B:-b}", "b"),
            ("${EMPTY:-b}", "b"),
            ("${EMPTY-b}", ""),
            ("${B:-${A}}", "a"),
            ("${A:+x}${B:+y}${EMPTY+z}", "xz"),
            ("${B}", ""),
        ] {
            assert_eq!(replace(text, &environment, 0).as_deref(), Ok(expected), "{text}");
        }
        for (text, reason) in [
            ("${B:?not given}", "the variable B is needed: not given"),
            ("${A", "has no }"),
            ("a $ b", "stands alone"),
            ("${}", "no name"),
            ("${A!}", "not supported"),
        ] {
            let error = replace(text, &environment, 0).expect_err(text);
            assert!(error.contains(reason), "{error}");
        }
    }
}
