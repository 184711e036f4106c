//! What was found so far, within limits.

/// How many packages are listed.
const MOST_PACKAGES: usize = 100_000;
/// How long a name, a version or an architecture may be, in bytes.
const LONGEST: usize = 256;

/// A package.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    /// The ecosystem, as package URLs call it.
    pub(crate) kind: &'static str,
    /// What its name is in; empty for nothing, and for the packages of a distribution.
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// Empty where packages are for every CPU.
    pub(crate) architecture: String,
    /// The file that names it.
    pub(crate) path: String,
}

/// The packages of one image.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) packages: Vec<Package>,
    /// Whether there were more, or some whose names no package has.
    pub(crate) left_out: bool,
}

impl Found {
    /// Adds a package, if it can be one.
    pub(super) fn add(&mut self, package: Package) {
        let Package { namespace, name, version, architecture, .. } = &package;
        if name.is_empty() || version.is_empty() {
            return;
        }
        let is_plausible = |text: &String| text.len() <= LONGEST && !text.chars().any(char::is_control);
        if self.packages.len() >= MOST_PACKAGES
            || ![namespace, name, version, architecture].into_iter().all(is_plausible)
        {
            self.left_out = true;
            return;
        }
        self.packages.push(package);
    }

    /// Adds a package that has only a name and a version.
    pub(super) fn add_plain(&mut self, kind: &'static str, name: &str, version: &str, path: &str) {
        let (namespace, name) = name.rsplit_once('/').unwrap_or(("", name));
        self.add(Package {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: String::new(),
            path: path.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_package_is_called_is_left_out_and_that_is_known() {
        let mut found = Found::default();
        found.add_plain("npm", "@scope/a", "1", "x");
        found.add_plain("npm", "", "1", "x");
        found.add_plain("npm", "a", "", "x");
        assert_eq!((found.packages.len(), found.left_out), (1, false));
        assert_eq!((found.packages[0].namespace.as_str(), found.packages[0].name.as_str()), ("@scope", "a"));
        found.add_plain("npm", "a\u{1b}[31m", "1", "x");
        assert!(std::mem::take(&mut found.left_out));
        found.add_plain("npm", "a", &"1".repeat(LONGEST + 1), "x");
        assert_eq!((found.packages.len(), found.left_out), (1, true));
    }

    #[test]
    fn there_are_only_so_many_packages() {
        let mut found = Found::default();
        for number in 0..=MOST_PACKAGES {
            found.add_plain("npm", "a", &number.to_string(), "x");
        }
        assert_eq!((found.packages.len(), found.left_out), (MOST_PACKAGES, true));
    }
}
