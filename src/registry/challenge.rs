//! Reads `WWW-Authenticate`: how a registry wants to be asked.
//!
//! Source: RFC 9110, section 11.3; <https://distribution.github.io/distribution/spec/auth/token/>.

/// How a registry wants to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A user name and a password with each request.
    Basic,
    /// A token with each request, which the realm gives out.
    Bearer {
        /// The URL of the token server.
        realm: String,
        /// The name of the registry there.
        service: Option<String>,
    },
}

/// The challenge to follow among those of some headers: a token before a password.
pub(super) fn choose<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = None;
    for (scheme, parameters) in headers.into_iter().flat_map(parse) {
        let get = |name: &str| {
            parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            if let Some(realm) = get("realm") {
                return Some(Challenge::Bearer { realm, service: get("service") });
            }
        } else if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        }
    }
    basic
}

type Parameters = Vec<(String, String)>;

/// Splits one header into schemes and their parameters. What does not fit is skipped.
fn parse(header: &str) -> Vec<(String, Parameters)> {
    let mut challenges: Vec<(String, Parameters)> = Vec::new();
    let mut rest = header.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let spaced = after.trim_start_matches([' ', '\t']);
        if let (Some(value), Some((_, parameters))) = (spaced.strip_prefix('='), challenges.last_mut()) {
            let (value, after) = read_value(value.trim_start_matches([' ', '\t']));
            parameters.push((word.to_owned(), value));
            rest = after;
        } else if word.is_empty() {
            // A stray '=': skip it, so that this loop always ends.
            rest = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
        } else {
            challenges.push((word.to_owned(), Vec::new()));
            rest = spaced;
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    challenges
}

/// A token or a quoted string, and what follows it.
fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.into(), service: service.map(str::to_owned) }
    }

    #[test]
    fn the_challenges_of_real_registries_are_read() {
        for (headers, challenge) in [
            (
                vec![
                    r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull""#,
                ],
                Some(bearer("https://auth.docker.io/token", Some("registry.docker.io"))),
            ),
            (
                vec![r#"bearer realm="https://x/t?a=1,b",error="invalid_token""#],
                Some(bearer("https://x/t?a=1,b", None)),
            ),
            (vec![r#"Basic realm="Registry Realm""#], Some(Challenge::Basic)),
            (vec!["Basic"], Some(Challenge::Basic)),
            (vec![r#"Basic realm="a", Bearer realm = "b" , service=c"#], Some(bearer("b", Some("c")))),
            (vec!["Basic realm=x", r#"Bearer realm="y""#], Some(bearer("y", None))),
            (vec![r#"Bearer realm="a\"b""#], Some(bearer("a\"b", None))),
            (vec!["Bearer service=x"], None),
            (vec!["Negotiate"], None),
            (vec!["", "=", "=,=\"", ",,,"], None),
        ] {
            assert_eq!(choose(headers.iter().copied()), challenge, "{headers:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_and_never_panics(header in "[A-Za-zäß=,\"\\\\ \t]{0,40}") {
            let _ = choose([header.as_str()]);
        }
    }
}
