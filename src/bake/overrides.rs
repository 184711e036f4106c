//! What the command line says about targets: `--set target.key=value`.
//!
//! Source: buildx, `bake/bake.go` (`newOverrides`, `AddOverrides`).

use std::collections::BTreeMap;

use super::{
    attributes,
    definition::Definition,
    entry::Entry,
    error::{BakeError, BakeFault, Place},
    platform_overrides,
    resolve::matches,
    target::Target,
    value::Value,
};

/// What may be set that has one value.
const SINGLE: [&str; 10] =
    ["call", "context", "dockerfile", "load", "network", "no-cache", "pull", "push", "shm-size", "target"];
/// What may be set several times, and the attribute it is.
const SEVERAL: [(&str, &str); 12] = [
    ("annotations", "annotations"),
    ("attest", "attest"),
    ("cache-from", "cache-from"),
    ("cache-to", "cache-to"),
    ("entitlements", "entitlements"),
    ("no-cache-filter", "no-cache-filter"),
    ("output", "output"),
    ("platform", "platforms"),
    ("secrets", "secret"),
    ("ssh", "ssh"),
    ("tags", "tags"),
    ("ulimits", "ulimits"),
];
/// What may be set by name.
const NAMED: [&str; 5] = ["args", "contexts", "extra-hosts", "labels", "platform-overrides"];
/// Of what can be set several times, what is always added to.
const ALWAYS_ADDED: [&str; 3] = ["annotations", "attest", "entitlements"];

/// The overrides of each target.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    of_targets: BTreeMap<String, Vec<Override>>,
}

#[derive(Clone, Debug)]
struct Override {
    key: String,
    /// What stands behind the second point.
    name: Option<String>,
    values: Vec<String>,
    adds: bool,
}

impl Overrides {
    pub(super) fn read(texts: &[String], definition: &Definition) -> Result<Self, BakeError> {
        let mut all = Self::default();
        for text in texts {
            let wrong = |reason: String| BakeError::from(BakeFault::value(format!("--set {text}"), reason));
            let (head, value) =
                text.split_once('=').ok_or_else(|| wrong("expected TARGET.KEY=VALUE".into()))?;
            let (head, adds) = head.strip_suffix('+').map_or((head, false), |head| (head, true));
            let mut parts = head.splitn(3, '.');
            let (Some(pattern), Some(key), name) = (parts.next(), parts.next(), parts.next()) else {
                return Err(wrong("expected TARGET.KEY=VALUE".into()));
            };
            let several = SEVERAL.iter().any(|(known, _)| *known == key);
            match (NAMED.contains(&key), name) {
                (true, None) => return Err(wrong(format!("expected {pattern}.{key}.NAME=VALUE"))),
                (false, Some(_)) => return Err(wrong(format!("{key} has no names"))),
                (false, None) if !several && !SINGLE.contains(&key) => {
                    let known = NAMED.iter().chain(&SINGLE).copied().chain(SEVERAL.map(|(key, _)| key));
                    return Err(BakeFault::unknown("key for --set", key, known).into());
                }
                _ => {}
            }
            let targets: Vec<&str> = definition.targets.iter().map(|target| target.name.as_str()).collect();
            let chosen: Vec<&str> = if targets.contains(&pattern) {
                vec![pattern]
            } else {
                targets.iter().copied().filter(|target| matches(pattern, target)).collect()
            };
            if chosen.is_empty() {
                return Err(BakeFault::unknown("target", pattern, targets).into());
            }
            for target in chosen {
                let overrides = all.of_targets.entry(target.to_owned()).or_default();
                let same = |earlier: &&mut Override| earlier.key == key && earlier.name.as_deref() == name;
                match overrides.iter_mut().find(same) {
                    Some(earlier) if several => {
                        earlier.adds = adds;
                        earlier.values.push(value.to_owned());
                    }
                    Some(earlier) => earlier.values = vec![value.to_owned()],
                    None => overrides.push(Override {
                        key: key.to_owned(),
                        name: name.map(str::to_owned),
                        values: vec![value.to_owned()],
                        adds,
                    }),
                }
            }
        }
        Ok(all)
    }

    /// Changes a target as the command line says.
    pub(super) fn apply(&self, target: &mut Target) -> Result<(), BakeError> {
        for change in self.of_targets.get(&target.name).into_iter().flatten() {
            let what = || format!("--set {}.{}", target.name, change.key);
            let what = what();
            one(target, change).map_err(|reason| BakeFault::value(what, reason))?;
            let attribute =
                SEVERAL.iter().find(|(key, _)| *key == change.key).map_or(change.key.as_str(), |one| one.1);
            if change.name.is_none() && !change.adds && !ALWAYS_ADDED.contains(&attribute) {
                // What it says is in no file any more.
                target.note(attribute, &Place { file: "--set".into(), position: None });
            }
        }
        Ok(())
    }
}

fn one(target: &mut Target, change: &Override) -> Result<(), String> {
    let value = change.values.last().cloned().unwrap_or_default();
    if let Some(name) = &change.name {
        if change.key == "platform-overrides" {
            return platform_overrides::set(&mut target.platform_overrides, name, value);
        }
        let map = match change.key.as_str() {
            "args" => &mut target.args,
            "contexts" => &mut target.contexts,
            "labels" => &mut target.labels,
            _ => &mut target.extra_hosts,
        };
        map.insert(name.clone(), value);
        return Ok(());
    }
    match change.key.as_str() {
        "push" => {
            push(target, Value::from(value).bool()?);
            return Ok(());
        }
        "load" if Value::from(value.as_str()).bool()? => {
            let outputs = target.outputs.get_or_insert_default();
            let is_loaded = |output: &Entry| {
                output.get("type").is_some_and(|kind| kind == "docker") && !output.contains_key("dest")
            };
            if !outputs.iter().any(is_loaded) {
                outputs.push([("type".into(), "docker".into())].into());
            }
            return Ok(());
        }
        "load" => return Ok(()),
        _ => {}
    }
    let Some((_, attribute)) = SEVERAL.iter().find(|(key, _)| *key == change.key) else {
        return attributes::set(target, &change.key, &Value::from(value)).map(drop);
    };
    let mut changed = Target::default();
    let values = Value::texts(change.values.iter().filter(|value| !value.is_empty()).cloned());
    attributes::set(&mut changed, attribute, &values)?;
    if change.adds || ALWAYS_ADDED.contains(&change.key.as_str()) {
        // What one more target says replaces these, and is added to everything else.
        changed.cache_to = after(&mut target.cache_to, changed.cache_to);
        changed.outputs = after(&mut target.outputs, changed.outputs);
        changed.platforms = after(&mut target.platforms, changed.platforms);
        changed.tags = after(&mut target.tags, changed.tags);
        target.merge(changed);
        return Ok(());
    }
    attributes::set(target, attribute, &values).map(drop)
}

/// What is said behind what was said before, if anything is.
fn after<T>(before: &mut Option<Vec<T>>, more: Option<Vec<T>>) -> Option<Vec<T>> {
    more.map(|more| before.take().into_iter().flatten().chain(more).collect())
}

/// Publishes what is built, or does not.
fn push(target: &mut Target, pushes: bool) {
    let is = |output: &Entry, kind: &str| output.get("type").is_some_and(|found| found == kind);
    let outputs = target.outputs.get_or_insert_default();
    if !pushes {
        outputs.retain(|output| !is(output, "registry"));
        for output in outputs.iter_mut().filter(|output| is(output, "image")) {
            output.insert("push".into(), "false".into());
        }
        return;
    }
    for output in outputs.iter_mut().filter(|output| is(output, "image")) {
        output.insert("push".into(), "true".into());
    }
    if outputs.iter().all(|output| is(output, "docker")) {
        outputs.push([("type".into(), "image".into()), ("push".into(), "true".into())].into());
    }
}
