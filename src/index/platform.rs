//! Platforms as documents write them: compared by what they mean.

use polyarch_actors::{ImageOs, Platform};

use crate::oci::index::EntryPlatform;

/// What tells the images of one index apart: two entries with the same are for the same machines.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PlatformKey {
    os: String,
    arch: String,
    variant: String,
    os_version: String,
    os_features: Vec<String>,
}

impl PlatformKey {
    pub(super) fn of(platform: &EntryPlatform) -> Self {
        let (arch, variant) = cpu(platform);
        let mut os_features = platform.os_features.clone();
        os_features.sort();
        os_features.dedup();
        Self {
            os: platform.os.to_ascii_lowercase(),
            arch,
            variant,
            os_version: platform.os_version.clone().unwrap_or_default(),
            os_features,
        }
    }

    /// The same for the question which machine runs it, where only Linux and Windows differ by more than that.
    pub(super) fn is_arm(&self) -> bool {
        self.arch == "arm"
    }
}

/// The CPU and its variant in their normal form.
fn cpu(platform: &EntryPlatform) -> (String, String) {
    // CPUs have the same names whatever the operating system is, so that of an unknown one can be read too.
    match Platform::new(ImageOs::Linux, &platform.architecture, platform.variant.as_deref()) {
        Ok(known) => (known.arch().to_owned(), known.variant().unwrap_or_default().to_owned()),
        Err(_) => (platform.architecture.clone(), platform.variant.clone().unwrap_or_default()),
    }
}

/// Whether an entry says something that the config of its image denies. What a config leaves open, an entry may say.
pub(super) fn contradicts(declared: &EntryPlatform, config: &EntryPlatform) -> bool {
    let (declared_arch, declared_variant) = cpu(declared);
    let (config_arch, config_variant) = cpu(config);
    let differ = |one: &Option<String>, other: &Option<String>| {
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        matches!((said(one), said(other)), (Some(one), Some(other)) if one != other)
    };
    let variant_is_open = config.variant.as_deref().unwrap_or_default().is_empty()
        || declared.variant.as_deref().unwrap_or_default().is_empty();
    !declared.os.eq_ignore_ascii_case(&config.os)
        || declared_arch != config_arch
        || (!variant_is_open && declared_variant != config_variant)
        || differ(&declared.os_version, &config.os_version)
}

/// What an entry should say: what it says, and what the config of its image says beside.
pub(super) fn completed(declared: Option<&EntryPlatform>, config: &EntryPlatform) -> EntryPlatform {
    let Some(declared) = declared else { return config.clone() };
    let mut platform = declared.clone();
    let either = |one: &Option<String>, other: &Option<String>| {
        one.clone().filter(|text| !text.is_empty()).or_else(|| other.clone()).filter(|text| !text.is_empty())
    };
    platform.variant = either(&declared.variant, &config.variant);
    platform.os_version = either(&declared.os_version, &config.os_version);
    if platform.os_features.is_empty() {
        platform.os_features.clone_from(&config.os_features);
    }
    platform
}

/// Whether an entry names no platform at all, as attestations do.
pub(super) fn is_unknown(platform: &EntryPlatform) -> bool {
    platform.os == "unknown" && platform.architecture == "unknown"
}

/// A platform with all that it says, as containerd writes it.
pub(super) fn written(platform: &EntryPlatform) -> String {
    let version = platform.os_version.as_deref().filter(|version| !version.is_empty());
    let version = version.map(|version| format!("({version})")).unwrap_or_default();
    let variant = platform.variant.as_deref().filter(|variant| !variant.is_empty());
    let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{}{version}/{}{variant}", platform.os, platform.architecture)
}
