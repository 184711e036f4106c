//! Lock files of cargo and poetry: a table `[[package]]` for each package.
//!
//! Source: The Cargo Book, "Cargo.toml vs Cargo.lock"; poetry documentation, "Installing with poetry.lock".

use super::{found::Found, kind::lines};

/// Reads the tables; both programs write a key on a line of its own.
pub(super) fn read(kind: &'static str, path: &str, bytes: &[u8], found: &mut Found) {
    let (mut inside, mut name, mut version) = (false, "", "");
    for line in lines(bytes).chain(["["]) {
        if line.starts_with('[') {
            if inside {
                add(kind, name, version, path, found);
            }
            (inside, name, version) = (line.trim() == "[[package]]", "", "");
        } else if let Some((key, value)) = line.split_once('=').filter(|_| inside) {
            let value = value.trim().trim_matches('"');
            match key.trim() {
                "name" => name = value,
                "version" => version = value,
                _ => {}
            }
        }
    }
}

fn add(kind: &'static str, name: &str, version: &str, path: &str, found: &mut Found) {
    if kind == "pypi" {
        found.add_plain(kind, &super::python::normal(name), version, path);
    } else {
        found.add_plain(kind, name, version, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_table_is_none_of_the_package() {
        let text = "version = 4\n\n[[package]]\nname = \"serde\"\nversion = \"1.0.229\"\ndependencies = [\n \"serde_core\",\n]\n\n\
                    [[package]]\nname = \"Foo_Bar\"\nversion = \"2\"\n\n[package.dependencies]\nversion = \">=9\"\n\n[metadata]\nname = \"x\"\n";
        for (kind, second) in [("cargo", "Foo_Bar"), ("pypi", "foo-bar")] {
            let mut found = Found::default();
            read(kind, "lock", text.as_bytes(), &mut found);
            let names: Vec<_> =
                found.packages.iter().map(|it| (it.name.as_str(), it.version.as_str())).collect();
            assert_eq!(names, [("serde", "1.0.229"), (second, "2")]);
        }
    }
}
