//! Whose builds there are, and what each may use: from a file in TOML.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use polyarch_actors::queue::{Tenant as TenantName, TenantError as TenantNameError};
use polyarch_actors::{BuildResources, SecretRef, SecretSource};
use serde::Deserialize;

use super::{resources, token::TokenHash};
use crate::{oci::Reference, quantity};

/// The largest share of a tenant.
const MOST_WEIGHT: u32 = 1000;
/// The largest file of tenants, in bytes.
const LARGEST_FILE: u64 = 4 << 20;

/// Somebody whose builds are kept apart from those of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: TenantName,
    /// Its share of what there is, beside those of others.
    pub weight: u32,
    /// How many of its builds run at once, at most.
    pub max_running: Option<usize>,
    /// How many of its builds wait, at most.
    pub max_waiting: Option<usize>,
    /// What one of its builds may take at most, and what a build gets that does not say.
    pub most: BuildResources,
    /// How long one of its builds may take from its beginning to its end.
    pub max_time: Option<Duration>,
    /// What its builds may mount as secrets, by id.
    pub secrets: BTreeMap<String, SecretSource>,
    /// The directories of this machine in which its contexts may be.
    pub paths: Vec<PathBuf>,
    /// The file of registry credentials of its builds. Without one they have none, unless there are no tokens
    /// ([`Access::ThisMachine`](super::Access::ThisMachine)): then those of the user that the service runs as.
    pub authfile: Option<PathBuf>,
    /// Whether its contexts, what ADD names and registries may be at addresses that are not public. Without tokens they may.
    pub fetch_private: bool,
    /// The registries, as `host` or `host:port`, that may be at such an address anyway.
    pub private_registries: BTreeSet<String>,
    /// Whether its steps reach the network of this machine: on it, also what listens on loopback.
    pub network: bool,
}

impl Tenant {
    /// One that may use no secrets and no directories, with a share like that of others.
    pub fn new(name: TenantName) -> Self {
        Self {
            name,
            weight: 1,
            max_running: None,
            max_waiting: None,
            most: BuildResources::default(),
            max_time: None,
            secrets: BTreeMap::new(),
            paths: Vec::new(),
            authfile: None,
            fetch_private: false,
            private_registries: BTreeSet::new(),
            network: true,
        }
    }

    /// A secret of this tenant.
    pub fn secret(&self, id: &str) -> Option<SecretRef> {
        let source = self.secrets.get(id)?;
        Some(SecretRef { id: id.to_owned(), source: source.clone() })
    }
}

/// All tenants, and their tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenants {
    tenants: Vec<Arc<Tenant>>,
    tokens: Vec<(TokenHash, Arc<Tenant>)>,
}

/// Why a file of tenants cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TenantsError {
    /// It cannot be read.
    #[error("cannot read the tenants in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not what a file of tenants is.
    #[error("the tenants in {} cannot be used: line {line}: {reason}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A value in it cannot be used.
    #[error("the tenants in {} cannot be used: {field}: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The field: `tenant.web.paths[0]`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tenant: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    weight: Option<u32>,
    max_running: Option<usize>,
    max_waiting: Option<usize>,
    max_memory: Option<String>,
    max_cpus: Option<f64>,
    max_pids: Option<u64>,
    max_time: Option<String>,
    #[serde(default)]
    tokens: Vec<String>,
    #[serde(default)]
    secrets: BTreeMap<String, SecretSource>,
    #[serde(default)]
    paths: Vec<PathBuf>,
    authfile: Option<PathBuf>,
    #[serde(default)]
    fetch_private: bool,
    #[serde(default)]
    private_registries: BTreeSet<String>,
    network: Option<bool>,
}

impl Tenants {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, TenantsError> {
        let unreadable = |source| TenantsError::Read { path: path.to_owned(), source };
        let size = fs::metadata(path).map_err(unreadable)?.len();
        if size > LARGEST_FILE {
            return Err(unreadable(io::Error::other(format!("it has more than {LARGEST_FILE} bytes"))));
        }
        Self::parse(&fs::read_to_string(path).map_err(unreadable)?, path)
    }

    /// Reads the text of a file; `path` is for errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, TenantsError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            TenantsError::Text { path: path.to_owned(), line, reason: without_values(error.message()) }
        })?;
        let wrong =
            |(field, reason): (String, String)| TenantsError::Value { path: path.to_owned(), field, reason };
        if file.tenant.is_empty() {
            return Err(wrong(("tenant".into(), "there is none (begin one with [tenant.NAME])".into())));
        }
        let mut all = Self::default();
        for (name, entry) in file.tenant {
            all.add(&name, entry)
                .map_err(|(field, reason)| wrong((format!("tenant.{name}{field}"), reason)))?;
        }
        Ok(all)
    }

    /// All of them, by name.
    pub fn all(&self) -> &[Arc<Tenant>] {
        &self.tenants
    }

    /// The one whose token this is. The time it takes does not depend on what is presented.
    pub(super) fn of_token(&self, presented: &str) -> Option<Arc<Tenant>> {
        let presented = TokenHash::of(presented);
        let mut found = None;
        for (hash, tenant) in &self.tokens {
            if bool::from(hash.is(&presented)) {
                found = Some(tenant);
            }
        }
        found.cloned()
    }

    /// Adds a tenant, or says which of its fields is wrong, and why.
    fn add(&mut self, name: &str, entry: Entry) -> Result<(), (String, String)> {
        let at = |field: &str, reason: &str| (field.to_owned(), reason.to_owned());
        let name = name.parse().map_err(|error: TenantNameError| (String::new(), error.to_string()))?;
        let weight = entry.weight.unwrap_or(1);
        if !(1..=MOST_WEIGHT).contains(&weight) {
            return Err((".weight".into(), format!("it is a number from 1 to {MOST_WEIGHT}")));
        }
        if entry.max_running == Some(0) {
            return Err(at(".max_running", "nothing would ever run"));
        }
        let amount = |field: &'static str| move |reason: String| (field.to_owned(), reason);
        let memory = entry.max_memory.as_deref().map(resources::memory).transpose();
        let max_time = entry.max_time.as_deref().map(time).transpose();
        let millicpus = entry.max_cpus.map(resources::millicpus).transpose();
        let most = BuildResources {
            memory: memory.map_err(amount(".max_memory"))?,
            millicpus: millicpus.map_err(amount(".max_cpus"))?,
            pids: entry.max_pids.map(resources::pids).transpose().map_err(amount(".max_pids"))?,
            required: false,
        };
        if let Some(place) = entry.paths.iter().position(|path| !path.is_absolute()) {
            return Err((format!(".paths[{place}]"), "it is not an absolute path".into()));
        }
        if entry.authfile.as_deref().is_some_and(Path::is_relative) {
            return Err(at(".authfile", "it is not an absolute path"));
        }
        if let Some(name) = entry.private_registries.iter().find(|name| !is_registry(name)) {
            let reason = format!(
                "{name:?} is no registry as names of images begin with, like registry.example.com:5000"
            );
            return Err((".private_registries".into(), reason));
        }
        for (id, source) in &entry.secrets {
            match source {
                SecretSource::File(file) if file.is_relative() => {
                    return Err((format!(".secrets.{id}.file"), "it is not an absolute path".into()));
                }
                SecretSource::Env(variable) if variable.is_empty() => {
                    return Err((format!(".secrets.{id}.env"), "the name is empty".into()));
                }
                SecretSource::File(_) | SecretSource::Env(_) => {}
            }
        }
        let tenant = Arc::new(Tenant {
            name,
            weight,
            max_running: entry.max_running,
            max_waiting: entry.max_waiting,
            most,
            max_time: max_time.map_err(amount(".max_time"))?,
            secrets: entry.secrets,
            paths: entry.paths,
            authfile: entry.authfile,
            fetch_private: entry.fetch_private,
            private_registries: entry.private_registries,
            network: entry.network.unwrap_or(true),
        });
        for (place, token) in entry.tokens.iter().enumerate() {
            let field = || format!(".tokens[{place}]");
            // What stands there may be a token by mistake, and is not said again.
            let hash: TokenHash = token.parse().map_err(|_| {
                (
                    field(),
                    "expected sha256: and 64 hexadecimal digits, as polyarch serve token prints them".into(),
                )
            })?;
            if self.tokens.iter().any(|(known, _)| *known == hash) {
                return Err((field(), "the same token is there before".into()));
            }
            self.tokens.push((hash, Arc::clone(&tenant)));
        }
        self.tenants.push(tenant);
        Ok(())
    }
}

/// Whether names of images can begin with it and mean this registry.
fn is_registry(name: &str) -> bool {
    format!("{name}/image").parse::<Reference>().is_ok_and(|reference| reference.registry() == name)
}

/// How long a build may take.
fn time(text: &str) -> Result<Duration, String> {
    let time = quantity::duration(text)?;
    if time.is_zero() { Err("nothing would ever be built".into()) } else { Ok(time) }
}

/// What is wrong, without what stands there instead: it may be a token or a secret by mistake.
fn without_values(message: &str) -> String {
    let names_a_field = message.starts_with("unknown field") || message.starts_with("duplicate");
    match message.rfind("expected ") {
        Some(expected) if !names_a_field => message[expected..].replace('\n', ", "),
        _ if message.starts_with("invalid") && !names_a_field => "it cannot be used here".into(),
        _ => message.replace('\n', ", "),
    }
}

#[cfg(test)]
#[path = "tenants_tests.rs"]
mod tests;
