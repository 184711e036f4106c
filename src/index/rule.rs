//! What [`lint`](super::lint) looks for, and what it finds.

use std::fmt;

use polyarch_actors::Digest;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something works elsewhere, or worse than it might.
    Warning,
    /// Somebody gets the wrong image, or none.
    Error,
}

/// What is looked for. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IndexRule {
    /// An index lists nothing.
    EmptyIndex,
    /// A manifest, or the config of an image, is not there.
    MissingManifest,
    /// A document is not what is said of it.
    MalformedManifest,
    /// A document has another length than is said of it.
    SizeMismatch,
    /// An entry names another platform than the config of its image.
    PlatformMismatch,
    /// Two entries are for the same machines.
    DuplicatePlatform,
    /// An operating system or CPU has no name that anybody looks for.
    UnknownPlatform,
    /// An attestation is about nothing in the index.
    DanglingAttestation,
    /// A config counts other layers than its manifest.
    DiffIdsMismatch,
    /// An entry names no platform.
    MissingPlatform,
    /// An image for Windows does not say for which build of it.
    WindowsOsVersion,
    /// One of several images for ARM does not say for which variant.
    ArmVariant,
    /// An index lists an index.
    NestedIndex,
    /// Docker's and OCI's kinds of documents are mixed.
    MixedMediaTypes,
    /// A layer is kept outside the registry.
    ForeignLayers,
    /// A layer is compressed with zstd.
    ZstdLayers,
}

impl IndexRule {
    /// Every rule, errors first.
    pub const ALL: [Self; 16] = [
        Self::EmptyIndex,
        Self::MissingManifest,
        Self::MalformedManifest,
        Self::SizeMismatch,
        Self::PlatformMismatch,
        Self::DuplicatePlatform,
        Self::UnknownPlatform,
        Self::DanglingAttestation,
        Self::DiffIdsMismatch,
        Self::MissingPlatform,
        Self::WindowsOsVersion,
        Self::ArmVariant,
        Self::NestedIndex,
        Self::MixedMediaTypes,
        Self::ForeignLayers,
        Self::ZstdLayers,
    ];

    /// The stable name, in kebab-case.
    pub fn name(self) -> &'static str {
        match self {
            Self::EmptyIndex => "empty-index",
            Self::MissingManifest => "missing-manifest",
            Self::MalformedManifest => "malformed-manifest",
            Self::SizeMismatch => "size-mismatch",
            Self::PlatformMismatch => "platform-mismatch",
            Self::DuplicatePlatform => "duplicate-platform",
            Self::UnknownPlatform => "unknown-platform",
            Self::DanglingAttestation => "dangling-attestation",
            Self::DiffIdsMismatch => "diff-ids-mismatch",
            Self::MissingPlatform => "missing-platform",
            Self::WindowsOsVersion => "windows-os-version",
            Self::ArmVariant => "arm-variant",
            Self::NestedIndex => "nested-index",
            Self::MixedMediaTypes => "mixed-media-types",
            Self::ForeignLayers => "foreign-layers",
            Self::ZstdLayers => "zstd-layers",
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Self::EmptyIndex
            | Self::MissingManifest
            | Self::MalformedManifest
            | Self::SizeMismatch
            | Self::PlatformMismatch
            | Self::DuplicatePlatform
            | Self::UnknownPlatform
            | Self::DanglingAttestation
            | Self::DiffIdsMismatch => Severity::Error,
            Self::MissingPlatform
            | Self::WindowsOsVersion
            | Self::ArmVariant
            | Self::NestedIndex
            | Self::MixedMediaTypes
            | Self::ForeignLayers
            | Self::ZstdLayers => Severity::Warning,
        }
    }
}

/// Something that is wrong with an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: IndexRule,
    /// The document that it is about.
    pub digest: Digest,
    /// What is wrong and who minds, as a sentence without its full stop.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.rule.severity() {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}: {}: {}: {}", self.rule.name(), self.digest, self.message)
    }
}
