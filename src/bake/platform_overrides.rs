//! What a target has for some of its platforms: `platform-overrides`, which buildx does not have.

use std::collections::BTreeMap;

use polyarch_actors::Platform;
use serde::Serialize;

use super::{attributes, error::BakeFault, resolve::TARGET_CONTEXT, target::escaped, value::Value};
use crate::pattern::PlatformPattern;

/// What can be said of some platforms.
const KEYS: [&str; 6] = ["args", "backend", "contexts", "dockerfile", "dockerfile-inline", "target"];

/// What the platforms that a pattern means have instead of what the target says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlatformOverride {
    /// Build arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "escaped::map")]
    pub args: BTreeMap<String, String>,
    /// The only backend that may build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Further contexts by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, String>,
    /// The Dockerfile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The text of the Dockerfile.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "escaped::text")]
    pub dockerfile_inline: Option<String>,
    /// The stage to build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// The overrides of a target, each with its pattern.
pub(super) type Overrides = BTreeMap<String, PlatformOverride>;

/// Reads a map of patterns and of what each of them changes.
pub(super) fn read(value: &Value) -> Result<Overrides, String> {
    if *value == Value::Null {
        return Ok(BTreeMap::new());
    }
    let mut all = BTreeMap::new();
    for (pattern, changes) in value.map()? {
        check_pattern(pattern)?;
        let mut of_pattern = PlatformOverride::default();
        let wrong = |reason: String| format!("{pattern}: {reason}");
        for (key, value) in changes.map().map_err(wrong)? {
            of_pattern.set(key, value).map_err(|reason| format!("{pattern}: {key}: {reason}"))?;
        }
        all.insert(pattern.clone(), of_pattern);
    }
    Ok(all)
}

/// Sets one value, as `--set TARGET.platform-overrides.PATTERN.KEY[.NAME]=VALUE` has it.
pub(super) fn set(all: &mut Overrides, place: &str, value: String) -> Result<(), String> {
    let named = ["args", "contexts"].into_iter().find_map(|key| {
        let (pattern, name) = place.split_once(&format!(".{key}."))?;
        Some((pattern, key, Some(name)))
    });
    let plain = || place.rsplit_once('.').map(|(pattern, key)| (pattern, key, None));
    let (pattern, key, name) = named
        .or_else(plain)
        .ok_or_else(|| format!("expected PATTERN.KEY=VALUE behind platform-overrides, not {place:?}"))?;
    check_pattern(pattern)?;
    let changes = all.entry(pattern.to_owned()).or_default();
    match (key, name) {
        ("args", Some(name)) => drop(changes.args.insert(name.to_owned(), value)),
        ("contexts", Some(name)) => drop(changes.contexts.insert(name.to_owned(), value)),
        ("args" | "contexts", None) => return Err(format!("expected {place}.NAME=VALUE")),
        _ => changes.set(key, &Value::Text(value))?,
    }
    Ok(())
}

/// Adds what another target says; what that says of the same pattern replaces values one by one.
pub(super) fn merge(mine: &mut Overrides, others: Overrides) {
    for (pattern, other) in others {
        let changes = mine.entry(pattern).or_default();
        changes.args.extend(other.args);
        changes.contexts.extend(other.contexts);
        for (mine, other) in [
            (&mut changes.backend, other.backend),
            (&mut changes.target, other.target),
            (&mut changes.dockerfile, other.dockerfile),
            (&mut changes.dockerfile_inline, other.dockerfile_inline),
        ] {
            if other.is_some() {
                *mine = other;
            }
        }
    }
}

/// Leaves out what is about none of these platforms, and contexts that were taken away. A definition is for many
/// choices of platforms, so what is about others is no mistake.
pub(super) fn keep_for(all: &mut Overrides, platforms: &[String]) {
    let platforms: Vec<Platform> = platforms
        .iter()
        .filter_map(|text| if text == "local" { Some(Platform::host_linux()) } else { text.parse().ok() })
        .collect();
    all.retain(|pattern, changes| {
        changes.contexts.retain(|_, context| !context.is_empty());
        let pattern = pattern.parse::<PlatformPattern>();
        platforms.is_empty() || pattern.is_ok_and(|pattern| platforms.iter().any(|one| pattern.matches(one)))
    });
}

impl PlatformOverride {
    fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        let text = || if *value == Value::Null { Ok(None) } else { value.text().map(Some) };
        match key {
            "args" => self.args = attributes::map(value)?,
            "backend" => self.backend = text()?,
            "contexts" => self.contexts = attributes::map(value)?,
            "dockerfile" => self.dockerfile = text()?,
            "dockerfile-inline" => self.dockerfile_inline = text()?,
            "target" => self.target = text()?,
            _ => return Err(BakeFault::unknown("attribute of some platforms", key, KEYS).to_string()),
        }
        Ok(())
    }

    /// The targets whose images are contexts of these platforms.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &str> {
        self.contexts.values().filter_map(|context| context.strip_prefix(TARGET_CONTEXT))
    }
}

fn check_pattern(text: &str) -> Result<(), String> {
    text.parse::<PlatformPattern>().map(drop).map_err(|error| error.to_string())
}
