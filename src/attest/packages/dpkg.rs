//! What dpkg has installed.
//!
//! Source: Debian policy, chapter 5; dpkg, `dpkg-query(1)`; distroless keeps a file a package, without the state.

use super::{
    found::{Found, Package},
    kind::lines,
};

/// Reads paragraphs of fields. Packages whose state is another than installed are left out where there `is_state`.
pub(super) fn read(path: &str, bytes: &[u8], is_state: bool, found: &mut Found) {
    let mut package = begin(path);
    let mut installed = !is_state;
    for line in lines(bytes).chain([""]) {
        if line.is_empty() {
            let whole = std::mem::replace(&mut package, begin(path));
            if std::mem::replace(&mut installed, !is_state) {
                found.add(whole);
            }
            continue;
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key {
            "Package" => value.clone_into(&mut package.name),
            "Version" => value.clone_into(&mut package.version),
            "Architecture" => value.clone_into(&mut package.architecture),
            "Status" => installed = value.split_whitespace().nth(2) == Some("installed"),
            _ => {}
        }
    }
}

fn begin(path: &str) -> Package {
    Package { kind: "deb", path: path.to_owned(), ..Package::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, is_state: bool) -> Vec<String> {
        let mut found = Found::default();
        read("status", text.as_bytes(), is_state, &mut found);
        let shown = |it: &Package| format!("{} {} {}", it.name, it.version, it.architecture);
        found.packages.iter().map(shown).collect()
    }

    #[test]
    fn what_is_installed_is_listed_and_what_was_removed_is_not() {
        let text = "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.4+deb12u5\n\
                    Description: a\n Version: 9 in a description\n\nPackage: gone\nStatus: deinstall ok config-files\n\
                    Version: 1\n\nPackage: last\nStatus: hold ok installed\nVersion: 1:2~b\nArchitecture: all";
        assert_eq!(names(text, true), ["base-files 12.4+deb12u5 amd64", "last 1:2~b all"]);
        assert_eq!(names("Package: tzdata\nVersion: 2024a\n", true), Vec::<String>::new());
        assert_eq!(names("Package: tzdata\nVersion: 2024a\n", false), ["tzdata 2024a "]);
    }
}
