//! What a program may do, in the words of Seatbelt.
//!
//! Sources: Apple's `system.sb`; Chromium, `sandbox/policy/mac/network.sb`, for what name resolution and certificates
//! need. Of several rules that match, the last one counts.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Places with files of people and of other programs. What a program needs of the system is elsewhere.
const PRIVATE: [&str; 7] = [
    "/Users",
    "/Volumes",
    "/private/tmp",
    "/private/var/folders",
    "/private/var/root",
    "/private/var/tmp",
    "/Library/Keychains",
];

/// What name resolution, proxies and certificates ask of the system.
const NETWORK_SERVICES: [&str; 7] = [
    "com.apple.SecurityServer",
    "com.apple.SystemConfiguration.DNSConfiguration",
    "com.apple.SystemConfiguration.configd",
    "com.apple.dnssd.service",
    "com.apple.networkd",
    "com.apple.ocspd",
    "com.apple.trustd.agent",
];

/// What everything that looks up a user or a group asks of the system.
const SERVICES: [&str; 3] = [
    "com.apple.system.logger",
    "com.apple.system.opendirectoryd.libinfo",
    "com.apple.system.opendirectoryd.membership",
];

/// What a program may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    rootfs: PathBuf,
    temporary: PathBuf,
    home: PathBuf,
    network: bool,
}

/// Why there is no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A rule for it would be one for another place, or for all.
    #[error("{} is no path from the root down", path.display())]
    NotAPlace {
        /// What was given.
        path: PathBuf,
    },
}

impl Profile {
    /// A program that may write below `rootfs` and `temporary` alone and read nothing below `home` but these. The kernel
    /// compares real paths: no part of any of them may be a symbolic link, as `/var` and `/tmp` are.
    ///
    /// # Errors
    /// [`ProfileError::NotAPlace`] for a path that is relative, the root, or has `.` or `..` in it.
    pub fn new(rootfs: &Path, temporary: &Path, home: &Path, network: bool) -> Result<Self, ProfileError> {
        let place = |path: &Path| {
            let text = path.as_os_str().as_encoded_bytes();
            let mut names = text.strip_prefix(b"/").unwrap_or_default().split(|byte| *byte == b'/');
            let plain = names.all(|name| !matches!(name, b"" | b"." | b"..") && !name.contains(&0));
            let found = plain.then(|| path.to_owned());
            found.ok_or_else(|| ProfileError::NotAPlace { path: path.to_owned() })
        };
        Ok(Self { rootfs: place(rootfs)?, temporary: place(temporary)?, home: place(home)?, network })
    }

    /// The profile. Every path in it that is not the system's own is a parameter.
    pub fn text(&self) -> String {
        let mut lines = vec![
            "(version 1)".to_owned(),
            "(deny default)".to_owned(),
            "(import \"system.sb\")".to_owned(),
            "(allow process-fork)".to_owned(),
            "(allow process-exec)".to_owned(),
            "(allow signal (target same-sandbox))".to_owned(),
            "(allow sysctl-read)".to_owned(),
        ];
        lines.push(rule("allow mach-lookup", SERVICES.map(|name| format!("(global-name {})", quoted(name)))));
        lines.push("(allow file-read*)".to_owned());
        let private = PRIVATE.iter().map(|path| format!("(subpath {})", quoted(path)));
        let private = private.chain([parameter("subpath", "HOME")]);
        lines.push(rule("deny file-read* file-write* process-exec", private));
        // Whoever asks for the real path of something looks at every directory on the way there.
        let parents = self.parents();
        let parents = parents.iter().map(|(name, _)| parameter("literal", name));
        lines.push(rule("allow file-read-metadata", parents));
        let own = [parameter("subpath", "ROOTFS"), parameter("subpath", "TMP")];
        lines.push(rule("allow file-read* file-write* process-exec", own));
        let devices =
            ["/dev/null", "/dev/tty", "/dev/zero"].map(|path| format!("(literal {})", quoted(path)));
        lines.push(rule("allow file-write*", devices));
        if self.network {
            lines.push("(allow network*)".to_owned());
            lines.push("(allow system-socket)".to_owned());
            let services = NETWORK_SERVICES.map(|name| format!("(global-name {})", quoted(name)));
            lines.push(rule("allow mach-lookup", services));
        } else {
            // What `system.sb` allows of it goes too.
            lines.push("(deny network*)".to_owned());
        }
        lines.join("\n") + "\n"
    }

    /// The values of the parameters, as `sandbox-exec -D` takes them: `NAME=value`.
    pub fn parameters(&self) -> Vec<OsString> {
        let own = [("HOME", &self.home), ("ROOTFS", &self.rootfs), ("TMP", &self.temporary)];
        let own = own.into_iter().map(|(name, path)| (name.to_owned(), path.clone()));
        let all = own.chain(self.parents());
        all.map(|(name, path)| {
            let mut parameter = OsString::from(format!("{name}="));
            parameter.push(path);
            parameter
        })
        .collect()
    }

    /// The directories above the places that a program may use, each with the name of its parameter.
    fn parents(&self) -> Vec<(String, PathBuf)> {
        let above = |path: &Path| path.ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>();
        let mut parents = [above(&self.rootfs), above(&self.temporary)].concat();
        parents.sort();
        parents.dedup();
        let named = parents.into_iter().enumerate().map(|(at, path)| (format!("PARENT_{at}"), path));
        named.collect()
    }
}

fn rule(head: &str, filters: impl IntoIterator<Item = String>) -> String {
    let filters = filters.into_iter().map(|filter| format!("\n  {filter}"));
    format!("({head}{})", filters.collect::<String>())
}

fn parameter(filter: &str, name: &str) -> String {
    format!("({filter} (param {}))", quoted(name))
}

/// A text as a string of the profile's language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
