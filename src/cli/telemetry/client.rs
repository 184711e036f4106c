//! How spans go over HTTP, and what is said where they do not.

use std::{
    env,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use reqwest::Url;
use tokio::runtime::Handle;

use crate::{error::with_sources, registry};

/// How long a collector may take where nothing is said.
///
/// Source: OpenTelemetry, "OpenTelemetry Protocol Exporter".
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes. What a collector says is of no use but for its status.
const LARGEST_ANSWER: usize = 1 << 20;

/// Sends spans from whatever thread, on the runtime of the program.
#[derive(Debug)]
pub(super) struct Client {
    client: reqwest::Client,
    runtime: Handle,
    timeout: Duration,
    trouble: Arc<Trouble>,
}

/// What kept spans from being exported.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Whether it is told when it comes, rather than in the end.
    is_told: bool,
    newest: Mutex<Option<String>>,
}

impl Trouble {
    pub(super) fn new(is_told: bool) -> Self {
        Self { is_told, newest: Mutex::default() }
    }

    /// What went wrong, where nobody was told.
    pub(super) fn untold(&self) -> Option<String> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.clone().filter(|_| !self.is_told)
    }

    /// Notes how an export ended. Of many failures in a row only the first is told.
    fn note(&self, failure: Option<String>) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = failure.as_ref().filter(|_| self.is_told && newest.is_none()) {
            tracing::warn!("spans are not exported: {why}");
        }
        // Spans that were lost stay lost, so that a build that is over soon says so.
        if failure.is_some() || self.is_told {
            *newest = failure;
        }
    }
}

impl Client {
    /// A client of the collector at `endpoint`.
    pub(super) fn new(endpoint: &Url, runtime: Handle, trouble: Arc<Trouble>) -> Result<Self, String> {
        let client = registry::web_client(endpoint, None).map_err(|error| with_sources(&error))?;
        let names = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
        let milliseconds = names.into_iter().find_map(|name| env::var(name).ok()?.parse().ok());
        let timeout = milliseconds.map_or(TIMEOUT, Duration::from_millis);
        Ok(Self { client, runtime, timeout, trouble })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let (client, timeout) = (self.client.clone(), self.timeout);
        // Spans are sent from a thread of the SDK, which has no runtime.
        let sent = async move { tokio::time::timeout(timeout, send(&client, request)).await };
        let answer = self.runtime.spawn(sent);
        let answer = match answer.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                Err(format!("the collector took longer than {} ms", self.timeout.as_millis()).into())
            }
            Err(_) => Err("the program ended".into()),
        };
        self.trouble.note(match &answer {
            Err(error) => Some(error.to_string()),
            Ok(answer) if !answer.status().is_success() => {
                Some(format!("the collector answered {}", answer.status()))
            }
            Ok(_) => None,
        });
        answer
    }
}

async fn send(client: &reqwest::Client, request: reqwest::Request) -> Result<Response<Bytes>, HttpError> {
    // An address may have a password in it.
    let plain = |error: reqwest::Error| with_sources(&error.without_url());
    let mut answer = client.execute(request).await.map_err(plain)?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        headers.clone_from(answer.headers());
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(plain)? {
        if body.len() + piece.len() > LARGEST_ANSWER {
            break;
        }
        body.extend_from_slice(&piece);
    }
    Ok(response.body(body.into())?)
}
