//! Attributes whose elements are written as `key=value,key=value` or as objects.
//!
//! Source: buildx, `util/buildflags`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::value::Value;

/// A cache, an output or an attestation, by its fields.
pub type Entry = BTreeMap<String, String>;

/// A secret of RUN steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Secret {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// The variable with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

/// An SSH agent of RUN steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SshKey {
    /// Its name.
    pub id: String,
    /// Its socket, or its keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// Which kind of fields is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    Cache,
    Output,
    Attestation,
}

/// The fields of an element; none for an empty one.
pub(super) fn entry(kind: EntryKind, value: &Value) -> Result<Option<Entry>, String> {
    match value {
        Value::Map(map) => {
            let known = map.iter().filter(|(_, value)| **value != Value::Null);
            known
                .map(|(key, value)| Ok((key.clone(), value.text()?)))
                .collect::<Result<_, String>>()
                .map(Some)
        }
        value => {
            let text = value.text()?;
            if text.is_empty() { Ok(None) } else { entry_of_text(kind, &text).map(Some) }
        }
    }
}

/// The fields of an element that is written as text.
pub(super) fn entry_of_text(kind: EntryKind, text: &str) -> Result<Entry, String> {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    if !text.contains('=') {
        return Ok(match kind {
            EntryKind::Cache => [pair("type", "registry"), pair("ref", text)].into(),
            EntryKind::Output if text == "-" => [pair("type", "tar"), pair("dest", "-")].into(),
            EntryKind::Output => [pair("type", "local"), pair("dest", text)].into(),
            EntryKind::Attestation => [pair("type", text)].into(),
        });
    }
    fields(text)
}

/// The secret that an element stands for.
pub(super) fn secret(value: &Value) -> Result<Option<Secret>, String> {
    let fields = match value {
        Value::Map(_) => entry(EntryKind::Cache, value)?.unwrap_or_default(),
        value => match value.text()? {
            text if text.is_empty() => return Ok(None),
            text => fields(&text)?,
        },
    };
    let mut secret = Secret::default();
    let mut kind = None;
    for (key, value) in fields {
        match key.as_str() {
            "id" => secret.id = Some(value),
            "src" | "source" => secret.src = Some(value),
            "env" => secret.env = Some(value),
            "type" => kind = Some(value),
            other => return Err(format!("{other:?} is no field of a secret (id, src, env)")),
        }
    }
    match kind.as_deref() {
        Some("env") if secret.env.is_none() => secret.env = secret.src.take().or_else(|| secret.id.clone()),
        None | Some("env" | "file") => {}
        Some(other) => return Err(format!("unknown type {other:?} of a secret (file or env)")),
    }
    Ok(Some(secret))
}

/// The SSH agent that an element stands for.
pub(super) fn ssh(value: &Value) -> Result<Option<SshKey>, String> {
    match value {
        Value::Map(map) => {
            let id = map.get("id").map_or(Ok("default".to_owned()), Value::text)?;
            let paths = match map.get("paths") {
                None | Some(Value::Null) => Vec::new(),
                Some(paths) => paths.list()?.iter().map(Value::text).collect::<Result<_, _>>()?,
            };
            Ok(Some(SshKey { id, paths }))
        }
        value => {
            let text = value.text()?;
            if text.is_empty() {
                return Ok(None);
            }
            let (id, paths) = text.split_once('=').unwrap_or((&text, ""));
            let paths = paths.split(',').filter(|path| !path.is_empty()).map(str::to_owned).collect();
            Ok(Some(SshKey { id: id.to_owned(), paths }))
        }
    }
}

/// `key=value,key=value`, where a field with a comma stands in quotes.
fn fields(text: &str) -> Result<Entry, String> {
    let mut found = Entry::new();
    for field in split_fields(text) {
        let (key, value) = field.split_once('=').ok_or_else(|| format!("{field:?} is not KEY=VALUE"))?;
        if found.insert(key.trim().to_ascii_lowercase(), value.to_owned()).is_some() {
            return Err(format!("{key} is given twice"));
        }
    }
    Ok(found)
}

/// The fields between commas; one with a comma stands in quotes.
pub(crate) fn split_fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for letter in text.chars() {
        match (letter, fields.last_mut()) {
            ('"', _) => quoted = !quoted,
            (',', _) if !quoted => fields.push(String::new()),
            (letter, Some(field)) => field.push(letter),
            (_, None) => {}
        }
    }
    fields
}
