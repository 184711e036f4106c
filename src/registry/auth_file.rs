//! The format of `auth.json` and of Docker's `config.json`, and which of its entries fit a repository.

use std::collections::BTreeMap;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::Deserialize;

use super::auth::Secret;

/// The key under which Docker keeps the credentials of Docker Hub.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One parsed file.
#[derive(Default)]
pub(super) struct AuthFile {
    auths: BTreeMap<String, Result<Secret, String>>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
}

/// Something in a file that may lead to the credentials.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// The credentials themselves.
    Secret(&'a Secret),
    /// A helper that may know them by the name `server`.
    Helper { name: &'a str, server: &'a str },
    /// Something that should be credentials.
    Malformed(&'a str),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    auths: Option<BTreeMap<String, Option<RawEntry>>>,
    #[serde(rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawEntry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl AuthFile {
    /// Reads a file. The reason of a failure never quotes the file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| {
            let kind = if error.is_data() { "an unexpected value" } else { "a JSON syntax error" };
            format!("{kind} at line {}, column {}", error.line(), error.column())
        })?;
        let mut auths = BTreeMap::new();
        for (key, entry) in raw.auths.unwrap_or_default() {
            if let Some(secret) = entry.unwrap_or_default().secret(&key).transpose() {
                auths.insert(key, secret);
            }
        }
        Ok(Self {
            auths,
            helpers: raw.helpers.unwrap_or_default(),
            store: raw.store.filter(|store| !store.is_empty()),
        })
    }

    /// What fits a repository, the most specific first.
    pub(super) fn entries<'a>(&'a self, registry: &'a str, repository: &str) -> Vec<Entry<'a>> {
        let mut entries = Vec::new();
        let mut namespace = format!("{registry}/{repository}");
        while namespace.len() > registry.len() {
            if let Some((key, helper)) = self.helpers.get_key_value(&namespace) {
                entries.push(Entry::Helper { name: helper, server: key });
            }
            entries.extend(self.auths.get(&namespace).map(entry));
            namespace.truncate(namespace.rfind('/').unwrap_or(0));
        }
        let server = if registry == "docker.io" { DOCKER_HUB_KEY } else { registry };
        let helper = self.helpers.iter().find(|(key, _)| host(key) == registry);
        let helper = helper.map(|(_, name)| name).or(self.store.as_ref());
        entries.extend(helper.map(|name| Entry::Helper { name, server }));
        entries.extend(self.auths.get(registry).map(entry));
        let others = self.auths.iter().filter(|(key, _)| *key != registry && host(key) == registry);
        entries.extend(others.map(|(_, secret)| entry(secret)));
        entries
    }
}

impl RawEntry {
    fn secret(self, key: &str) -> Result<Option<Secret>, String> {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = some(self.identitytoken) {
            return Ok(Some(Secret::IdentityToken(token)));
        }
        if let Some(auth) = some(self.auth) {
            let malformed = || format!("the auth of {key} is not base64 of user:password");
            let decoded = BASE64.decode(auth.trim()).map_err(|_| malformed())?;
            let decoded = String::from_utf8(decoded).map_err(|_| malformed())?;
            let (user, password) = decoded.split_once(':').ok_or_else(malformed)?;
            // Docker pads with zero bytes what it writes.
            return Ok(Some(secret(user, password.trim_end_matches('\0'))));
        }
        Ok(match (some(self.username), some(self.password)) {
            (Some(user), Some(password)) => Some(secret(&user, &password)),
            _ => None,
        })
    }
}

/// A login; the user `<token>` says that the password is an identity token.
pub(super) fn secret(user: &str, password: &str) -> Secret {
    match user {
        "<token>" => Secret::IdentityToken(password.to_owned()),
        user => Secret::Password { user: user.to_owned(), password: password.to_owned() },
    }
}

fn entry(secret: &Result<Secret, String>) -> Entry<'_> {
    match secret {
        Ok(secret) => Entry::Secret(secret),
        Err(reason) => Entry::Malformed(reason),
    }
}

/// The registry that a key of the older form `https://host/v1/` means. A key without scheme is taken as it is,
/// for a path in it is a namespace.
fn host(key: &str) -> &str {
    let stripped = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let host = stripped.map_or(key, |rest| rest.split('/').next().unwrap_or(rest));
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(file: &str, registry: &str, repository: &str) -> Vec<String> {
        let file = AuthFile::parse(file.as_bytes()).expect("a file");
        let entries = file.entries(registry, repository);
        let name = |entry: &Entry<'_>| match entry {
            Entry::Secret(Secret::Password { user, password }) => format!("{user}:{password}"),
            Entry::Secret(Secret::IdentityToken(token)) => format!("token {token}"),
            Entry::Helper { name, server } => format!("{name}({server})"),
            Entry::Malformed(reason) => (*reason).to_owned(),
        };
        entries.iter().map(name).collect()
    }

    fn auths(entries: &[(&str, &str)]) -> String {
        let entry = |(key, user): &(&str, &str)| format!(r#""{key}":{{"username":"{user}","password":"p"}}"#);
        format!("{{\"auths\":{{{}}}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn the_most_specific_namespace_wins() {
        let file =
            auths(&[("h.io", "host"), ("h.io/team", "team"), ("h.io/team/app", "app"), ("h.io/te", "x")]);
        assert_eq!(users(&file, "h.io", "team/app"), ["app:p", "team:p", "host:p"]);
        assert_eq!(users(&file, "h.io", "team/other"), ["team:p", "host:p"]);
        assert_eq!(users(&file, "h.io", "other"), ["host:p"]);
        assert!(users(&file, "h.io:5000", "team/app").is_empty());
    }

    #[test]
    fn docker_hub_is_known_by_its_old_address() {
        for key in ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "https://docker.io/v2/"] {
            assert_eq!(users(&auths(&[(key, "u")]), "docker.io", "library/a"), ["u:p"], "{key}");
        }
        assert_eq!(users(&auths(&[("https://h.io:5000/v1/", "u")]), "h.io:5000", "a"), ["u:p"]);
    }

    #[test]
    fn every_form_of_an_entry_is_read() {
        for (entry, user) in [
            (r#"{"auth":"dXNlcjpwYTpzcw=="}"#, vec!["user:pa:ss"]),
            (r#"{"auth":"dXNlcjpwYTpzcw"}"#, vec!["user:pa:ss"]),
            (r#"{"auth":"dXNlcjpwAAA="}"#, vec!["user:p"]),
            (r#"{"auth":"MDAwOg==","identitytoken":"t"}"#, vec!["token t"]),
            (r#"{"username":"<token>","password":"t"}"#, vec!["token t"]),
            ("{}", vec![]),
            ("null", vec![]),
            (r#"{"email":"a@b"}"#, vec![]),
            (r#"{"auth":"%"}"#, vec!["the auth of h is not base64 of user:password"]),
            (r#"{"auth":"dXNlcg=="}"#, vec!["the auth of h is not base64 of user:password"]),
        ] {
            assert_eq!(users(&format!(r#"{{"auths":{{"h":{entry}}}}}"#), "h", "a"), user, "{entry}");
        }
    }

    #[test]
    fn a_helper_of_the_host_comes_before_the_store_and_the_file() {
        let file = r#"{"auths":{"h":{"auth":"dTpw"},"h/a":{"auth":"YTpw"}},"credHelpers":{"h":"one","h/x":"two"},"credsStore":"all"}"#;
        assert_eq!(users(file, "h", "b"), ["one(h)", "u:p"]);
        assert_eq!(users(file, "h", "a"), ["a:p", "one(h)", "u:p"]);
        assert_eq!(users(file, "h", "x/y"), ["two(h/x)", "one(h)", "u:p"]);
        assert_eq!(users(file, "i", "a"), ["all(i)"]);
        assert_eq!(users(file, "docker.io", "a"), ["all(https://index.docker.io/v1/)"]);
    }

    #[test]
    fn a_malformed_file_is_refused_with_the_place() {
        let refused = |text: &str| AuthFile::parse(text.as_bytes()).err().expect("refused");
        assert_eq!(refused("{\n\"auths\":7}"), "an unexpected value at line 2, column 9");
        assert_eq!(refused("{"), "a JSON syntax error at line 1, column 1");
        assert!(AuthFile::parse(b" \n").is_ok());
        assert!(AuthFile::parse(br#"{"auths":null,"HttpHeaders":{}}"#).is_ok());
    }
}
