//! Operating systems and platforms, with containerd's normalisation and matching.
//!
//! A [`Platform`] is always normalised: `linux/aarch64` and `linux/arm64/v8` are the same value, so
//! equality, hashing and ordering mean what a registry means by them.
//!
//! Source: <https://github.com/containerd/platforms> (`database.go`, `compare.go`, `platforms.go`).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The operating system of the image that is built, never of the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageOs {
    /// Linux images.
    #[default]
    Linux,
    /// Windows images.
    Windows,
}

impl ImageOs {
    /// Every operating system an image can be built for.
    pub const ALL: [Self; 2] = [Self::Linux, Self::Windows];

    /// The name an OCI image config uses (`GOOS` values).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Windows => "windows",
        }
    }
}

impl fmt::Display for ImageOs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ImageOs {
    type Err = PlatformError;

    /// Reads an OS name in any case, alone or at the head of a platform (`windows/arm64`).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.split('/').next().unwrap_or_default();
        Self::ALL
            .into_iter()
            .find(|os| name.eq_ignore_ascii_case(os.as_str()))
            .ok_or_else(|| PlatformError::UnknownOs(text.to_owned()))
    }
}

/// Why a text is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// The OS is none that images can be built for.
    #[error("unknown OS: {0} (expected linux or windows)")]
    UnknownOs(String),
    /// The text has no `os/arch[/variant]` shape.
    #[error("invalid platform {0:?} (expected os/arch or os/arch/variant, such as linux/arm64)")]
    Malformed(String),
    /// The architecture is not one that OCI images use.
    #[error("unknown architecture {arch:?} in platform {platform:?} (expected one of {})", KNOWN_ARCHITECTURES.join(", "))]
    UnknownArchitecture {
        /// The word that is no architecture.
        arch: String,
        /// The whole text.
        platform: String,
    },
}

/// The `GOARCH` values that image indexes on public registries carry.
const KNOWN_ARCHITECTURES: [&str; 13] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le",
    "riscv64", "s390x",
];

/// One `os/arch[/variant]`, normalised as containerd does, with `os.version` for Windows.
///
/// The text form is containerd's: `linux/arm/v7`, `windows(10.0.20348.2527)/amd64`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    os: ImageOs,
    arch: String,
    variant: Option<String>,
    os_version: Option<String>,
}

impl Platform {
    /// Normalises the parts of a platform, as an image config or an index entry states them.
    ///
    /// # Errors
    /// [`PlatformError::UnknownArchitecture`] when `arch` is none that OCI images use.
    pub fn new(os: ImageOs, arch: &str, variant: Option<&str>) -> Result<Self, PlatformError> {
        let (arch, variant) = normalise(arch, variant.unwrap_or_default());
        if !KNOWN_ARCHITECTURES.contains(&arch.as_str()) {
            return Err(PlatformError::UnknownArchitecture { platform: format!("{os}/{arch}"), arch });
        }
        Ok(Self { os, arch, variant: (!variant.is_empty()).then_some(variant), os_version: None })
    }

    /// The same platform for one build of the operating system (`10.0.20348.2527`).
    #[must_use]
    pub fn with_os_version(mut self, version: Option<String>) -> Self {
        self.os_version = version.filter(|version| !version.is_empty());
        self
    }

    /// The Linux platform of the machine that this program was compiled for.
    ///
    /// Containers on macOS and Windows hosts are Linux containers unless asked otherwise.
    pub fn host_linux() -> Self {
        let (arch, variant) = host_arch();
        Self {
            os: ImageOs::Linux,
            arch: arch.to_owned(),
            variant: variant.map(str::to_owned),
            os_version: None,
        }
    }

    /// The operating system.
    pub fn os(&self) -> ImageOs {
        self.os
    }

    /// The normalised architecture, a `GOARCH` value.
    pub fn arch(&self) -> &str {
        &self.arch
    }

    /// The CPU variant where it is not the architecture's usual one: `v7` for `linux/arm/v7`.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// The build of the operating system (`os.version`), for Windows images.
    pub fn os_version(&self) -> Option<&str> {
        self.os_version.as_deref()
    }

    /// Whether a machine of this platform runs an image of `image` without emulation.
    ///
    /// A newer CPU variant runs older ones (`arm/v7` runs `arm/v6`, `amd64/v3` runs `amd64`), `arm64` runs
    /// 32-bit `arm`, and `amd64` runs `386`. `os.version` is compared by major, minor and build number.
    pub fn runs(&self, image: &Self) -> bool {
        self.os == image.os && self.runs_cpu(image) && self.os_version_accepts(image)
    }

    /// Whether an image that says it is `image` is what a request for this platform means.
    ///
    /// The comparison is exact except for `os.version`, which binds only where the request names one.
    pub fn is_satisfied_by(&self, image: &Self) -> bool {
        self.os == image.os
            && self.arch == image.arch
            && self.variant == image.variant
            && self.os_version_accepts(image)
    }

    fn runs_cpu(&self, image: &Self) -> bool {
        match (self.arch.as_str(), image.arch.as_str()) {
            (ours, theirs) if ours == theirs => self.level() >= image.level(),
            ("arm64", "arm") => image.level() <= 8,
            ("amd64", "386") => true,
            _ => false,
        }
    }

    /// The CPU generation that the variant names: 7 for `v7`, the architecture's baseline for none.
    fn level(&self) -> u32 {
        let baseline = match self.arch.as_str() {
            "arm64" => 8,
            "amd64" => 1,
            _ => 0,
        };
        self.variant
            .as_deref()
            .and_then(|variant| variant.trim_start_matches('v').split('.').next()?.parse().ok())
            .unwrap_or(baseline)
    }

    fn os_version_accepts(&self, image: &Self) -> bool {
        match (&self.os_version, &image.os_version) {
            (Some(ours), Some(theirs)) => build_number(ours) == build_number(theirs),
            (Some(_), None) => self.os != ImageOs::Windows,
            (None, _) => true,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = match &self.os_version {
            Some(version) => format!("{}({version})", self.os),
            None => self.os.to_string(),
        };
        text.push('/');
        text.push_str(&self.arch);
        if let Some(variant) = &self.variant {
            text.push('/');
            text.push_str(variant);
        }
        f.pad(&text)
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

impl TryFrom<String> for Platform {
    type Error = PlatformError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Reads `os/arch[/variant]`, `os(version)/arch`, a lone OS (with the host's CPU) or a lone CPU (for Linux).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || PlatformError::Malformed(text.to_owned());
        let parts: Vec<&str> = text.trim().split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(malformed());
        }
        let (head, version) = match parts[0].split_once('(') {
            None => (parts[0], None),
            Some((os, rest)) => (os, Some(rest.strip_suffix(')').ok_or_else(malformed)?.to_owned())),
        };
        let platform = match parts[1..] {
            [] => Self::from_one_word(head)?,
            [arch] => Self::new(head.parse()?, arch, None)?,
            [arch, variant] => Self::new(head.parse()?, arch, Some(variant))?,
            _ => return Err(malformed()),
        };
        Ok(platform.with_os_version(version))
    }
}

impl Platform {
    fn from_one_word(word: &str) -> Result<Self, PlatformError> {
        match word.parse::<ImageOs>() {
            Ok(os) => {
                let (arch, variant) = host_arch();
                Self::new(os, arch, variant)
            }
            Err(unknown) => Self::new(ImageOs::Linux, word, None).map_err(|_| unknown),
        }
    }
}

/// The first three numbers of `10.0.20348.2527`; the fourth is a revision that any host of the build runs.
fn build_number(version: &str) -> Vec<&str> {
    version.split('.').take(3).collect()
}

/// containerd's `normalizeArch`.
fn normalise(arch: &str, variant: &str) -> (String, String) {
    let arch = arch.to_ascii_lowercase();
    let variant = variant.to_ascii_lowercase();
    let (arch, variant) = match (arch.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (arch.to_owned(), variant.to_owned())
}

/// The `GOARCH` name and variant of the CPU this program was compiled for.
fn host_arch() -> (&'static str, Option<&'static str>) {
    match std::env::consts::ARCH {
        "x86_64" => ("amd64", None),
        "x86" => ("386", None),
        "aarch64" => ("arm64", None),
        "arm" => ("arm", Some("v7")),
        "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
        "powerpc64" => ("ppc64", None),
        "loongarch64" => ("loong64", None),
        other => (other, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn platform(text: &str) -> Platform {
        text.parse().expect("a platform")
    }

    #[test]
    fn an_os_is_read_in_any_case_and_from_a_platform() {
        for (text, os) in [
            ("linux", ImageOs::Linux),
            ("Windows", ImageOs::Windows),
            ("linux/amd64", ImageOs::Linux),
            ("windows/arm64", ImageOs::Windows),
        ] {
            assert_eq!(text.parse(), Ok(os));
        }
        assert_eq!(ImageOs::default(), ImageOs::Linux);
        assert_eq!(serde_json::to_string(&ImageOs::Windows).expect("json"), "\"windows\"");
    }

    #[test]
    fn an_unknown_os_is_named_in_the_error() {
        for text in ["plan9", "", "amd64/linux", "darwin/arm64"] {
            let error = text.parse::<ImageOs>().expect_err("no OS");
            assert_eq!(error.to_string(), format!("unknown OS: {text} (expected linux or windows)"));
        }
    }

    #[test]
    fn platforms_normalise_as_containerd_does() {
        for (text, normal) in [
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/9", "linux/arm64/v9"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/x86_64", "linux/amd64"),
            ("LINUX/AMD64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/i386", "linux/386"),
            ("arm64", "linux/arm64"),
            ("windows(10.0.20348.2527)/amd64", "windows(10.0.20348.2527)/amd64"),
        ] {
            assert_eq!(platform(text).to_string(), normal, "{text}");
        }
    }

    #[test]
    fn what_is_no_platform_is_refused_with_the_reason() {
        for (text, message) in [
            ("", "invalid platform \"\""),
            ("linux/", "invalid platform"),
            ("linux//v7", "invalid platform"),
            ("linux/arm/v7/x", "invalid platform"),
            ("windows(10.0/amd64", "invalid platform"),
            ("plan9/amd64", "unknown OS: plan9"),
            ("linux/ahm64", "unknown architecture \"ahm64\""),
            ("nonsense", "unknown OS: nonsense"),
        ] {
            let error = text.parse::<Platform>().expect_err(text).to_string();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }

    #[test]
    fn a_machine_runs_older_variants_and_its_32_bit_sibling() {
        for (host, image, runs) in [
            ("linux/arm/v7", "linux/arm/v6", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("linux/arm64", "linux/arm/v7", true),
            ("linux/arm64", "linux/arm64/v9", false),
            ("linux/amd64/v3", "linux/amd64", true),
            ("linux/amd64", "linux/amd64/v2", false),
            ("linux/amd64", "linux/386", true),
            ("linux/amd64", "windows/amd64", false),
            ("windows(10.0.20348.1)/amd64", "windows(10.0.20348.9)/amd64", true),
            ("windows(10.0.20348.1)/amd64", "windows(10.0.17763.9)/amd64", false),
        ] {
            assert_eq!(platform(host).runs(&platform(image)), runs, "{host} runs {image}");
        }
    }

    #[test]
    fn a_request_is_satisfied_only_by_its_own_variant() {
        assert!(platform("linux/arm").is_satisfied_by(&platform("linux/arm/v7")));
        assert!(!platform("linux/arm/v7").is_satisfied_by(&platform("linux/arm/v6")));
        assert!(!platform("linux/arm64").is_satisfied_by(&platform("linux/amd64")));
        assert!(platform("windows/amd64").is_satisfied_by(&platform("windows(10.0.20348.1)/amd64")));
    }

    proptest! {
        #[test]
        fn the_text_form_reads_back(
            arch in prop::sample::select(&KNOWN_ARCHITECTURES[..]),
            variant in prop::option::of("v[1-9]"),
            version in prop::option::of("10\\.0\\.[0-9]{4}"),
        ) {
            let one = Platform::new(ImageOs::Windows, arch, variant.as_deref()).expect("known").with_os_version(version);
            prop_assert_eq!(&one.to_string().parse::<Platform>().expect("reads back"), &one);
            prop_assert!(one.runs(&one));
            prop_assert!(one.is_satisfied_by(&one));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Platform>();
        }
    }
}
