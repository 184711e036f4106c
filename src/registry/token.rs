//! Gets access tokens from a registry's token server.
//!
//! Source: <https://distribution.github.io/distribution/spec/auth/token/> and `…/oauth/`.

use std::time::Duration;

use reqwest::{Client, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    answer::{Asker, answer_error},
    auth::{Credentials, Secret},
    connection::{self, Pulse},
    error::RegistryError,
};

/// The largest answer of a token server that is read, in bytes.
const LARGEST_ANSWER: u64 = 1 << 20;
/// How long a token is good when the server does not say (token specification, `expires_in`).
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// How long the longest life is that is believed, so that it can be added to a time.
const LONGEST_LIFE: Duration = Duration::from_hours(30 * 24);

/// An access token.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) value: String,
    fresh_until: Instant,
}

impl Token {
    pub(super) fn is_fresh(&self) -> bool {
        Instant::now() < self.fresh_until
    }
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
}

/// Whom to ask, and for what.
pub(super) struct TokenRequest<'a> {
    pub(super) registry: &'a str,
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
    pub(super) scopes: &'a [String],
    pub(super) credentials: Option<&'a Credentials>,
    /// What the token is wanted for, for messages.
    pub(super) what: &'a str,
    pub(super) idle: Duration,
}

/// Asks for a token: with a GET as every token server understands it, or with a POST when there is an
/// identity token.
pub(super) async fn fetch(http: &Client, request: &TokenRequest<'_>) -> Result<Token, RegistryError> {
    let registry = request.registry;
    let odd = |reason: &str| RegistryError::Protocol {
        registry: registry.to_owned(),
        what: "the request for a token".to_owned(),
        reason: reason.to_owned(),
    };
    let mut url = Url::parse(request.realm)
        .map_err(|_| odd(&format!("its token server {:?} is no URL", request.realm)))?;
    let secret = request.credentials.map(|credentials| &credentials.secret);
    let asking = match secret {
        Some(Secret::IdentityToken(token)) => {
            let scope = request.scopes.join(" ");
            let mut form = vec![
                ("grant_type", "refresh_token"),
                ("client_id", "polyarch"),
                ("refresh_token", token.as_str()),
                ("scope", scope.as_str()),
            ];
            form.extend(request.service.map(|service| ("service", service)));
            http.post(url).form(&form)
        }
        other => {
            {
                let mut query = url.query_pairs_mut();
                if let Some(service) = request.service {
                    query.append_pair("service", service);
                }
                for scope in request.scopes {
                    query.append_pair("scope", scope);
                }
                if let Some(Secret::Password { user, .. }) = other {
                    query.append_pair("account", user);
                }
            }
            match other {
                Some(Secret::Password { user, password }) => http.get(url).basic_auth(user, Some(password)),
                _ => http.get(url),
            }
        }
    };
    let begun = Instant::now();
    let response = Pulse::default()
        .watch(asking.send(), request.idle, Duration::ZERO)
        .await
        .map_err(|idle| RegistryError::Stalled { registry: registry.to_owned(), idle })?
        .map_err(|error| connection::failure(registry, "the request for a token", &error))?;
    if !response.status().is_success() {
        let status = response.status().as_u16();
        let origin = request.credentials.map(|credentials| credentials.origin.clone());
        if let (400, Some(Secret::IdentityToken(_)), Some(origin)) = (status, secret, &origin) {
            // OAuth2 says `invalid_grant` this way (RFC 6749, section 5.2).
            let (registry, origin) = (registry.to_owned(), origin.clone());
            return Err(RegistryError::WrongCredentials { registry, origin });
        }
        let what = if matches!(status, 401 | 403) { request.what } else { "the request for a token" };
        let asker = Asker { origin, known: false };
        return Err(answer_error(response, registry, what, &asker, request.idle).await);
    }
    let (bytes, _) = connection::body(response, registry, request.idle, LARGEST_ANSWER).await?;
    let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| odd("its token is malformed"))?;
    let value = [answer.token, answer.access_token].into_iter().flatten().find(|token| !token.is_empty());
    let value = value.ok_or_else(|| odd("its answer holds no token"))?;
    Ok(Token { value, fresh_until: begun + life(answer.expires_in) })
}

/// How long to use a token: a tenth less than its life, for it must still be good when it arrives.
fn life(expires_in: Option<f64>) -> Duration {
    let life = expires_in
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(DEFAULT_LIFE);
    life.min(LONGEST_LIFE).mul_f64(0.9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_for_less_than_its_life() {
        assert_eq!(life(Some(300.0)), Duration::from_secs(270));
        assert_eq!(life(None), Duration::from_secs(54));
        assert_eq!(life(Some(-1.0)), Duration::from_secs(54));
        assert!(life(Some(1e300)) < Duration::from_hours(90 * 24));
    }
}
