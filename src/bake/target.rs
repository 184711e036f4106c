//! A target: its attributes, and how those of several places become one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    entry::{Entry, Secret, SshKey},
    error::Place,
    platform_overrides::{self, PlatformOverride},
};

/// What to build, with buildx's attributes; as JSON it is what buildx prints.
///
/// Source: buildx, `bake/bake.go` (`Target`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Target {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// Where its attributes are that files have, by their names; an empty name is the target itself.
    #[serde(skip)]
    pub places: BTreeMap<String, Place>,
    /// Whether only other targets need it, so that it gets no name.
    #[serde(skip)]
    pub linked: bool,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The targets that it begins as; none once it is resolved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inherits: Vec<String>,
    /// Annotations, as `--annotation` takes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<String>,
    /// Attestations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attest: Vec<Entry>,
    /// The context; `.` once it is resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Further contexts by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, String>,
    /// The Dockerfile; `Dockerfile` once it is resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The text of the Dockerfile.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "escaped::text")]
    pub dockerfile_inline: Option<String>,
    /// Build arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "escaped::map")]
    pub args: BTreeMap<String, String>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "escaped::map")]
    pub labels: BTreeMap<String, String>,
    /// Names for the image.
    #[serde(skip_serializing_if = "is_nothing")]
    pub tags: Option<Vec<String>>,
    /// Caches to read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_from: Vec<Entry>,
    /// Caches to write.
    #[serde(skip_serializing_if = "is_nothing")]
    pub cache_to: Option<Vec<Entry>>,
    /// The stage to build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Secrets.
    #[serde(rename = "secret", skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// SSH agents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh: Vec<SshKey>,
    /// Platforms.
    #[serde(skip_serializing_if = "is_nothing")]
    pub platforms: Option<Vec<String>>,
    /// What some platforms have instead, by patterns.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub platform_overrides: BTreeMap<String, PlatformOverride>,
    /// Outputs.
    #[serde(rename = "output", skip_serializing_if = "is_nothing")]
    pub outputs: Option<Vec<Entry>>,
    /// Whether registries are always asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull: Option<bool>,
    /// Whether every step is done again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_cache: Option<bool>,
    /// The network of RUN steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Stages whose steps are done again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_cache_filter: Vec<String>,
    /// The size of `/dev/shm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<String>,
    /// Limits of RUN steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ulimits: Vec<String>,
    /// What to do, if it is not to be built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// What it may not take by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<String>,
    /// Lines of `/etc/hosts`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "escaped::map")]
    pub extra_hosts: BTreeMap<String, String>,
}

impl Target {
    /// Where an attribute is, or else the target.
    pub fn place(&self, attribute: &str) -> Option<&Place> {
        self.places.get(attribute).or_else(|| self.places.get(""))
    }

    /// Notes where an attribute is.
    pub(super) fn note(&mut self, attribute: &str, place: &Place) {
        self.places.insert(attribute.to_owned(), place.clone());
    }

    /// Takes over what another one says: its values replace, and its lists are added to, as they are in buildx.
    ///
    /// Source: buildx, `bake/bake.go` (`Merge`).
    pub(super) fn merge(&mut self, other: Self) {
        fn replace<T>(mine: &mut Option<T>, other: Option<T>) {
            if other.is_some() {
                *mine = other;
            }
        }
        replace(&mut self.description, other.description);
        replace(&mut self.context, other.context);
        replace(&mut self.dockerfile, other.dockerfile);
        replace(&mut self.dockerfile_inline, other.dockerfile_inline);
        replace(&mut self.tags, other.tags);
        replace(&mut self.target, other.target);
        replace(&mut self.call, other.call);
        replace(&mut self.platforms, other.platforms);
        replace(&mut self.cache_to, other.cache_to);
        replace(&mut self.outputs, other.outputs);
        replace(&mut self.pull, other.pull);
        replace(&mut self.no_cache, other.no_cache);
        replace(&mut self.network, other.network);
        replace(&mut self.shm_size, other.shm_size);
        platform_overrides::merge(&mut self.platform_overrides, other.platform_overrides);
        self.args.extend(other.args);
        self.contexts.extend(other.contexts);
        self.labels.extend(other.labels);
        self.extra_hosts.extend(other.extra_hosts);
        self.annotations.extend(other.annotations);
        self.cache_from.extend(other.cache_from);
        self.secrets.extend(other.secrets);
        self.ssh.extend(other.ssh);
        self.no_cache_filter.extend(other.no_cache_filter);
        self.ulimits.extend(other.ulimits);
        self.entitlements.extend(other.entitlements);
        self.inherits.extend(other.inherits);
        self.add_attestations(other.attest);
        for (attribute, place) in other.places {
            // It is where it was first; what it says is where it was said last.
            if !attribute.is_empty() || !self.places.contains_key("") {
                self.places.insert(attribute, place);
            }
        }
    }

    /// Adds attestations, of which there is one of a type.
    pub(super) fn add_attestations(&mut self, more: Vec<Entry>) {
        for entry in more {
            self.attest.retain(|earlier| earlier.get("type") != entry.get("type"));
            self.attest.push(entry);
        }
    }

    /// Leaves out what is said twice, and contexts that were taken away.
    ///
    /// Source: buildx, `bake/bake.go` (`normalize`).
    pub(super) fn normalise(&mut self) {
        for texts in
            [&mut self.annotations, &mut self.no_cache_filter, &mut self.ulimits, &mut self.entitlements]
                .into_iter()
                .chain(self.tags.as_mut())
                .chain(self.platforms.as_mut())
        {
            texts.retain(|text| !text.is_empty());
            distinct(texts);
        }
        if self.network.as_deref() == Some("host") {
            self.entitlements.push("network.host".into());
            distinct(&mut self.entitlements);
        }
        distinct(&mut self.cache_from);
        self.cache_to.iter_mut().chain(&mut self.outputs).for_each(distinct);
        distinct(&mut self.secrets);
        distinct(&mut self.ssh);
        self.contexts.retain(|_, context| !context.is_empty());
    }
}

fn distinct<T: PartialEq + Clone>(list: &mut Vec<T>) {
    let mut kept: Vec<T> = Vec::with_capacity(list.len());
    for element in list.drain(..) {
        if !kept.contains(&element) {
            kept.push(element);
        }
    }
    *list = kept;
}

#[expect(clippy::ref_option, reason = "serde gives it so")]
fn is_nothing<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

/// Values as they can be read again: what would begin a template is doubled.
pub(super) mod escaped {
    use std::collections::BTreeMap;

    use serde::{Serialize, Serializer};

    fn escape(text: &str) -> String {
        text.replace("${", "$${").replace("%{", "%%{")
    }

    #[expect(clippy::ref_option, reason = "serde gives it so")]
    pub(in super::super) fn text<S: Serializer>(
        text: &Option<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        text.as_deref().map(escape).serialize(serializer)
    }

    pub(in super::super) fn map<S: Serializer>(
        map: &BTreeMap<String, String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(key, value)| (key, escape(value))))
    }
}
