//! What a module of Go requires. `go.sum` is not read: it has the versions too that were only looked at.
//!
//! Source: Go modules reference, "go.mod files".

use super::{found::Found, kind::lines};

/// Reads the lines `require PATH VERSION`, alone or in parentheses.
pub(super) fn read(path: &str, bytes: &[u8], found: &mut Found) {
    let mut inside = false;
    for line in lines(bytes) {
        let line = line.split("//").next().unwrap_or_default().trim();
        let required = match (inside, line) {
            (true, ")") => {
                inside = false;
                continue;
            }
            (true, line) => line,
            (false, line) => {
                match line.strip_prefix("require").filter(|rest| rest.starts_with([' ', '\t', '('])) {
                    Some(rest) if rest.trim() == "(" => {
                        inside = true;
                        continue;
                    }
                    Some(rest) => rest,
                    None => continue,
                }
            }
        };
        let mut words = required.split_whitespace();
        if let (Some(module), Some(version)) = (words.next(), words.next()) {
            found.add_plain("golang", module.trim_matches('"'), version, path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_required_is_listed() {
        let text = "module example.org/a\n\ngo 1.22\n\nrequire github.com/x/y v1.2.3\n\nrequire (\n\tgolang.org/x/sys v0.1.0 // indirect\n)\n\
                    replace github.com/x/y => ../y\nexclude golang.org/x/net v0.1.0\n";
        let mut found = Found::default();
        read("go.mod", text.as_bytes(), &mut found);
        let names: Vec<_> =
            found.packages.iter().map(|it| format!("{}/{}@{}", it.namespace, it.name, it.version)).collect();
        assert_eq!(names, ["github.com/x/y@v1.2.3", "golang.org/x/sys@v0.1.0"]);
    }
}
