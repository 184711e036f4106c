//! What buildah keeps of an image, as far as it matters here.

use std::io;

use polyarch_actors::{Digest, Platform};
use serde::{Deserialize, Deserializer};

/// The parts of an image config that matter here.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ImageConfig {
    pub(super) os: String,
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) variant: Option<String>,
    #[serde(default)]
    pub(super) rootfs: RootFs,
    #[serde(default)]
    config: Option<DockerFields>,
}

/// What Docker's image config says beyond OCI's, and every runtime of Docker's kind reads.
///
/// Source: moby's image specification v1.3; BuildKit writes these fields in its OCI images too.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DockerFields {
    healthcheck: serde_json::Value,
    shell: serde_json::Value,
    on_build: serde_json::Value,
}

/// The layers of an image by the digests of their uncompressed content.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct RootFs {
    #[serde(default, deserialize_with = "list_or_null")]
    pub(super) diff_ids: Vec<Digest>,
}

/// buildah writes an empty list as `null`, as Go does.
pub(super) fn list_or_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    document: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(document)?.unwrap_or_default())
}

impl ImageConfig {
    pub(super) fn parse(bytes: &[u8]) -> io::Result<Self> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The fields that are lost when the config is written as OCI has it, with their names.
    pub(super) fn beyond_oci(&self) -> Vec<(&'static str, serde_json::Value)> {
        let fields = self.config.clone().unwrap_or_default();
        let all =
            [("Healthcheck", fields.healthcheck), ("Shell", fields.shell), ("OnBuild", fields.on_build)];
        let says_nothing =
            |value: &serde_json::Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        all.into_iter().filter(|(_, value)| !says_nothing(value)).collect()
    }

    /// The platform it says it is for, if that is one.
    pub(super) fn platform(&self) -> Option<Platform> {
        Platform::new(self.os.parse().ok()?, &self.architecture, self.variant.as_deref()).ok()
    }

    /// The platform as it is written.
    pub(super) fn stated(&self) -> String {
        let variant = self.variant.as_deref().filter(|variant| !variant.is_empty());
        let parts = [Some(self.os.as_str()), Some(self.architecture.as_str()), variant];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    }
}

/// Whether a text is an image id.
pub(super) fn is_image_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_says_its_platform() {
        let config = ImageConfig::parse(br#"{"os":"linux","architecture":"arm"}"#).expect("config");
        assert_eq!(config.platform().map(|platform| platform.to_string()).as_deref(), Some("linux/arm/v7"));
        assert_eq!(config.stated(), "linux/arm");
        let odd = ImageConfig::parse(br#"{"os":"plan9","architecture":"x","variant":"v1"}"#).expect("config");
        assert_eq!(odd.platform(), None);
        assert_eq!(odd.stated(), "plan9/x/v1");
    }
}
