//! Strings.

use super::{
    super::value::Value,
    arguments::{at_least, count, exactly, number, whole},
};

fn of_one(values: &[Value], work: impl FnOnce(&str) -> String) -> Result<Value, String> {
    let [text] = exactly(values)?;
    Ok(work(&text.text()?).into())
}

fn of_two(values: &[Value], work: impl FnOnce(&str, &str) -> String) -> Result<Value, String> {
    let [text, other] = exactly(values)?;
    Ok(work(&text.text()?, &other.text()?).into())
}

pub(super) fn upper(values: &[Value]) -> Result<Value, String> {
    of_one(values, str::to_uppercase)
}

pub(super) fn lower(values: &[Value]) -> Result<Value, String> {
    of_one(values, str::to_lowercase)
}

pub(super) fn title(values: &[Value]) -> Result<Value, String> {
    of_one(values, |text| {
        let mut starts = true;
        let letter = |letter: char| {
            let first =
                std::mem::replace(&mut starts, !letter.is_alphanumeric() && letter != '_' && letter != '\'');
            if first { letter.to_uppercase().collect() } else { letter.to_string() }
        };
        text.chars().map(letter).collect()
    })
}

pub(super) fn reverse(values: &[Value]) -> Result<Value, String> {
    of_one(values, |text| text.chars().rev().collect())
}

pub(super) fn chomp(values: &[Value]) -> Result<Value, String> {
    of_one(values, |text| text.trim_end_matches(['\n', '\r']).to_owned())
}

pub(super) fn trimspace(values: &[Value]) -> Result<Value, String> {
    of_one(values, |text| text.trim().to_owned())
}

pub(super) fn trim(values: &[Value]) -> Result<Value, String> {
    of_two(values, |text, letters| text.trim_matches(|letter| letters.contains(letter)).to_owned())
}

pub(super) fn trimprefix(values: &[Value]) -> Result<Value, String> {
    of_two(values, |text, prefix| text.strip_prefix(prefix).unwrap_or(text).to_owned())
}

pub(super) fn trimsuffix(values: &[Value]) -> Result<Value, String> {
    of_two(values, |text, suffix| text.strip_suffix(suffix).unwrap_or(text).to_owned())
}

pub(super) fn replace(values: &[Value]) -> Result<Value, String> {
    let [text, from, to] = exactly(values)?;
    let (text, from, to) = (text.text()?, from.text()?, to.text()?);
    let found = text.matches(&from).count();
    if found.saturating_mul(to.len()) > super::format::LONGEST {
        return Err("the result is too long".into());
    }
    Ok(text.replace(&from, &to).into())
}

pub(super) fn split(values: &[Value]) -> Result<Value, String> {
    let [separator, text] = exactly(values)?;
    let (separator, text) = (separator.text()?, text.text()?);
    if separator.is_empty() {
        return Ok(Value::texts(text.chars()));
    }
    if text.is_empty() {
        return Ok(Value::List(Vec::new()));
    }
    Ok(Value::texts(text.split(&separator)))
}

pub(super) fn join(values: &[Value]) -> Result<Value, String> {
    let values = at_least(2, values)?;
    let mut texts = Vec::new();
    for list in &values[1..] {
        for element in list.list()? {
            texts.push(element.text()?);
        }
    }
    let separator = values[0].text()?;
    if texts.len().saturating_mul(separator.len()) > super::format::LONGEST {
        return Err("the result is too long".into());
    }
    Ok(texts.join(&separator).into())
}

pub(super) fn strlen(values: &[Value]) -> Result<Value, String> {
    let [text] = exactly(values)?;
    Ok(number(text.text()?.chars().count()))
}

pub(super) fn substr(values: &[Value]) -> Result<Value, String> {
    let [text, offset, length] = exactly(values)?;
    let letters: Vec<char> = text.text()?.chars().collect();
    let all = i64::try_from(letters.len()).map_err(|error| error.to_string())?;
    let (offset, length) = (whole(offset)?, whole(length)?);
    let start = if offset < 0 { (all + offset).max(0) } else { offset.min(all) };
    let end = if length < 0 { all } else { (start + length).min(all) };
    let kept = letters.into_iter().skip(usize::try_from(start).unwrap_or_default());
    Ok(kept.take(usize::try_from(end - start).unwrap_or_default()).collect::<String>().into())
}

pub(super) fn indent(values: &[Value]) -> Result<Value, String> {
    let [spaces, text] = exactly(values)?;
    let (spaces, text) = (count(spaces)?, text.text()?);
    if spaces.saturating_mul(text.matches('\n').count() + 1) > super::format::LONGEST {
        return Err("the result is too long".into());
    }
    Ok(text.replace('\n', &format!("\n{}", " ".repeat(spaces))).into())
}

/// As Go's `path.Base`.
pub(super) fn basename(values: &[Value]) -> Result<Value, String> {
    of_one(values, |path| {
        if path.is_empty() {
            return ".".to_owned();
        }
        let trimmed = path.trim_end_matches('/');
        if trimmed.is_empty() { "/".into() } else { trimmed.rsplit('/').next().unwrap_or(trimmed).to_owned() }
    })
}

/// As Go's `path.Dir`.
pub(super) fn dirname(values: &[Value]) -> Result<Value, String> {
    of_one(values, |path| {
        let folder = path.rfind('/').map_or("", |slash| &path[..=slash]);
        let mut parts: Vec<&str> = Vec::new();
        for part in folder.split('/') {
            match part {
                "" | "." => {}
                ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
                ".." if path.starts_with('/') => {}
                part => parts.push(part),
            }
        }
        match (path.starts_with('/'), parts.is_empty()) {
            (true, _) => format!("/{}", parts.join("/")),
            (false, true) => ".".into(),
            (false, false) => parts.join("/"),
        }
    })
}

/// A text as a name for a target.
pub(super) fn sanitize(values: &[Value]) -> Result<Value, String> {
    of_one(values, |text| {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        text.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect()
    })
}
