//! EXPOSE: ports of the container, and nothing of the host.

use super::{super::statement::Statement, found::Found, rule::Rule};

/// Looks at ports that are written out; what a variable holds is not known here.
pub(super) fn check(statement: &Statement<'_>, found: &mut Found<'_>) {
    for word in statement.blank_separated() {
        if word.text.contains('$') {
            continue;
        }
        let port = word.text.trim_matches(['"', '\'']);
        let span = statement.span_of(&word.range);
        let (host, container) = port.rsplit_once(':').map_or((None, port), |(host, port)| (Some(host), port));
        if container.split_once('/').is_some_and(|(_, protocol)| protocol != protocol.to_lowercase()) {
            let message = format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
            found.add(Rule::ExposeProtoCasing, span, message);
        }
        if host.is_some_and(|host| host.chars().any(|letter| letter != ':')) {
            let message = format!(
                "EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
            );
            found.add(Rule::ExposeInvalidFormat, span, message);
        }
    }
}
