//! Programs that a test needs and a machine may not have.

use std::path::PathBuf;

/// The Debian packages of the programs that have another name.
const PACKAGES: [(&str, &str); 4] = [
    ("chromedriver", "chromium-driver"),
    ("htpasswd", "apache2-utils"),
    ("timeout", "coreutils"),
    ("xz", "xz-utils"),
];

/// Whether the program `tool` is here. Says so visibly when it is not.
///
/// # Panics
/// When it is not here and the tests must all run, as in CI (`CI=true` or `POLYARCH_TESTS_MUST_RUN=1`).
pub(crate) fn require(tool: &str) -> bool {
    if find(tool).is_some() {
        return true;
    }
    let package = PACKAGES.iter().find(|(name, _)| *name == tool).map_or(tool, |(_, package)| package);
    let message = format!("SKIPPED: needs {tool} (Debian package {package})");
    let set = |name: &str, value: &str| std::env::var_os(name).is_some_and(|found| found == value);
    assert!(!set("CI", "true") && !set("POLYARCH_TESTS_MUST_RUN", "1"), "{message}");
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    {
        eprintln!("{message}");
    }
    false
}

/// Where the program `tool` is.
fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(tool)).find(|path| path.is_file())
}
