//! One registry: the first contact with it, what it wants to be told, and requests to it.

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use polyarch_actors::Fetching;
use reqwest::{
    Client, Method, Response, StatusCode, Url,
    header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE},
};
use tokio::sync::{OnceCell, Semaphore};

use super::{
    answer::{Asker, answer_error, passing},
    auth::{Credentials, Secret},
    challenge::{self, Challenge},
    client::Shared,
    connection::{self, Pulse, SharedPulse, Trust},
    error::RegistryError,
    token::{self, Token, TokenRequest},
};
use crate::fence::Fence;

/// How many blobs go to or come from one registry at once.
const PARALLEL_BLOBS: usize = 4;

/// One registry.
pub(super) struct Host {
    /// Its name in references.
    pub(super) name: String,
    trust: Trust,
    way: OnceLock<Way>,
    base: OnceCell<Url>,
    challenge: Mutex<Option<Challenge>>,
    credentials: tokio::sync::Mutex<HashMap<String, Option<Credentials>>>,
    tokens: tokio::sync::Mutex<HashMap<Vec<String>, Token>>,
    /// Bounds how many blobs are moved at once.
    pub(super) blobs: Semaphore,
}

/// How the registry is reached, and whatever it leads to.
struct Way {
    http: Client,
    /// What everything goes through, for some builds.
    fence: Option<Fence>,
}

/// What a request wants to do, and where.
#[derive(Clone, Debug)]
pub(super) struct Scopes {
    pub(super) repository: String,
    list: Vec<String>,
}

impl Scopes {
    pub(super) fn pull(repository: &str) -> Self {
        Self { repository: repository.to_owned(), list: vec![format!("repository:{repository}:pull")] }
    }

    pub(super) fn push(repository: &str) -> Self {
        Self { repository: repository.to_owned(), list: vec![format!("repository:{repository}:pull,push")] }
    }

    /// Pushing, and reading blobs of `from` for it.
    pub(super) fn mount(repository: &str, from: &str) -> Self {
        let mut scopes = Self::push(repository);
        scopes.list.push(format!("repository:{from}:pull"));
        scopes
    }
}

/// The body of a request, which can be made again.
pub(super) enum Payload<'a> {
    None,
    Bytes(Vec<u8>),
    /// So many bytes from a stream that is opened anew for each attempt.
    Stream(u64, &'a (dyn Fn(SharedPulse) -> Result<reqwest::Body, RegistryError> + Sync)),
}

/// One request.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) payload: Payload<'a>,
    pub(super) scopes: &'a Scopes,
    /// What is wanted, for messages.
    pub(super) what: &'a str,
    /// False for another host, which must not see the credentials.
    pub(super) authorized: bool,
}

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, url: Url, scopes: &'a Scopes, what: &'a str) -> Self {
        Self { method, url, headers: Vec::new(), payload: Payload::None, scopes, what, authorized: true }
    }

    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn payload(mut self, payload: Payload<'a>) -> Self {
        self.payload = payload;
        self
    }
}

/// What a request says about who asks.
struct Authorization {
    header: Option<HeaderValue>,
    asker: Asker,
    /// Whether a token was used that may no longer be good.
    remembered: bool,
}

impl Host {
    pub(super) fn new(name: &str, trust: Trust) -> Self {
        Self {
            name: name.to_owned(),
            trust,
            way: OnceLock::new(),
            base: OnceCell::new(),
            challenge: Mutex::new(None),
            credentials: tokio::sync::Mutex::default(),
            tokens: tokio::sync::Mutex::default(),
            blobs: Semaphore::new(PARALLEL_BLOBS),
        }
    }

    /// The URL of `path` within a repository.
    pub(super) async fn url(
        &self,
        shared: &Shared,
        repository: &str,
        path: &str,
    ) -> Result<Url, RegistryError> {
        let base = self.base(shared).await?;
        base.join(&format!("{repository}/{path}")).map_err(|error| RegistryError::Protocol {
            registry: self.name.clone(),
            what: path.to_owned(),
            reason: error.to_string(),
        })
    }

    pub(super) fn http(&self, shared: &Shared) -> Result<Client, RegistryError> {
        if let Some(way) = self.way.get() {
            return Ok(way.http.clone());
        }
        let fence = Fence::of(shared.fetching(&self.name))
            .map_err(|error| RegistryError::Setup { reason: error.to_string() })?;
        let http = match &fence {
            Some(fence) => shared.clients.fenced(self.trust, &self.name, fence),
            None => shared.clients.get(self.trust, &self.name),
        }?;
        Ok(self.way.get_or_init(|| Way { http, fence }).http.clone())
    }

    /// What a request without an answer means: that it was not let out, where that is so.
    pub(super) fn failure(&self, asked: &str, what: &str, error: &reqwest::Error) -> RegistryError {
        self.refused().unwrap_or_else(|| connection::failure(asked, what, error))
    }

    fn refused(&self) -> Option<RegistryError> {
        let host = self.way.get()?.fence.as_ref()?.refused()?;
        Some(RegistryError::NotPublic { registry: self.name.clone(), host })
    }

    /// Makes a request. Any status but success is an error.
    pub(super) async fn send(&self, shared: &Shared, call: &Call<'_>) -> Result<Response, RegistryError> {
        let http = self.http(shared)?;
        let idle = shared.timeouts.idle;
        let mut again = false;
        loop {
            let authorization = Box::pin(self.authorization(shared, call, again)).await?;
            let pulse = SharedPulse::default();
            let mut request = http.request(call.method.clone(), call.url.clone());
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            request = match &call.payload {
                Payload::None => {
                    if matches!(call.method, Method::POST | Method::PUT) {
                        request = request.header(reqwest::header::CONTENT_LENGTH, 0);
                    }
                    if call.method == Method::PUT {
                        pulse.hand_over();
                    }
                    request
                }
                Payload::Bytes(bytes) => {
                    pulse.hand_over();
                    request.body(bytes.clone())
                }
                Payload::Stream(length, open) => {
                    request.header(reqwest::header::CONTENT_LENGTH, *length).body(open(pulse.clone())?)
                }
            };
            if let Some(header) = authorization.header.clone() {
                request = request.header(AUTHORIZATION, header);
            }
            let response = pulse
                .watch(request.send(), idle, shared.timeouts.commit)
                .await
                .map_err(|idle| RegistryError::Stalled { registry: self.name.clone(), idle })?
                .map_err(|error| self.failure(&self.name, call.what, &error))?;
            if response.status().is_success() {
                return Ok(response);
            }
            if response.status() == StatusCode::UNAUTHORIZED && call.authorized && !again {
                let challenged = self.take_challenge(&response);
                if (authorization.header.is_none() && challenged) || authorization.remembered {
                    again = true;
                    continue;
                }
            }
            let error = answer_error(response, &self.name, call.what, &authorization.asker, idle).await;
            if matches!(error, RegistryError::WrongCredentials { .. }) {
                self.forget_credentials(&call.scopes.repository).await;
            }
            return Err(error);
        }
    }

    /// The URL `…/v2/`, found by the first contact.
    pub(super) async fn base(&self, shared: &Shared) -> Result<&Url, RegistryError> {
        self.base.get_or_try_init(|| self.first_contact(shared)).await
    }

    async fn first_contact(&self, shared: &Shared) -> Result<Url, RegistryError> {
        let http = self.http(shared)?;
        let address = if self.name == "docker.io" { "registry-1.docker.io" } else { &self.name };
        let mut errors = Vec::new();
        for scheme in self.trust.schemes() {
            let url = Url::parse(&format!("{scheme}://{address}/v2/")).map_err(|error| {
                let reason = error.to_string();
                RegistryError::Unreachable { registry: self.name.clone(), reason, passing: false }
            })?;
            let contact = Pulse::default()
                .watch(http.get(url.clone()).send(), shared.timeouts.idle, Duration::ZERO)
                .await
                .map_err(|idle| RegistryError::Stalled { registry: self.name.clone(), idle })
                .and_then(|end| end.map_err(|error| self.failure(&self.name, "the first contact", &error)));
            match contact {
                Ok(response) => {
                    self.take_challenge(&response);
                    // What is no passing fault is left to the request itself, which knows what it is for.
                    if !passing(response.status()) {
                        return Ok(url);
                    }
                    let (what, idle) = ("the first contact", shared.timeouts.idle);
                    return Err(answer_error(response, &self.name, what, &Asker::default(), idle).await);
                }
                Err(error) => errors.push(error),
            }
        }
        // That a registry does not speak TLS says nothing about why it did not answer without.
        let first = errors.iter().position(RegistryError::retryable).unwrap_or_default();
        Err(errors.into_iter().nth(first).unwrap_or(RegistryError::Cancelled))
    }

    /// Remembers how the registry wants to be asked. Returns whether it said so.
    fn take_challenge(&self, response: &Response) -> bool {
        let headers = response.headers().get_all(WWW_AUTHENTICATE);
        let found = challenge::choose(headers.iter().filter_map(|value| value.to_str().ok()));
        let challenged = found.is_some();
        if challenged {
            *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = found;
        }
        challenged
    }

    async fn authorization(
        &self,
        shared: &Shared,
        call: &Call<'_>,
        renew: bool,
    ) -> Result<Authorization, RegistryError> {
        let challenge = self.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let nobody = Authorization { header: None, asker: Asker::default(), remembered: false };
        let Some(challenge) = challenge.filter(|_| call.authorized) else { return Ok(nobody) };
        let credentials = self.credentials(shared, &call.scopes.repository).await?;
        let origin = credentials.as_ref().map(|credentials| credentials.origin.clone());
        let asker = Asker { origin, known: matches!(challenge, Challenge::Bearer { .. }) };
        let (value, remembered) = match challenge {
            Challenge::Basic => match credentials.map(|credentials| credentials.secret) {
                Some(Secret::Password { user, password }) => (basic(&user, &password), false),
                _ => return Ok(Authorization { asker, ..nobody }),
            },
            Challenge::Bearer { realm, service } => {
                let mut tokens = self.tokens.lock().await;
                let known = tokens.get(&call.scopes.list).filter(|token| token.is_fresh() && !renew);
                let (token, remembered) = if let Some(token) = known {
                    (token.clone(), true)
                } else {
                    let request = TokenRequest {
                        registry: &self.name,
                        realm: &realm,
                        service: service.as_deref(),
                        scopes: &call.scopes.list,
                        credentials: credentials.as_ref(),
                        what: call.what,
                        idle: shared.timeouts.idle,
                    };
                    let fetched = token::fetch(&self.token_http(shared, &realm)?, &request)
                        .await
                        .map_err(|error| self.refused().unwrap_or(error));
                    if matches!(fetched, Err(RegistryError::WrongCredentials { .. })) {
                        self.forget_credentials(&call.scopes.repository).await;
                    }
                    let token = fetched?;
                    tokens.insert(call.scopes.list.clone(), token.clone());
                    (token, false)
                };
                (format!("Bearer {}", token.value), remembered)
            }
        };
        let mut header = HeaderValue::try_from(value).map_err(|_| RegistryError::Protocol {
            registry: self.name.clone(),
            what: "the request for a token".into(),
            reason: "its token cannot be sent in a header".into(),
        })?;
        header.set_sensitive(true);
        Ok(Authorization { header: Some(header), asker, remembered })
    }

    /// The client for a token server. That a registry is on this machine says nothing about where it sends
    /// credentials.
    fn token_http(&self, shared: &Shared, realm: &str) -> Result<Client, RegistryError> {
        let realm = Url::parse(realm).ok();
        match (self.trust, realm.as_ref().and_then(Url::host_str)) {
            // What has to go through the fence does here too.
            (Trust::Loopback, Some(host)) if shared.fetching(&self.name) != Fetching::Public => {
                shared.clients.get(shared.trust(host), host)
            }
            _ => self.http(shared),
        }
    }

    /// Looks the credentials up anew next time: those of a helper run out.
    async fn forget_credentials(&self, repository: &str) {
        self.credentials.lock().await.remove(repository);
    }

    /// The credentials for a repository, looked up once.
    async fn credentials(
        &self,
        shared: &Shared,
        repository: &str,
    ) -> Result<Option<Credentials>, RegistryError> {
        let mut known = self.credentials.lock().await;
        if let Some(found) = known.get(repository) {
            return Ok(found.clone());
        }
        let found = shared.credentials.find(&self.name, repository).await?;
        known.insert(repository.to_owned(), found.clone());
        Ok(found)
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_asks_for_both_repositories() {
        let scopes = Scopes::mount("team/app", "team/base");
        assert_eq!(scopes.list, ["repository:team/app:pull,push", "repository:team/base:pull"]);
        assert_eq!(Scopes::pull("a").list, ["repository:a:pull"]);
    }
}
