//! Lock files of composer.
//!
//! Source: composer documentation, "composer.lock".

use serde::Deserialize;

use super::found::Found;

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    packages: Vec<Entry>,
    #[serde(default, rename = "packages-dev")]
    for_development: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
}

/// Reads a lock file.
pub(super) fn read(path: &str, bytes: &[u8], found: &mut Found) {
    let Ok(lock) = serde_json::from_slice::<Lock>(bytes) else {
        found.left_out = true;
        return;
    };
    for Entry { name, version } in lock.packages.iter().chain(&lock.for_development) {
        found.add_plain("composer", name, version, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_a_vendor() {
        let text = r#"{"packages":[{"name":"symfony/console","version":"v6.0.1"}],"packages-dev":[{"name":"a/b","version":"1"}]}"#;
        let mut found = Found::default();
        read("composer.lock", text.as_bytes(), &mut found);
        let names: Vec<_> =
            found.packages.iter().map(|it| format!("{}|{}@{}", it.namespace, it.name, it.version)).collect();
        assert_eq!(names, ["symfony|console@v6.0.1", "a|b@1"]);
    }
}
