//! Lock files of npm.
//!
//! Source: npm documentation, `package-lock.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::found::Found;

#[derive(Deserialize)]
struct Lock {
    /// By path, from the second version on.
    #[serde(default)]
    packages: BTreeMap<String, Entry>,
    /// By name, before that.
    #[serde(default)]
    dependencies: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    dependencies: Option<Nested>,
}

/// Packages within a package in the first version; names and ranges in later ones.
#[derive(Deserialize)]
#[serde(untagged)]
enum Nested {
    Packages(BTreeMap<String, Entry>),
    Ranges(serde::de::IgnoredAny),
}

/// Reads a lock file of any version.
pub(super) fn read(path: &str, bytes: &[u8], found: &mut Found) {
    let Ok(lock) = serde_json::from_slice::<Lock>(bytes) else {
        found.left_out = true;
        return;
    };
    for (place, entry) in &lock.packages {
        // The package that the file is of has no place.
        let Some((_, name)) = place.rsplit_once("node_modules/") else { continue };
        let name = entry.name.as_deref().unwrap_or(name);
        found.add_plain("npm", name, entry.version.as_deref().unwrap_or_default(), path);
    }
    if lock.packages.is_empty() {
        add(&lock.dependencies, path, found);
    }
}

fn add(entries: &BTreeMap<String, Entry>, path: &str, found: &mut Found) {
    for (name, entry) in entries {
        found.add_plain("npm", name, entry.version.as_deref().unwrap_or_default(), path);
        if let Some(Nested::Packages(nested)) = &entry.dependencies {
            add(nested, path, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let mut found = Found::default();
        read("package-lock.json", text.as_bytes(), &mut found);
        found.packages.iter().map(|it| format!("{}|{}@{}", it.namespace, it.name, it.version)).collect()
    }

    #[test]
    fn both_forms_of_a_lock_file_are_read() {
        let new = r#"{"lockfileVersion":3,"packages":{"":{"name":"app","version":"1"},
            "node_modules/@b/c":{"version":"7.1.0","dependencies":{"x":"^1"}},
            "node_modules/a/node_modules/x":{"version":"1.2.0"},"node_modules/linked":{"link":true},
            "node_modules/alias":{"name":"real","version":"2"}},"dependencies":{"x":{"version":"9"}}}"#;
        assert_eq!(names(new), ["@b|c@7.1.0", "|x@1.2.0", "|real@2"]);
        let old = r#"{"lockfileVersion":1,"dependencies":{"a":{"version":"1","dependencies":{"b":{"version":"2"}}}}}"#;
        assert_eq!(names(old), ["|a@1", "|b@2"]);
        assert_eq!(names("{"), Vec::<String>::new());
    }
}
