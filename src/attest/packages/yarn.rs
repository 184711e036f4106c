//! Lock files of yarn, the classic and the newer form.
//!
//! Source: yarn documentation, "yarn.lock"; yarn's `@yarnpkg/lockfile`.

use super::{found::Found, kind::lines};

/// Reads a lock file: a line with ranges of a package, and the version that they led to in a line below.
pub(super) fn read(path: &str, bytes: &[u8], found: &mut Found) {
    let mut name = None;
    for line in lines(bytes) {
        if !line.starts_with([' ', '\t', '#']) && line.ends_with(':') {
            name = name_of(line);
        } else if let Some(version) =
            line.strip_prefix("  version").filter(|rest| rest.starts_with([' ', ':']))
        {
            let version = version.trim_matches([':', ' ', '"']);
            found.add_plain("npm", name.take().unwrap_or_default(), version, path);
        }
    }
}

/// The name in `"@scope/name@^1.0.0", "@scope/name@^1.1.0":`; none for a package that is in the project itself.
fn name_of(line: &str) -> Option<&str> {
    let range = line.trim_end_matches(':').split(',').next()?.trim().trim_matches('"');
    let at = range.char_indices().skip(1).find(|(_, letter)| *letter == '@')?.0;
    let (name, wanted) = range.split_at(at);
    (!wanted.starts_with("@workspace:")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_lock_file_are_read() {
        let text = "# yarn lockfile v1\n\n\"@babel/core@^7.0.0\", \"@babel/core@^7.1.0\":\n  version \"7.1.0\"\n  resolved \"x\"\n\n\
                    lodash@^4:\n  version \"4.17.21\"\n  dependencies:\n    version \"^9\"\n\n__metadata:\n  version: 6\n\n\
                    \"chalk@npm:^4.0.0\":\n  version: 4.1.2\n\n\"app@workspace:.\":\n  version: 0.0.0-use.local\n";
        let mut found = Found::default();
        read("yarn.lock", text.as_bytes(), &mut found);
        let names: Vec<_> =
            found.packages.iter().map(|it| format!("{}|{}@{}", it.namespace, it.name, it.version)).collect();
        assert_eq!(names, ["@babel|core@7.1.0", "|lodash@4.17.21", "|chalk@4.1.2"]);
    }
}
