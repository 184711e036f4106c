//! HTTP connections: which kind a registry gets, how long they may be silent, and what their failures mean.

use std::{
    collections::{HashMap, hash_map::Entry},
    error::Error as _,
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use reqwest::{Client, Proxy, Response};
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;

use super::{client::Timeouts, error::RegistryError, tls};
use crate::fence::Fence;

/// The clients for the kinds of registries, each made when first needed.
#[derive(Debug)]
pub(super) struct Clients {
    timeouts: Timeouts,
    made: Mutex<HashMap<Kind, Result<Client, String>>>,
}

/// What makes one client differ from another: the trust, and the certificates for one registry alone.
type Kind = (Trust, Vec<CertificateDer<'static>>);

/// How far a registry is trusted on the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trust {
    /// HTTPS with a checked certificate, redirects and token servers included.
    Checked,
    /// Any certificate, and plain HTTP where HTTPS fails.
    Any,
    /// As `Any`, and never through a proxy: the registry is on this machine.
    Loopback,
}

impl Trust {
    /// How far the registry `host` is trusted.
    pub(super) fn of(host: &str, tls_verify: bool) -> Self {
        match (is_loopback(host), tls_verify) {
            (true, _) => Self::Loopback,
            (false, true) => Self::Checked,
            (false, false) => Self::Any,
        }
    }

    /// The schemes to try, in this order.
    pub(super) fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Checked => &["https"],
            Self::Any | Self::Loopback => &["https", "http"],
        }
    }
}

/// Whether a host, with or without a port, is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.split(']').next().unwrap_or_default();
        return address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    }
    let host = host.split(':').next().unwrap_or_default();
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

impl Clients {
    pub(super) fn new(timeouts: Timeouts) -> Self {
        Self { timeouts, made: Mutex::default() }
    }

    /// The client for a host that is trusted so far.
    pub(super) fn get(&self, trust: Trust, host: &str) -> Result<Client, RegistryError> {
        let own = if trust == Trust::Checked { tls::certificates_for(host) } else { Vec::new() };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match made.entry((trust, own)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let client = self.make(trust, &place.key().1, None);
                place.insert(client)
            }
        };
        client.clone().map_err(|reason| RegistryError::Setup { reason })
    }

    /// A client for one registry that reaches everything through a fence.
    pub(super) fn fenced(&self, trust: Trust, host: &str, fence: &Fence) -> Result<Client, RegistryError> {
        let own = if trust == Trust::Checked { tls::certificates_for(host) } else { Vec::new() };
        self.make(trust, &own, Some(fence)).map_err(|reason| RegistryError::Setup { reason })
    }

    fn make(
        &self,
        trust: Trust,
        own: &[CertificateDer<'static>],
        fence: Option<&Fence>,
    ) -> Result<Client, String> {
        let tls = if trust == Trust::Checked { tls::checked(own)? } else { tls::unchecked()? };
        let builder = Client::builder()
            .user_agent(concat!("polyarch/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls)
            .connect_timeout(self.timeouts.connect)
            .pool_idle_timeout(Duration::from_secs(30))
            .https_only(trust == Trust::Checked)
            // Retries are counted and reported by the caller.
            .retry(reqwest::retry::never());
        let builder = match fence {
            Some(fence) => builder.proxy(Proxy::all(fence.proxy()).map_err(|error| cause(&error))?),
            None if trust == Trust::Loopback => builder.no_proxy(),
            None => builder,
        };
        builder.build().map_err(|error| cause(&error))
    }
}

/// Counts the bytes that a request has handed over, so that a silent connection is told from a slow one.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    bytes: AtomicU64,
    handed_over: OnceLock<Instant>,
}

impl Pulse {
    pub(super) fn beat(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Says that the whole body was handed over and the registry is at work on it.
    pub(super) fn hand_over(&self) {
        let _ = self.handed_over.set(Instant::now());
    }

    /// Waits for the answer to a request. Gives up when nothing moves for `idle`, or when the registry has
    /// had the whole body for `commit`.
    pub(super) async fn watch<T>(
        &self,
        answer: impl Future<Output = T>,
        idle: Duration,
        commit: Duration,
    ) -> Result<T, Duration> {
        let mut answer = pin!(answer);
        let mut seen = self.bytes.load(Ordering::Relaxed);
        loop {
            if let Ok(answer) = tokio::time::timeout(idle, &mut answer).await {
                return Ok(answer);
            }
            let now = self.bytes.load(Ordering::Relaxed);
            let at_work = self.handed_over.get().is_some_and(|since| since.elapsed() < commit);
            if now == seen && !at_work {
                return Err(self.handed_over.get().map_or(idle, Instant::elapsed));
            }
            seen = now;
        }
    }
}

/// The next piece of an answer's body.
pub(super) async fn chunk(
    response: &mut Response,
    registry: &str,
    idle: Duration,
) -> Result<Option<Bytes>, RegistryError> {
    match tokio::time::timeout(idle, response.chunk()).await {
        Ok(chunk) => chunk.map_err(|error| interrupted(registry, &error)),
        Err(_) => Err(RegistryError::Stalled { registry: registry.to_owned(), idle }),
    }
}

/// An answer's body, or what of it fits into `limit` bytes and whether that is all.
pub(super) async fn body(
    mut response: Response,
    registry: &str,
    idle: Duration,
    limit: u64,
) -> Result<(Vec<u8>, bool), RegistryError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = chunk(&mut response, registry, idle).await? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Ok((bytes, false));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes, true))
}

/// What a failed request means. Never quotes a URL, which may hold a signature.
pub(super) fn failure(registry: &str, what: &str, error: &reqwest::Error) -> RegistryError {
    let registry = registry.to_owned();
    let reason = cause(error);
    if reason.contains("URL scheme is not allowed") {
        let reason = "it leads from https to plain http".to_owned();
        return RegistryError::Protocol { registry, what: what.to_owned(), reason };
    }
    if error.is_redirect() || error.is_builder() {
        return RegistryError::Protocol { registry, what: what.to_owned(), reason };
    }
    if error.is_connect() || error.is_timeout() {
        let reason = if error.is_timeout() { "connecting took too long".to_owned() } else { reason };
        let passing = !lasting(&reason);
        return RegistryError::Unreachable { registry, reason, passing };
    }
    interrupted(&registry, error)
}

fn interrupted(registry: &str, error: &reqwest::Error) -> RegistryError {
    RegistryError::Interrupted { registry: registry.to_owned(), reason: cause(error) }
}

/// The innermost reason of an error, without the number that the operating system gives it.
pub(super) fn cause(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    plain(&text)
}

/// A reason without what only a programmer understands.
fn plain(reason: &str) -> String {
    if reason.contains("UnknownIssuer") || reason.contains("CaUsedAsEndEntity") {
        return "its certificate is from an authority that this machine does not trust".into();
    }
    if reason.contains("InvalidContentType") {
        return "it does not speak TLS on that port".into();
    }
    let reason = reason.split(" (os error").next().unwrap_or_default();
    reason.trim_start_matches("failed to lookup address information: ").to_owned()
}

/// Whether connecting fails for a reason that time does not mend: a wrong name or certificate.
fn lasting(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    [
        "name or service not known",
        "nodename nor servname",
        "no such host is known",
        "no address associated",
        "certificate",
        "does not speak tls",
        "proxy auth",
    ]
    .iter()
    .any(|known| reason.contains(known))
}

/// A counter that the stream of a body shares with the request that sends it.
pub(super) type SharedPulse = Arc<Pulse>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_in_every_spelling() {
        for host in ["localhost", "LOCALHOST:5000", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:5000"] {
            assert_eq!(Trust::of(host, true), Trust::Loopback, "{host}");
        }
        for host in ["localhost.example.com", "128.0.0.1", "[::2]:5000", "127.0.0.1.nip.io", "ghcr.io"] {
            assert_eq!(Trust::of(host, true), Trust::Checked, "{host}");
            assert_eq!(Trust::of(host, false), Trust::Any, "{host}");
        }
        assert_eq!(Trust::Checked.schemes(), ["https"]);
    }

    #[test]
    fn a_wrong_name_or_certificate_lasts_and_the_rest_passes() {
        for (reason, shown, lasts) in [
            ("Connection refused (os error 111)", "Connection refused", false),
            (
                "failed to lookup address information: Name or service not known",
                "Name or service not known",
                true,
            ),
            (
                "failed to lookup address information: Temporary failure in name resolution",
                "Temporary failure in name resolution",
                false,
            ),
            (
                "invalid peer certificate: UnknownIssuer",
                "its certificate is from an authority that this machine does not trust",
                true,
            ),
            (
                "received corrupt message of type InvalidContentType",
                "it does not speak TLS on that port",
                true,
            ),
        ] {
            assert_eq!((plain(reason).as_str(), lasting(&plain(reason))), (shown, lasts));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_and_slowness_is_not() {
        let second = Duration::from_secs(1);
        let pulse = Pulse::default();
        let silent = pulse.watch(std::future::pending::<()>(), 10 * second, 60 * second).await;
        assert_eq!(silent, Err(10 * second));
        let slow = async {
            for _ in 0..10 {
                tokio::time::sleep(9 * second).await;
                pulse.beat(1);
            }
        };
        assert_eq!(pulse.watch(slow, 10 * second, 60 * second).await, Ok(()));
        pulse.hand_over();
        let at_work = tokio::time::sleep(50 * second);
        assert_eq!(pulse.watch(at_work, 10 * second, 60 * second).await, Ok(()));
        assert!(pulse.watch(std::future::pending::<()>(), 10 * second, 60 * second).await.is_err());
    }
}
