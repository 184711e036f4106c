//! The `build` sections of compose files as targets.
//!
//! Source: buildx, `bake/compose.go`; compose-spec, `build.md`.

mod fields;
mod spans;

use std::collections::BTreeMap;

use self::spans::{places, position};
use super::{
    definition::{Definition, Group, check_name, dedup},
    error::{BakeError, BakeFault, Place},
    interpolate::{Environment, interpolate},
    places::Places,
    target::Target,
    value::Value,
};

/// Sections whose lists of `KEY=VALUE` are maps.
const MAPS: [&str; 4] = ["args", "labels", "additional_contexts", "extra_hosts"];

/// A file, not yet merged with others.
pub(super) struct Services {
    value: Value,
    places: Places,
}

/// Reads a compose file.
pub(super) fn read(file: &str, text: &str, environment: &Environment<'_>) -> Result<Services, BakeError> {
    let value: Value = serde_saphyr::from_str(text).map_err(|error| {
        let position = error.location().and_then(position);
        let told = error.without_snippet().to_string();
        let reason = told.lines().next().unwrap_or_default().to_owned();
        BakeError { place: Some(Place { file: file.into(), position }), fault: BakeFault::Syntax { reason } }
    })?;
    let places = places(file, text);
    let wrong = |path: &[String], reason| at(&places, path, "the file", reason);
    if !value.map().map_err(|reason| wrong(&[], reason))?.contains_key("services") {
        return Err(wrong(&[], "there are no services".into()));
    }
    let mut path = Vec::new();
    let mut value = interpolate(value, environment, &mut path).map_err(|reason| wrong(&path, reason))?;
    normalise(&mut value, &mut path).map_err(|reason| wrong(&path, reason))?;
    Ok(Services { value, places })
}

/// Adds the targets of all files, as if they were one.
pub(super) fn add(
    definition: &mut Definition,
    files: Vec<Services>,
    environment: &Environment<'_>,
) -> Result<(), BakeError> {
    if files.is_empty() {
        return Ok(());
    }
    let mut whole = Value::Map(BTreeMap::new());
    let mut places = Places::default();
    for services in files {
        merge(&mut whole, services.value);
        places.extend(services.places);
    }
    let wrong = |path: &[&str], what: &str, reason| at(&places, path, what, reason);
    let sections = whole.map().map_err(|reason| wrong(&[], "the file", reason))?;
    let nothing = Value::Map(BTreeMap::new());
    let secrets = sections.get("secrets").unwrap_or(&nothing);
    let services = sections.get("services").unwrap_or(&nothing);
    let mut group = Group { name: "default".into(), ..Group::default() };
    group.place = places.of(&["services"]).cloned();
    for (service, value) in services.map().map_err(|reason| wrong(&["services"], "services", reason))? {
        let what = format!("service {service}");
        let Value::Map(fields) = value else { continue };
        let Some(build) = fields.get("build").filter(|build| **build != Value::Null) else { continue };
        let name = service.replace('.', "_");
        check_name("service", &name).map_err(|error| error.maybe_at(places.of(&["services", service])))?;
        let mut target = Target { name: name.clone(), ..Target::default() };
        let mut note = |attribute: &str, path: &[&str]| {
            if let Some(place) = places.of(&[&["services", service], path].concat()) {
                target.note(attribute, place);
            }
        };
        note("", &[]);
        note("tags", &["image"]);
        let fields_of_build =
            build.map().map_err(|reason| wrong(&["services", service, "build"], &what, reason))?;
        for (key, value) in fields_of_build {
            if let ("x-bake", Value::Map(more)) = (key.as_str(), value) {
                for key in more.keys() {
                    note(key, &["build", "x-bake", key]);
                }
            } else {
                note(&fields::attribute(key), &["build", key]);
            }
        }
        for (key, value) in fields_of_build {
            let set = fields::set(&mut target, key, value, secrets, environment);
            let path = ["services", service, "build", key];
            set.map_err(|reason| wrong(&path, &format!("{what}: {key}"), reason))?;
        }
        if let Some(extension) = fields_of_build.get("x-bake") {
            fields::extend(&mut target, extension).map_err(|(key, reason)| {
                let path = ["services", service, "build", "x-bake", &key];
                wrong(&path, &format!("{what}: x-bake"), reason)
            })?;
        }
        if let (None, Some(image)) = (&target.tags, fields.get("image")) {
            let path = ["services", service, "image"];
            let image = image.text().map_err(|reason| wrong(&path, &format!("{what}: image"), reason))?;
            target.tags = Some(vec![image]);
        }
        group.targets.push(name);
        definition.targets.push(target);
    }
    dedup(&mut group.targets);
    definition.groups.push(group);
    Ok(())
}

/// Brings the short forms of sections into their long form. Where this fails, `path` leads to what is wrong.
fn normalise(file: &mut Value, path: &mut Vec<String>) -> Result<(), String> {
    let Value::Map(sections) = file else { return Ok(()) };
    let Some(Value::Map(services)) = sections.get_mut("services") else { return Ok(()) };
    for (name, service) in services {
        let Value::Map(fields) = service else { continue };
        let Some(build) = fields.get_mut("build") else { continue };
        if let Value::Text(context) = build {
            *build = Value::Map([("context".to_owned(), Value::Text(context.clone()))].into());
        }
        let Value::Map(build) = build else { continue };
        for section in MAPS {
            let Some(Value::List(list)) = build.get(section) else { continue };
            let mut map = BTreeMap::new();
            for (at, element) in list.iter().enumerate() {
                *path = ["services", name, "build", section].map(str::to_owned).into();
                path.push(at.to_string());
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

fn at<P: AsRef<str>>(places: &Places, path: &[P], what: &str, reason: String) -> BakeError {
    BakeError::from(BakeFault::value(what, reason)).maybe_at(places.of(path))
}
