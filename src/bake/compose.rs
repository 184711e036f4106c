//! The `build` sections of compose files as targets.
//!
//! Source: buildx, `bake/compose.go`; compose-spec, `build.md`.

mod fields;

use std::collections::BTreeMap;

use super::{
    definition::{Definition, Group, check_name, dedup},
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
            let set = fields::set(&mut target, key, value, secrets, environment);
            set.map_err(|reason| wrong(&format!("{what}: {key}"), reason))?;
        }
        if let Some(extension) = build.map().ok().and_then(|build| build.get("x-bake")) {
            fields::extend(&mut target, extension)
                .map_err(|reason| wrong(&format!("{what}: x-bake"), reason))?;
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

fn in_file(file: &str, what: &str, reason: String) -> BakeError {
    BakeError::from(BakeFault::value(what, reason)).at(&Place { file: file.into(), position: None })
}
