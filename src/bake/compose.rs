//! The `build` sections of compose files as targets.
//!
//! Source: buildx, `bake/compose.go`; compose-spec, `build.md`.

use std::collections::BTreeMap;

use super::{
    attributes,
    definition::{Definition, Group, check_name, dedup},
    entry::{Secret, SshKey},
    error::{BakeError, BakeFault, Place},
    interpolate::{Environment, interpolate},
    target::Target,
    value::Value,
};

/// Sections whose lists of `KEY=VALUE` are maps.
const MAPS: [&str; 4] = ["args", "labels", "additional_contexts", "extra_hosts"];

/// A file, not yet merged with others.
pub(super) struct Services {
    file: String,
    value: Value,
}

/// Reads a compose file.
pub(super) fn read(file: &str, text: &str, environment: &Environment<'_>) -> Result<Services, BakeError> {
    let value: Value = serde_saphyr::from_str(text).map_err(|error| {
        let position = error.location().and_then(|location| {
            Some((usize::try_from(location.line()).ok()?, usize::try_from(location.column()).ok()?))
        });
        let told = error.without_snippet().to_string();
        let reason = told.lines().next().unwrap_or_default().to_owned();
        BakeError { place: Some(Place { file: file.into(), position }), fault: BakeFault::Syntax { reason } }
    })?;
    let wrong = |reason| in_file(file, "the file", reason);
    if !value.map().map_err(wrong)?.contains_key("services") {
        return Err(in_file(file, "the file", "there are no services".into()));
    }
    let mut value = interpolate(value, environment).map_err(wrong)?;
    normalise(&mut value).map_err(wrong)?;
    Ok(Services { file: file.to_owned(), value })
}

/// Adds the targets of all files, as if they were one.
pub(super) fn add(
    definition: &mut Definition,
    files: Vec<Services>,
    environment: &Environment<'_>,
) -> Result<(), BakeError> {
    let Some(file) = files.first().map(|services| services.file.clone()) else { return Ok(()) };
    let mut whole = Value::Map(BTreeMap::new());
    for services in files {
        merge(&mut whole, services.value);
    }
    let wrong = |what: &str, reason| in_file(&file, what, reason);
    let sections = whole.map().map_err(|reason| wrong("the file", reason))?;
    let nothing = Value::Map(BTreeMap::new());
    let secrets = sections.get("secrets").unwrap_or(&nothing);
    let services = sections.get("services").unwrap_or(&nothing);
    let mut group = Group { name: "default".into(), ..Group::default() };
    for (service, value) in services.map().map_err(|reason| wrong("services", reason))? {
        let what = format!("service {service}");
        let Value::Map(fields) = value else { continue };
        let Some(build) = fields.get("build").filter(|build| **build != Value::Null) else { continue };
        let name = service.replace('.', "_");
        check_name("service", &name)
            .map_err(|error| error.at(&Place { file: file.as_str().into(), position: None }))?;
        let mut target =
            Target { name: name.clone(), origin: Some(file.as_str().into()), ..Target::default() };
        for (key, value) in build.map().map_err(|reason| wrong(&what, reason))? {
            let set = set(&mut target, key, value, secrets, environment);
            set.map_err(|reason| wrong(&format!("{what}: {key}"), reason))?;
        }
        if let Some(extension) = build.map().ok().and_then(|build| build.get("x-bake")) {
            extend(&mut target, extension).map_err(|reason| wrong(&format!("{what}: x-bake"), reason))?;
        }
        if let (None, Some(image)) = (&target.tags, fields.get("image")) {
            target.tags =
                Some(vec![image.text().map_err(|reason| wrong(&format!("{what}: image"), reason))?]);
        }
        group.targets.push(name);
        definition.targets.push(target);
    }
    dedup(&mut group.targets);
    definition.groups.push(group);
    Ok(())
}

/// Brings the short forms of sections into their long form.
fn normalise(file: &mut Value) -> Result<(), String> {
    let Value::Map(sections) = file else { return Ok(()) };
    let Some(Value::Map(services)) = sections.get_mut("services") else { return Ok(()) };
    for service in services.values_mut() {
        let Value::Map(fields) = service else { continue };
        let Some(build) = fields.get_mut("build") else { continue };
        if let Value::Text(context) = build {
            *build = Value::Map([("context".to_owned(), Value::Text(context.clone()))].into());
        }
        let Value::Map(build) = build else { continue };
        for section in MAPS {
            let Some(Value::List(list)) = build.get(section) else { continue };
            let mut map = BTreeMap::new();
            for element in list {
                let text = element.text()?;
                let split = match section {
                    "extra_hosts" => text.split_once('=').or_else(|| text.split_once(':')),
                    _ => text.split_once('='),
                };
                let (key, value) =
                    split.map_or((text.as_str(), Value::Null), |(key, value)| (key, value.into()));
                map.insert(key.to_owned(), value);
            }
            build.insert(section.to_owned(), Value::Map(map));
        }
    }
    Ok(())
}

/// Lays a file over another: maps are merged, lists are added to, and everything else is replaced.
fn merge(mine: &mut Value, other: Value) {
    match (mine, other) {
        (Value::Map(mine), Value::Map(other)) => {
            for (key, value) in other {
                match mine.get_mut(&key) {
                    Some(known) => merge(known, value),
                    None => drop(mine.insert(key, value)),
                }
            }
        }
        (Value::List(mine), Value::List(other)) => {
            for element in other {
                if !mine.contains(&element) {
                    mine.push(element);
                }
            }
        }
        (mine, other) => *mine = other,
    }
}

fn set(
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

fn attestation(kind: &str, value: &Value) -> Result<super::entry::Entry, String> {
    let text = value.text()?;
    let mut entry = super::entry::Entry::from([("type".to_owned(), kind.to_owned())]);
    match text.as_str() {
        "true" => {}
        "false" => drop(entry.insert("disabled".into(), "true".into())),
        fields => {
            for field in fields.split(',') {
                let (key, value) =
                    field.split_once('=').ok_or_else(|| format!("{field:?} is not KEY=VALUE"))?;
                entry.insert(key.to_owned(), value.to_owned());
            }
        }
    }
    Ok(entry)
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
        value => value
            .list()?
            .iter()
            .filter_map(|key| super::entry::ssh(key).transpose())
            .collect::<Result<_, _>>()?,
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

/// What compose has no words for. Strings are lists with blanks between their elements.
fn extend(target: &mut Target, extension: &Value) -> Result<(), String> {
    for (key, value) in extension.map()? {
        let wrong = |reason: String| format!("{key}: {reason}");
        if let "pull" | "no-cache" = key.as_str() {
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
            return Err(format!("there is no {key:?} in x-bake"));
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

fn in_file(file: &str, what: &str, reason: String) -> BakeError {
    BakeError::from(BakeFault::value(what, reason)).at(&Place { file: file.into(), position: None })
}
