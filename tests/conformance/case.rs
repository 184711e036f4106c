//! What a case asks for: its `case.toml`.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::Deserialize;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/cases");

/// One folder of `cases/`.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) ask: Ask,
}

/// Everything in `case.toml`; each field may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ask {
    /// Changes to the copy of the folder before the build; `setup.rs` knows the words.
    pub(super) setup: Vec<String>,
    /// The build context inside the folder.
    pub(super) context: Option<String>,
    /// The Dockerfile inside the folder.
    pub(super) file: Option<String>,
    pub(super) target: Option<String>,
    pub(super) platform: Option<String>,
    pub(super) args: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) secrets: Vec<String>,
    pub(super) ssh: Vec<String>,
    /// Further flags of the command line, such as `--shm-size=1m`.
    pub(super) flags: Vec<String>,
    /// Named contexts.
    pub(super) contexts: BTreeMap<String, String>,
    /// Images that are built before, by the name that stands for them, each from another Dockerfile of the folder.
    pub(super) bases: BTreeMap<String, String>,
    /// Variables of the environment of `polyarch`.
    pub(super) environment: BTreeMap<String, String>,
    /// Whether the modification times of files are part of the result.
    pub(super) times: bool,
    pub(super) fails: Option<Failure>,
    #[serde(rename = "difference")]
    pub(super) differences: Vec<Difference>,
}

/// How a build is to fail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    /// The exit code.
    pub(super) code: i32,
    /// What the message holds.
    pub(super) says: Vec<String>,
}

/// Where one backend does otherwise than BuildKit, and why.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Difference {
    pub(super) backend: String,
    pub(super) reason: String,
    /// Lines of `expected.txt` that the backend does not give.
    #[serde(default)]
    pub(super) expected: Vec<String>,
    /// The lines that it gives in their place.
    #[serde(default)]
    pub(super) instead: Vec<String>,
    /// The backend cannot build the case at all.
    pub(super) fails: Option<Failure>,
    /// The backend builds what ought to fail, with just these lines.
    #[serde(default)]
    pub(super) builds: bool,
}

impl Case {
    /// The cases, by name; only those whose name has a word of `POLYARCH_CASES` in it, where that is set.
    pub(super) fn all() -> Vec<Self> {
        let words = std::env::var("POLYARCH_CASES").unwrap_or_default();
        let wanted = |name: &str| words.split(',').any(|word| name.contains(word));
        let folders = fs::read_dir(CASES).expect("the cases").map(|entry| entry.expect("a case").path());
        let mut cases: Vec<Self> = folders.filter(|folder| folder.is_dir()).map(Self::read).collect();
        cases.retain(|case| wanted(&case.name));
        cases.sort_by(|one, other| one.name.cmp(&other.name));
        cases
    }

    fn read(folder: PathBuf) -> Self {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(folder.join("case.toml")).unwrap_or_default();
        let ask: Ask = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, folder, ask }
    }

    /// Whether an image of it is for Windows.
    pub(super) fn is_for_windows(&self) -> bool {
        self.ask.platform.as_deref().is_some_and(|platforms| platforms.contains("windows"))
    }

    /// What is known of a backend's differences in this case.
    pub(super) fn differences(&self, backend: &str) -> impl Iterator<Item = &Difference> {
        self.ask.differences.iter().filter(move |difference| difference.backend == backend)
    }

    /// How the build is to fail with a backend, if it is.
    pub(super) fn failure(&self, backend: &str) -> Option<&Failure> {
        if self.differences(backend).any(|difference| difference.builds) {
            return None;
        }
        let of_backend = self.differences(backend).find_map(|difference| difference.fails.as_ref());
        of_backend.or(self.ask.fails.as_ref())
    }

    /// The golden file.
    pub(super) fn golden(&self) -> PathBuf {
        self.folder.join("expected.txt")
    }
}
