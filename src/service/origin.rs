//! Whether a request was meant for this server, where nothing but the address protects it.
//!
//! A page of any web site may have the browser ask what listens on this machine, under a name that leads here (DNS
//! rebinding) or from its own origin. The first has a strange `Host`, the second a strange `Origin`.

use axum::http::{HeaderMap, Uri, header, uri::Authority};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StrangeRequest {
    #[error("the request does not say which host it is for")]
    NoHost,
    #[error("the request is for another host than this machine (use localhost, 127.0.0.1 or [::1])")]
    OtherHost,
    #[error("the request was made by a page of another origin")]
    OtherOrigin,
}

/// Judges a request by what it says of itself.
pub(super) fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), StrangeRequest> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host: Option<Authority> = match (uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), _, _) => Some(authority.clone()),
        (None, Some(host), None) => host.to_str().ok().and_then(|host| host.parse().ok()),
        _ => None,
    };
    let host = host.ok_or(StrangeRequest::NoHost)?;
    if !is_this_machine(host.host()) {
        return Err(StrangeRequest::OtherHost);
    }
    for origin in headers.get_all(header::ORIGIN) {
        let origin: Option<Uri> = origin.to_str().ok().and_then(|origin| origin.parse().ok());
        if origin.as_ref().and_then(Uri::authority) != Some(&host) {
            return Err(StrangeRequest::OtherOrigin);
        }
    }
    Ok(())
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address: Option<std::net::IpAddr> = bare.parse().ok();
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(headers: &[(&str, &str)]) -> Result<(), StrangeRequest> {
        let pairs = headers.iter().map(|(name, value)| {
            (name.parse::<header::HeaderName>().expect("a name"), value.parse().expect("a value"))
        });
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        check(&Uri::from_static("/v1/builds"), &map)
    }

    #[test]
    fn only_what_is_meant_for_this_machine_passes() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:80", "127.8.9.1", "[::1]:8080"] {
            assert_eq!(judge(&[("host", host)]), Ok(()), "{host}");
            let origin = format!("http://{}", host.to_ascii_lowercase());
            assert_eq!(judge(&[("host", host), ("origin", &origin)]), Ok(()), "{host}");
        }
        for host in
            ["example.org", "localhost.example.org", "10.0.0.1:80", "0.0.0.0", "127.0.0.1.nip.io", "[::2]"]
        {
            assert_eq!(judge(&[("host", host)]), Err(StrangeRequest::OtherHost), "{host}");
        }
        assert_eq!(judge(&[]), Err(StrangeRequest::NoHost));
        assert_eq!(judge(&[("host", "localhost"), ("host", "localhost")]), Err(StrangeRequest::NoHost));
        for origin in
            ["null", "http://example.org", "http://localhost:3000", "http://127.0.0.1:8080", "file://"]
        {
            let asked = [("host", "localhost:8080"), ("origin", origin)];
            assert_eq!(judge(&asked), Err(StrangeRequest::OtherOrigin), "{origin}");
        }
    }
}
