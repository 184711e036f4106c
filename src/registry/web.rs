//! Web servers that are no registries, reached as registries are: with the certificates that this machine trusts,
//! its proxies, the same patience, and the same meaning of failures.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Client, Proxy, Response, StatusCode, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, IF_NONE_MATCH, USER_AGENT},
};

use super::{
    answer::{Asker, answer_error},
    client::Timeouts,
    connection::{self, cause, is_loopback},
    error::RegistryError,
    tls,
};

/// How long a server may think about an answer while nothing is sent.
const ANSWER: Duration = Duration::from_mins(2);

/// A client for the server of `url` alone, which takes nothing over plain http where that is https. With a `proxy`, everything
/// goes through it, whatever this machine has.
pub(crate) fn client(url: &Url, proxy: Option<String>) -> Result<Client, RegistryError> {
    let setup = |reason| RegistryError::Setup { reason };
    let builder = Client::builder()
        .tls_backend_preconfigured(tls::checked(&[]).map_err(setup)?)
        .connect_timeout(Timeouts::default().connect)
        .https_only(url.scheme() == "https")
        // Retries are counted and reported by the caller.
        .retry(reqwest::retry::never());
    let builder = match proxy {
        Some(proxy) => builder.proxy(Proxy::all(proxy).map_err(|error| setup(cause(&error)))?),
        None if is_loopback(&host_of(url)) => builder.no_proxy(),
        None => builder,
    };
    builder.build().map_err(|error| setup(cause(&error)))
}

/// The host of an address, with its port where that is unusual.
fn host_of(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// Talks to one web server.
#[derive(Debug)]
pub(crate) struct Web {
    client: Client,
    /// The server's host, with its port where that is unusual.
    pub(crate) host: String,
    idle: Duration,
    /// Who asks, where it is not the address that says so.
    authorization: HeaderMap,
}

impl Web {
    /// A client for the server of `url`. Nothing leads from https to plain http, and no other host that the server
    /// leads to gets the header `authorization`. With a `proxy`, everything goes through it, whatever this machine has.
    pub(crate) fn new(
        url: &Url,
        authorization: Option<&str>,
        proxy: Option<String>,
    ) -> Result<Self, RegistryError> {
        let setup = |reason| RegistryError::Setup { reason };
        let client = client(url, proxy)?;
        let mut headers = HeaderMap::new();
        if let Some(authorization) = authorization {
            let value = HeaderValue::from_str(authorization);
            let mut value = value.map_err(|_| setup("a secret is no header".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Self { client, host: host_of(url), idle: Timeouts::default().idle, authorization: headers })
    }

    /// Asks for `url`, which is called `what` in errors. With the `etag` of what is here already, the answer may
    /// be that it has not changed; any other answer is a success or an error.
    pub(crate) async fn ask(
        &self,
        url: &Url,
        what: &str,
        etag: Option<&str>,
    ) -> Result<Response, RegistryError> {
        let agent = concat!("polyarch/", env!("CARGO_PKG_VERSION"));
        let mut request = self.client.get(url.clone()).header(USER_AGENT, agent);
        // In the place of what the address says.
        request = request.headers(self.authorization.clone());
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let answer = tokio::time::timeout(ANSWER, request.send()).await;
        let stalled = |_| RegistryError::Stalled { registry: self.host.clone(), idle: ANSWER };
        let response =
            answer.map_err(stalled)?.map_err(|error| connection::failure(&self.host, what, &error))?;
        match response.status() {
            StatusCode::NOT_MODIFIED if etag.is_some() => Ok(response),
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED => {
                let message = "it wants other credentials than it was given".to_owned();
                Err(RegistryError::Denied { registry: self.host.clone(), what: what.to_owned(), message })
            }
            _ => Err(answer_error(response, &self.host, what, &Asker::default(), self.idle).await),
        }
    }

    /// The next piece of an answer's body.
    pub(crate) async fn piece(&self, response: &mut Response) -> Result<Option<Bytes>, RegistryError> {
        connection::chunk(response, &self.host, self.idle).await
    }
}
