//! Image configs: what OCI defines, and what Docker keeps beside it.
//!
//! Source: OCI image specification, `config.md`; moby, `image/spec/specs-go/v1/image.go`.

use std::collections::{BTreeMap, BTreeSet};

use polyarch_actors::{Descriptor, Digest, ImageOs};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    dockerfile::{Variables, folded},
    oci::index::EntryPlatform,
};

/// The `PATH` of an image that is built from nothing.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The same for Windows.
const WINDOWS_PATH: &str = r"PATH=c:\Windows\System32;c:\Windows;C:\Windows\System32\WindowsPowerShell\v1.0";

/// Who made an entry of a history.
pub(super) const COMMENT: &str = "polyarch";

/// An image config.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ImageConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub(super) author: String,
    #[serde(flatten)]
    pub(super) platform: EntryPlatform,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) config: RuntimeConfig,
    pub(super) rootfs: RootFs,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) history: Vec<History>,
}

/// What a runtime does with an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RuntimeConfig {
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub(super) user: String,
    #[serde(with = "keys", skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) exposed_ports: BTreeSet<String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(super) env: Vec<String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(super) entrypoint: Vec<String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(super) cmd: Vec<String>,
    #[serde(with = "keys", skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) volumes: BTreeSet<String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub(super) working_dir: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub(super) stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) args_escaped: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) healthcheck: Option<Health>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(super) shell: Vec<String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(super) on_build: Vec<String>,
}

/// How a container's health is found out; times are nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Health {
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(super) test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) interval: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) timeout: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) start_period: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) start_interval: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) retries: u64,
}

/// The layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RootFs {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".into(), diff_ids: Vec::new() }
    }
}

/// How a layer, or a part of the config, came about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) author: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) empty_layer: bool,
}

/// An image manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageManifest {
    pub(super) schema_version: u32,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) media_type: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<ImageLayer>,
}

/// A layer of an image manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ImageLayer {
    #[serde(flatten)]
    pub(super) descriptor: Descriptor,
    /// Where else it is.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(super) urls: Vec<String>,
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

impl From<Descriptor> for ImageLayer {
    fn from(descriptor: Descriptor) -> Self {
        Self { descriptor, urls: Vec::new(), other: BTreeMap::new() }
    }
}

impl ImageConfig {
    /// The config of an image that is built from nothing, as BuildKit begins it.
    pub(super) fn from_scratch(os: ImageOs) -> Self {
        let path = match os {
            ImageOs::Linux => PATH,
            ImageOs::Windows => WINDOWS_PATH,
        };
        let config = RuntimeConfig {
            env: vec![path.to_owned()],
            working_dir: "/".to_owned(),
            ..RuntimeConfig::default()
        };
        Self { config, ..Self::default() }
    }
}

impl RuntimeConfig {
    /// Sets a variable where it is, or at the end. On Windows, `Path` is `PATH`.
    pub(super) fn set_env(&mut self, name: &str, value: &str, os: ImageOs) {
        let text = format!("{name}={value}");
        let same = |entry: &&mut String| {
            let known = entry.split('=').next().unwrap_or_default();
            folded(known, os) == folded(name, os)
        };
        match self.env.iter_mut().find(same) {
            Some(entry) => *entry = text,
            None => self.env.push(text),
        }
    }

    /// The variables of a stage for `os` that begins with this.
    pub(super) fn variables(&self, os: ImageOs) -> Variables {
        let mut variables = Variables::new(os);
        for entry in &self.env {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            variables.set(name, value);
        }
        variables
    }
}

/// `null` is what is not there.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Sets that are written as the keys of objects whose values are empty.
mod keys {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(set: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
        let empty = BTreeMap::<&str, &str>::new();
        serializer.collect_map(set.iter().map(|key| (key, &empty)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<String>, D::Error> {
        let map = Option::<BTreeMap<String, serde_json::Value>>::deserialize(deserializer)?;
        Ok(map.into_iter().flatten().map(|(key, _)| key).collect())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
