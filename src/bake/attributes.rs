//! The attributes of a block as a target or a group.

use std::collections::BTreeMap;

use super::{
    block::{Attribute, Block},
    definition::Group,
    entry::{self, Entry, EntryKind},
    error::{BakeError, BakeFault},
    eval::told,
    platform_overrides,
    scope::{Locals, World},
    target::Target,
    value::Value,
};

/// What a target may say.
const OF_TARGET: [&str; 31] = [
    "annotations",
    "args",
    "attest",
    "cache-from",
    "cache-to",
    "call",
    "context",
    "contexts",
    "description",
    "dockerfile",
    "dockerfile-inline",
    "entitlements",
    "extra-hosts",
    "inherits",
    "labels",
    "matrix",
    "name",
    "network",
    "no-cache",
    "no-cache-filter",
    "output",
    "platform-overrides",
    "platforms",
    "policy",
    "pull",
    "secret",
    "shm-size",
    "ssh",
    "tags",
    "target",
    "ulimits",
];

/// Reads a group.
pub(super) fn group(world: &World<'_>, block: &Block) -> Result<Group, BakeError> {
    let mut group = Group { name: block.label.clone(), ..Group::default() };
    for attribute in block.attributes.values() {
        let what = format!("group {}: {}", block.label, attribute.name);
        let value = world.evaluate(attribute, None)?;
        let wrong = |reason: String| told(&what, reason).at(&attribute.place);
        match attribute.name.as_str() {
            "targets" => {
                group.targets = texts(&value).map_err(wrong)?;
                group.place = Some(attribute.place.clone());
            }
            "description" => group.description = optional(&value, Value::text).map_err(wrong)?,
            name => return Err(unknown(name, ["targets", "description"], attribute)),
        }
    }
    Ok(group)
}

/// Reads a target, with the values that its matrix gives it.
pub(super) fn target(
    world: &World<'_>,
    block: &Block,
    name: &str,
    values: BTreeMap<String, Value>,
) -> Result<Target, BakeError> {
    let locals = Locals::new(values);
    let mut target = Target { name: name.to_owned(), ..Target::default() };
    target.note("", &block.place);
    if let Some(inner) = block.blocks.first() {
        let reason = format!("there is no block {:?} in a target (write {} = …)", inner.kind, inner.kind);
        return Err(told(&format!("target {name}"), reason).at(&inner.place));
    }
    for attribute in block.attributes.values() {
        if ["matrix", "name"].contains(&attribute.name.as_str()) {
            continue;
        }
        let value = world.evaluate(attribute, Some(&locals))?;
        target.note(&attribute.name, &attribute.place);
        let set = set(&mut target, &attribute.name, &value);
        match set {
            Ok(true) => {}
            Ok(false) => return Err(unknown(&attribute.name, OF_TARGET, attribute)),
            Err(reason) => {
                return Err(told(&format!("target {name}: {}", attribute.name), reason).at(&attribute.place));
            }
        }
    }
    Ok(target)
}

fn unknown<'n>(name: &str, known: impl IntoIterator<Item = &'n str>, attribute: &Attribute) -> BakeError {
    BakeError::from(BakeFault::unknown("attribute", name, known)).at(&attribute.place)
}

/// Sets an attribute; tells whether there is one of that name.
pub(super) fn set(target: &mut Target, name: &str, value: &Value) -> Result<bool, String> {
    match name {
        "annotations" => target.annotations = texts(value)?,
        "args" => target.args = map(value)?,
        "attest" => target.attest = entries(EntryKind::Attestation, value)?,
        "cache-from" => target.cache_from = entries(EntryKind::Cache, value)?,
        "cache-to" => target.cache_to = optional(value, |value| entries(EntryKind::Cache, value))?,
        "call" => target.call = optional(value, Value::text)?,
        "context" => target.context = optional(value, Value::text)?,
        "contexts" => target.contexts = map(value)?,
        "description" => target.description = optional(value, Value::text)?,
        "dockerfile" => target.dockerfile = optional(value, Value::text)?,
        "dockerfile-inline" => target.dockerfile_inline = optional(value, Value::text)?,
        "entitlements" => target.entitlements = texts(value)?,
        "extra-hosts" => target.extra_hosts = map(value)?,
        "inherits" => target.inherits = texts(value)?,
        "labels" => target.labels = map(value)?,
        "network" => target.network = optional(value, Value::text)?,
        "no-cache" => target.no_cache = optional(value, Value::bool)?,
        "no-cache-filter" => target.no_cache_filter = texts(value)?,
        "output" => target.outputs = optional(value, |value| entries(EntryKind::Output, value))?,
        "platform-overrides" => target.platform_overrides = platform_overrides::read(value)?,
        "platforms" => target.platforms = optional(value, texts)?,
        "policy" if *value != Value::Null => return Err("policies are not supported".into()),
        "pull" => target.pull = optional(value, Value::bool)?,
        "secret" => target.secrets = each(value, entry::secret)?,
        "shm-size" => target.shm_size = optional(value, Value::text)?,
        "ssh" => target.ssh = each(value, entry::ssh)?,
        "tags" => target.tags = optional(value, texts)?,
        "target" => target.target = optional(value, Value::text)?,
        "ulimits" => target.ulimits = texts(value)?,
        "policy" => {}
        _ => return Ok(false),
    }
    Ok(true)
}

fn optional<T>(value: &Value, read: impl FnOnce(&Value) -> Result<T, String>) -> Result<Option<T>, String> {
    if *value == Value::Null { Ok(None) } else { read(value).map(Some) }
}

/// A list of strings, without what is null.
pub(super) fn texts(value: &Value) -> Result<Vec<String>, String> {
    if *value == Value::Null {
        return Ok(Vec::new());
    }
    value.list()?.iter().filter(|element| **element != Value::Null).map(Value::text).collect()
}

/// A map of strings, without what is null.
pub(super) fn map(value: &Value) -> Result<BTreeMap<String, String>, String> {
    if *value == Value::Null {
        return Ok(BTreeMap::new());
    }
    let entries = value.map()?.iter().filter(|(_, value)| **value != Value::Null);
    entries
        .map(|(key, value)| Ok((key.clone(), value.text().map_err(|reason| format!("{key}: {reason}"))?)))
        .collect()
}

fn entries(kind: EntryKind, value: &Value) -> Result<Vec<Entry>, String> {
    each(value, |element| entry::entry(kind, element))
}

fn each<T>(value: &Value, read: impl Fn(&Value) -> Result<Option<T>, String>) -> Result<Vec<T>, String> {
    if *value == Value::Null {
        return Ok(Vec::new());
    }
    value.list()?.iter().filter_map(|element| read(element).transpose()).collect()
}
