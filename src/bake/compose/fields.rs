//! The keys of a `build` section.

use std::collections::BTreeMap;

use super::super::{
    attributes,
    entry::{self, Entry, Secret, SshKey},
    interpolate::Environment,
    target::Target,
    value::Value,
};

/// The attribute of a target that a key of a build section is.
pub(super) fn attribute(key: &str) -> String {
    match key {
        "additional_contexts" => "contexts".into(),
        "secrets" => "secret".into(),
        "provenance" | "sbom" => "attest".into(),
        other => other.replace('_', "-"),
    }
}

/// Sets what a key of a build section says.
pub(super) fn set(
    target: &mut Target,
    key: &str,
    value: &Value,
    secrets: &Value,
    environment: &Environment<'_>,
) -> Result<(), String> {
    match key {
        "additional_contexts" => {
            for (name, context) in attributes::map(value)? {
                target.contexts.insert(name, context_of(&context));
            }
        }
        "args" => {
            for (name, value) in value.map()? {
                let value = if *value == Value::Null { environment(name) } else { Some(value.text()?) };
                target.args.extend(value.map(|value| (name.clone(), value)));
            }
        }
        "cache_from" => drop(attributes::set(target, "cache-from", value)?),
        "cache_to" => drop(attributes::set(target, "cache-to", value)?),
        "dockerfile_inline" => target.dockerfile_inline = Some(value.text()?),
        "entitlements" | "labels" | "platforms" | "tags" | "context" | "dockerfile" | "network"
        | "target" => {
            attributes::set(target, key, value)?;
        }
        "extra_hosts" => {
            for (name, addresses) in value.map()? {
                let addresses = match addresses {
                    Value::List(list) => {
                        list.iter().map(Value::text).collect::<Result<Vec<_>, _>>()?.join(",")
                    }
                    one => one.text()?,
                };
                target.extra_hosts.insert(name.clone(), addresses);
            }
        }
        // As in buildx, only what switches them on counts.
        "no_cache" if value.bool()? => target.no_cache = Some(true),
        "pull" if value.bool()? => target.pull = Some(true),
        "shm_size" => target.shm_size = Some(value.text()?),
        "privileged" if value.bool()? => {
            return Err("write x-bake with entitlements, or RUN --security=insecure".into());
        }
        "provenance" | "sbom" => target.add_attestations(vec![attestation(key, value)?]),
        "secrets" => {
            for used in value.list()? {
                target.secrets.push(secret(used, secrets)?);
            }
        }
        "ssh" => target.ssh = ssh(value)?,
        "ulimits" => target.ulimits = ulimits(value)?,
        "no_cache" | "pull" | "isolation" | "privileged" => {}
        key if key.starts_with("x-") => {}
        _ => return Err("this is not supported".into()),
    }
    Ok(())
}

fn context_of(context: &str) -> String {
    match context.strip_prefix("service:").or_else(|| context.strip_prefix("target:")) {
        Some(target) => format!("target:{}", target.replace('.', "_")),
        None => context.to_owned(),
    }
}

fn attestation(kind: &str, value: &Value) -> Result<Entry, String> {
    let text = value.text()?;
    let mut fields = Entry::from([("type".to_owned(), kind.to_owned())]);
    match text.as_str() {
        "true" => {}
        "false" => drop(fields.insert("disabled".into(), "true".into())),
        text => {
            for field in text.split(',') {
                let (key, value) =
                    field.split_once('=').ok_or_else(|| format!("{field:?} is not KEY=VALUE"))?;
                fields.insert(key.to_owned(), value.to_owned());
            }
        }
    }
    Ok(fields)
}

fn secret(used: &Value, all: &Value) -> Result<Secret, String> {
    let name = match used {
        Value::Map(fields) => fields.get("source").ok_or("there is no source")?.text()?,
        name => name.text()?,
    };
    let declared = all.map()?.get(&name).ok_or_else(|| format!("there is no secret {name:?} in the file"))?;
    let fields = if *declared == Value::Null { &BTreeMap::new() } else { declared.map()? };
    let field = |key: &str| fields.get(key).map(Value::text).transpose();
    if fields.get("external").is_some_and(|external| external.bool() == Ok(true)) {
        return Err(format!("the secret {name} is external, which is not supported"));
    }
    Ok(Secret { id: Some(name.clone()), src: field("file")?, env: field("environment")? })
}

fn ssh(value: &Value) -> Result<Vec<SshKey>, String> {
    let mut keys = match value {
        Value::Map(map) => {
            let key = |(id, path): (&String, &Value)| {
                let paths = if *path == Value::Null { Vec::new() } else { vec![path.text()?] };
                Ok(SshKey { id: id.clone(), paths })
            };
            map.iter().map(key).collect::<Result<Vec<_>, String>>()?
        }
        value => {
            value.list()?.iter().filter_map(|key| entry::ssh(key).transpose()).collect::<Result<_, _>>()?
        }
    };
    keys.sort();
    Ok(keys)
}

fn ulimits(value: &Value) -> Result<Vec<String>, String> {
    let limit = |(name, limit): (&String, &Value)| match limit {
        Value::Map(fields) => {
            let field =
                |key: &str| fields.get(key).ok_or_else(|| format!("{name}: there is no {key}"))?.text();
            Ok(format!("{name}={}:{}", field("soft")?, field("hard")?))
        }
        both => both.text().map(|both| format!("{name}={both}:{both}")),
    };
    value.map()?.iter().map(limit).collect()
}

/// What compose has no words for. Strings are lists with blanks between their elements. An error is told with the key
/// that it is about.
pub(super) fn extend(target: &mut Target, extension: &Value) -> Result<(), (String, String)> {
    for (key, value) in extension.map().map_err(|reason| (String::new(), reason))? {
        let wrong = |reason: String| (key.clone(), format!("{key}: {reason}"));
        if let "pull" | "no-cache" | "platform-overrides" = key.as_str() {
            attributes::set(target, key, value).map_err(wrong)?;
            continue;
        }
        let list = match value {
            Value::Text(text) => Value::texts(text.split_whitespace()),
            other => other.clone(),
        };
        let mut more = Target::default();
        let known =
            ["cache-from", "cache-to", "contexts", "entitlements", "no-cache-filter", "output", "platforms"];
        if !known.contains(&key.as_str()) && !["secret", "ssh", "tags"].contains(&key.as_str()) {
            return Err((key.clone(), format!("there is no {key:?} in x-bake")));
        }
        attributes::set(&mut more, key, &list).map_err(wrong)?;
        for (name, context) in more.contexts {
            target.contexts.entry(name).or_insert_with(|| context_of(&context));
        }
        let add = |mine: &mut Option<Vec<String>>, more: Option<Vec<String>>| {
            mine.get_or_insert_default().extend(more.unwrap_or_default());
        };
        match key.as_str() {
            "tags" => add(&mut target.tags, more.tags),
            "platforms" => add(&mut target.platforms, more.platforms),
            "cache-to" => target.cache_to.get_or_insert_default().extend(more.cache_to.unwrap_or_default()),
            "output" => target.outputs.get_or_insert_default().extend(more.outputs.unwrap_or_default()),
            _ => {}
        }
        target.cache_from.extend(more.cache_from);
        target.entitlements.extend(more.entitlements);
        target.no_cache_filter.extend(more.no_cache_filter);
        target.secrets.extend(more.secrets);
        target.ssh.extend(more.ssh);
    }
    target.normalise();
    Ok(())
}
