//! Lock files of bundler.
//!
//! Source: bundler, `lib/bundler/lockfile_parser.rb`.

use super::{found::Found, kind::lines};

/// Reads the packages of the sections `GEM`.
pub(super) fn read(path: &str, bytes: &[u8], found: &mut Found) {
    let mut inside = false;
    for line in lines(bytes) {
        if !line.starts_with(' ') {
            inside = line == "GEM";
            continue;
        }
        // What a package needs stands two spaces deeper.
        let Some(entry) = line.strip_prefix("    ").filter(|rest| inside && !rest.starts_with(' ')) else {
            continue;
        };
        if let Some((name, version)) = entry.split_once(" (") {
            found.add_plain("gem", name, version.trim_end_matches(')'), path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_package_needs_is_not_a_package_of_its_own() {
        let text = "PATH\n  remote: .\n  specs:\n    app (0.1)\n\nGEM\n  remote: https://rubygems.org/\n  specs:\n    rake (13.0.6)\n      json (>= 1)\n    \
                    nokogiri (1.13.0-x86_64-linux)\n\nDEPENDENCIES\n  rake\n";
        let mut found = Found::default();
        read("Gemfile.lock", text.as_bytes(), &mut found);
        let names: Vec<_> = found.packages.iter().map(|it| (it.name.as_str(), it.version.as_str())).collect();
        assert_eq!(names, [("rake", "13.0.6"), ("nokogiri", "1.13.0-x86_64-linux")]);
    }
}
