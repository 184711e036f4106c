//! The client: one for all registries, so that connections, tokens and what is known of each are shared.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use polyarch_actors::{Fetching, RegistryAccess};

use super::{
    auth::CredentialSources,
    connection::{Clients, Trust},
    host::Host,
};

/// How long a registry may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The longest that connecting may take, TLS included.
    pub connect: Duration,
    /// The longest that nothing may move on a connection. There is no limit on the whole of a transfer.
    pub idle: Duration,
    /// The longest that a registry may take to digest what it was sent.
    pub commit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            idle: Duration::from_mins(1),
            commit: Duration::from_mins(10),
        }
    }
}

/// What a client may do.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// Whether certificates are checked; its `authfile` is not read here but by [`CredentialSources`].
    pub access: RegistryAccess,
    /// Where credentials are looked for.
    pub credentials: CredentialSources,
    /// How long a registry may take.
    pub timeouts: Timeouts,
    /// On whose behalf registries are asked, and so which.
    pub fetching: Fetching,
}

impl ClientOptions {
    /// The options for a process: its environment says where credentials are.
    pub fn of_process(access: RegistryAccess, fetching: Fetching) -> Self {
        let credentials = CredentialSources::of_process(access.authfile.clone());
        Self { access, credentials, timeouts: Timeouts::default(), fetching }
    }
}

/// Talks to registries. Cheap to clone; clones share connections, tokens and looked-up credentials.
#[derive(Clone)]
pub struct RegistryClient {
    pub(super) shared: Arc<Shared>,
}

/// What every registry's requests need.
pub(super) struct Shared {
    pub(super) clients: Clients,
    pub(super) credentials: CredentialSources,
    pub(super) timeouts: Timeouts,
    access: RegistryAccess,
    fetching: Fetching,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryClient")
            .field("credentials", &self.shared.credentials)
            .finish_non_exhaustive()
    }
}

impl RegistryClient {
    /// A client that has contacted nobody yet.
    pub fn new(options: ClientOptions) -> Self {
        let shared = Shared {
            clients: Clients::new(options.timeouts.clone()),
            credentials: options.credentials,
            timeouts: options.timeouts,
            access: options.access,
            fetching: options.fetching,
            hosts: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What is known of a registry.
    pub(super) fn host(&self, registry: &str) -> Arc<Host> {
        let mut hosts = self.shared.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Host::new(registry, self.shared.trust(registry)));
        hosts.entry(registry.to_owned()).or_insert_with(make).clone()
    }
}

impl Shared {
    /// How far a host is trusted that a registry leads to.
    pub(super) fn trust(&self, host: &str) -> Trust {
        Trust::of(host, self.access.tls_verify)
    }

    /// On whose behalf a registry is asked.
    pub(super) fn fetching(&self, registry: &str) -> Fetching {
        if self.access.private.contains(registry) { Fetching::Anywhere } else { self.fetching }
    }
}
