//! Options that have a small language of their own.

use std::{collections::BTreeMap, env, path::PathBuf, str::FromStr};

use polyarch_actors::{SecretRef, SecretSource, SshRef};

use crate::{NamedInput, bake::split_fields};

/// `--secret`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SecretOption(pub(super) SecretRef);

impl FromStr for SecretOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields = fields(text)?;
        let mut take = |name: &str| fields.remove(name);
        let id = take("id").filter(|id| !id.is_empty()).ok_or("no id is given (use id=ID,src=FILE)")?;
        let kind = take("type");
        let file = take("src").or_else(|| take("source"));
        let variable = take("env");
        if let Some(unknown) = fields.keys().next() {
            return Err(format!("{unknown:?} is no field of a secret (id, type, src, env)"));
        }
        let source = match (kind.as_deref(), file, variable) {
            (None | Some("env"), None, Some(variable)) | (Some("env"), Some(variable), None) => {
                SecretSource::Env(variable)
            }
            (None | Some("file"), Some(file), None) => SecretSource::File(absolute(&file)),
            (Some("env"), None, None) => SecretSource::Env(id.clone()),
            (None, None, None) if env::var_os(&id).is_some() => SecretSource::Env(id.clone()),
            (None | Some("file"), None, None) => SecretSource::File(absolute(&id)),
            (Some("file" | "env") | None, ..) => return Err("give either src or env".into()),
            (Some(other), ..) => return Err(format!("unknown type {other:?} (file or env)")),
        };
        if let SecretSource::Env(variable) = &source
            && env::var_os(variable).is_none()
        {
            return Err(format!("the environment variable {variable} of secret {id} is not set"));
        }
        Ok(Self(SecretRef { id, source }))
    }
}

/// `--ssh`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SshOption(pub(super) SshRef);

impl FromStr for SshOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, paths) = text.split_once('=').unwrap_or((text, ""));
        if id.is_empty() {
            return Err("no id is given (use default or ID=SOCKET)".into());
        }
        let paths: Vec<PathBuf> = paths.split(',').filter(|path| !path.is_empty()).map(absolute).collect();
        if paths.is_empty() && env::var_os("SSH_AUTH_SOCK").is_none() {
            return Err("there is no SSH agent (SSH_AUTH_SOCK is not set): start one or name a key".into());
        }
        if let Some(missing) = paths.iter().find(|path| !path.exists()) {
            return Err(format!("{} does not exist", missing.display()));
        }
        Ok(Self(SshRef { id: id.to_owned(), paths }))
    }
}

/// Reads `NAME=SOURCE` of `--build-context`.
pub(super) fn build_context(text: &str) -> Result<(String, NamedInput), String> {
    let wrong = |reason: String| format!("invalid build context {text:?}: {reason}");
    let (name, source) = text
        .split_once('=')
        .filter(|(name, source)| !name.is_empty() && !source.is_empty())
        .ok_or_else(|| wrong("expected NAME=DIR, NAME=docker-image://IMAGE or another source".into()))?;
    let source = NamedInput::read(source).map_err(|error| wrong(error.to_string()))?;
    Ok((name.to_owned(), source))
}

/// Reads `KEY[=VALUE]` pairs; a key without a value is looked up in the environment, and left out if it is not there.
pub(super) fn build_args(pairs: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut all = BTreeMap::new();
    for pair in pairs {
        let (key, value) = match pair.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (pair.as_str(), env::var(pair).ok()),
        };
        if key.is_empty() {
            return Err(format!("invalid build argument {pair:?}: the name is empty"));
        }
        all.extend(value.map(|value| (key.to_owned(), value)));
    }
    Ok(all)
}

/// Reads `KEY=VALUE` pairs.
pub(super) fn pairs(what: &str, pairs: &[String]) -> Result<BTreeMap<String, String>, String> {
    let read = |pair: &String| match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("invalid {what} {pair:?}: expected KEY=VALUE")),
    };
    pairs.iter().map(read).collect()
}

/// `key=value,key=value`, each key once; a field with a comma stands in quotes.
pub(super) fn fields(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut fields = BTreeMap::new();
    for field in split_fields(text) {
        let (key, value) = field.split_once('=').ok_or_else(|| format!("{field:?} is not KEY=VALUE"))?;
        if fields.insert(key.trim().to_ascii_lowercase(), value.to_owned()).is_some() {
            return Err(format!("{key} is given twice"));
        }
    }
    Ok(fields)
}

pub(super) fn switch(value: Option<&str>, default: bool) -> Result<bool, String> {
    match value {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| format!("{value:?} is neither true nor false")),
    }
}

fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_references() {
        let secret = |text: &str| text.parse::<SecretOption>().map(|option| option.0.source);
        assert_eq!(secret("id=a,src=/run/a"), Ok(SecretSource::File(absolute("/run/a"))));
        assert_eq!(secret("id=a,env=PATH"), Ok(SecretSource::Env("PATH".into())));
        assert_eq!(secret("id=PATH"), Ok(SecretSource::Env("PATH".into())));
        assert!(secret("id=a,env=POLYARCH_NO_SUCH_VARIABLE").expect_err("unset").contains("is not set"));
        assert!(secret("src=/run/a").expect_err("no id").contains("no id is given"));
        assert!(secret("id=a,src=/x,env=PATH").expect_err("both").contains("either src or env"));
    }

    #[test]
    fn pairs_keep_everything_after_the_first_equals_sign() {
        let args = build_args(&["A=b=c".into(), "POLYARCH_NO_SUCH_VARIABLE".into(), "E=".into()])
            .expect("arguments");
        assert_eq!(
            args.into_iter().collect::<Vec<_>>(),
            [("A".into(), "b=c".into()), ("E".into(), String::new())]
        );
        assert!(pairs("label", &["x".into()]).expect_err("no value").contains("invalid label \"x\""));
        assert!(build_context("a=s3://x").expect_err("scheme").contains("\"s3://x\" is not supported"));
        assert!(build_context("a").expect_err("no source").contains("expected NAME=DIR"));
    }
}
