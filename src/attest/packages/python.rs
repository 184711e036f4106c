//! Packages of Python: those that are installed, and requirements with an exact version.
//!
//! Source: Python packaging specifications, "Core metadata", "Dependency specifiers" and "Names and normalization".

use super::{found::Found, kind::lines};

/// Reads the metadata of an installed package, which end at an empty line.
pub(super) fn read_metadata(path: &str, bytes: &[u8], found: &mut Found) {
    let fields = lines(bytes).take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
    let (mut name, mut version) = ("", "");
    for (key, value) in fields {
        match key {
            "Name" => name = value.trim(),
            "Version" => version = value.trim(),
            _ => {}
        }
    }
    found.add_plain("pypi", &normal(name), version, path);
}

/// Reads the lines `NAME==VERSION`; what has no exact version says nothing about what is installed.
pub(super) fn read_requirements(path: &str, bytes: &[u8], found: &mut Found) {
    for line in lines(bytes) {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let Some((name, rest)) = line.split_once("==") else { continue };
        let name = name.split('[').next().unwrap_or_default().trim();
        let version = rest.trim_start_matches('=').split_whitespace().next().unwrap_or_default();
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if is_name && !version.contains([',', '*']) {
            found.add_plain("pypi", &normal(name), version, path);
        }
    }
}

/// The form of a name in which equal names are equal.
pub(super) fn normal(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &Found) -> Vec<(&str, &str)> {
        found.packages.iter().map(|it| (it.name.as_str(), it.version.as_str())).collect()
    }

    #[test]
    fn only_an_exact_version_is_a_package() {
        let text = "# a\nFlask==2.0.1\nzope.interface[x] == 5 ; python_version > '3'\nrequests>=2\na==1.*\n-r other.txt\n\
                    b==1 --hash=sha256:x\ngit+https://h/a==1\n";
        let mut found = Found::default();
        read_requirements("requirements.txt", text.as_bytes(), &mut found);
        assert_eq!(names(&found), [("flask", "2.0.1"), ("zope-interface", "5"), ("b", "1")]);
    }

    #[test]
    fn the_description_of_a_package_is_none_of_its_metadata() {
        let text = "Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.0\n\nName: other\nVersion: 2\n";
        let mut found = Found::default();
        read_metadata("METADATA", text.as_bytes(), &mut found);
        assert_eq!(names(&found), [("foo-bar", "1.0")]);
    }
}
