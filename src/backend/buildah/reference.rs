//! References as registries' clients read them.

/// The reference with everything that Docker leaves out: `alpine` is `docker.io/library/alpine`.
///
/// Independent of the search list in `registries.conf`, so that every backend gets the same image.
pub(super) fn qualified(reference: &str) -> String {
    match reference.split_once('/') {
        None => format!("docker.io/library/{reference}"),
        Some((host, rest)) if is_host(host) => match host {
            "docker.io" | "index.docker.io" if !rest.contains('/') => format!("docker.io/library/{rest}"),
            _ => reference.to_owned(),
        },
        Some(_) => format!("docker.io/{reference}"),
    }
}

/// Whether the registry of a qualified reference is this machine, where plain HTTP is no risk.
pub(super) fn is_loopback(qualified: &str) -> bool {
    let host = qualified.split('/').next().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What stands before the first slash is a registry if it could not be a name on Docker Hub.
fn is_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_names_on_docker_hub() {
        for (short, long) in [
            ("alpine", "docker.io/library/alpine"),
            ("alpine:3.20", "docker.io/library/alpine:3.20"),
            ("grafana/grafana", "docker.io/grafana/grafana"),
            ("docker.io/alpine", "docker.io/library/alpine"),
            ("docker.io/grafana/grafana", "docker.io/grafana/grafana"),
            ("ghcr.io/a/b@sha256:00", "ghcr.io/a/b@sha256:00"),
            ("localhost/a", "localhost/a"),
            ("127.0.0.1:5000/a", "127.0.0.1:5000/a"),
            ("registry:5000/a", "registry:5000/a"),
        ] {
            assert_eq!(qualified(short), long);
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (reference, loopback) in [
            ("127.0.0.1:5000/a", true),
            ("127.8.8.8/a", true),
            ("localhost:5000/a", true),
            ("[::1]:5000/a", true),
            ("docker.io/library/localhost", false),
            ("localhost.example.com/a", false),
            ("127.0.0.1.example.com/a", false),
            ("10.0.0.1:5000/a", false),
        ] {
            assert_eq!(is_loopback(reference), loopback, "{reference}");
        }
    }
}
