//! The value of `RUN --mount`: comma-separated pairs.

use super::{
    ast::{Mount, MountOption, Word},
    error::{ErrorKind, Mistake},
    suggest::nearest,
};

/// Every option with the name it is known by here.
const OPTIONS: [(&str, &str); 19] = [
    ("type", "type"),
    ("from", "from"),
    ("source", "source"),
    ("src", "source"),
    ("target", "target"),
    ("dst", "target"),
    ("destination", "target"),
    ("readonly", "readonly"),
    ("ro", "readonly"),
    ("readwrite", "readwrite"),
    ("rw", "readwrite"),
    ("id", "id"),
    ("sharing", "sharing"),
    ("required", "required"),
    ("size", "size"),
    ("mode", "mode"),
    ("uid", "uid"),
    ("gid", "gid"),
    ("env", "env"),
];

/// Reads one mount; what has a variable in it is only known when the step is.
pub(super) fn read(given: &Word) -> Result<Mount, Mistake> {
    let fields = fields(&given.text).ok_or_else(|| given.span.mistake(ErrorKind::MalformedMount))?;
    let mut mount = Mount { from: None, options: Vec::new() };
    for field in fields {
        let (written, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value.to_owned())),
            None => (field.to_lowercase(), None),
        };
        let key = known_key(&written).ok_or_else(|| {
            let known = OPTIONS.iter().map(|(key, _)| *key);
            let suggestion = nearest(&written, known).map(str::to_owned);
            given.span.mistake(ErrorKind::UnknownMountOption { key: written.clone(), suggestion })
        })?;
        check(key, value.as_deref()).map_err(|kind| given.span.mistake(kind))?;
        match (key, value) {
            ("from", Some(value)) if value.is_empty() => {}
            ("from", Some(text)) => mount.from = Some(Word { text, span: given.span }),
            (key, value) => mount.options.push(MountOption { key: key.to_owned(), value }),
        }
    }
    Ok(mount)
}

fn known_key(written: &str) -> Option<&'static str> {
    OPTIONS.iter().find(|(key, _)| *key == written).map(|(_, name)| *name)
}

fn check(key: &str, value: Option<&str>) -> Result<(), ErrorKind> {
    let bad = |expected| {
        let value = value.unwrap_or_default().to_owned();
        Err(ErrorKind::BadMountOption { key: key.to_owned(), value, expected })
    };
    let Some(value) = value else {
        return match key {
            "readonly" | "readwrite" | "required" => Ok(()),
            _ => bad("given as key=value"),
        };
    };
    let lower = value.to_lowercase();
    match key {
        // Which stages a build needs must not depend on variables that only its steps know.
        "from" if value.trim_end_matches('$').contains('$') => {
            Err(ErrorKind::VariableInFrom { value: value.to_owned() })
        }
        _ if value.contains('$') => Ok(()),
        "type" if !["bind", "cache", "tmpfs", "secret", "ssh"].contains(&lower.as_str()) => {
            bad("bind, cache, tmpfs, secret or ssh")
        }
        "sharing" if !["shared", "private", "locked"].contains(&lower.as_str()) => {
            bad("shared, private or locked")
        }
        "readonly" | "readwrite" | "required" if !is_go_bool(value) => bad("true or false"),
        "uid" | "gid" if value.parse::<u32>().is_err() => bad("a number"),
        "mode" if u32::from_str_radix(value, 8).is_err() => bad("an octal number"),
        _ => Ok(()),
    }
}

/// The words that Go's `ParseBool` takes.
fn is_go_bool(value: &str) -> bool {
    matches!(
        value,
        "1" | "t" | "T" | "true" | "TRUE" | "True" | "0" | "f" | "F" | "false" | "FALSE" | "False"
    )
}

/// One line of CSV: fields in quotes may have commas, and doubled quotes for quotes.
fn fields(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return None;
    }
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let field = if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut inner = quoted;
            loop {
                let quote = inner.find('"')?;
                field.push_str(&inner[..quote]);
                inner = &inner[quote + 1..];
                match inner.strip_prefix('"') {
                    Some(after) => {
                        field.push('"');
                        inner = after;
                    }
                    None => break,
                }
            }
            rest = inner;
            field
        } else {
            let length = rest.find(',').unwrap_or(rest.len());
            let (field, after) = rest.split_at(length);
            rest = after;
            if field.contains('"') {
                return None;
            }
            field.to_owned()
        };
        fields.push(field);
        if rest.is_empty() {
            return Some(fields);
        }
        rest = rest.strip_prefix(',')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::Span;
    use proptest::prelude::*;

    fn mount(text: &str) -> Result<Mount, ErrorKind> {
        let span = Span { start: 0, end: 0, line: 1, last_line: 1 };
        read(&Word { text: text.to_owned(), span }).map_err(|mistake| *mistake.in_file("D").kind)
    }

    fn options(text: &str) -> Vec<(String, Option<String>)> {
        let mount = mount(text).expect("a mount");
        mount.options.into_iter().map(|option| (option.key, option.value)).collect()
    }

    #[test]
    fn options_have_one_name_each() {
        let expected = |pairs: &[(&str, Option<&str>)]| -> Vec<(String, Option<String>)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
        };
        assert_eq!(
            options("type=cache,TARGET=/a,dst=/b,ro,rw=false,uid=1,gid=2,mode=0755,sharing=locked"),
            expected(&[
                ("type", Some("cache")),
                ("target", Some("/a")),
                ("target", Some("/b")),
                ("readonly", None),
                ("readwrite", Some("false")),
                ("uid", Some("1")),
                ("gid", Some("2")),
                ("mode", Some("0755")),
                ("sharing", Some("locked")),
            ])
        );
        assert_eq!(
            options(r#"type=bind,"src=a,""b""""#),
            expected(&[("type", Some("bind")), ("source", Some("a,\"b\""))])
        );
    }

    #[test]
    fn the_source_stage_is_kept_apart() {
        let from = |text| mount(text).expect("a mount").from.map(|from| from.text);
        assert_eq!(from("from=base,target=/x"), Some("base".to_owned()));
        assert_eq!(from("from=,target=/x"), None);
        assert_eq!(from("type=cache,target=/x"), None);
    }

    #[test]
    fn mistakes_are_named() {
        let unknown =
            ErrorKind::UnknownMountOption { key: "tagret".into(), suggestion: Some("target".into()) };
        assert_eq!(mount("tagret=/x"), Err(unknown));
        assert!(matches!(mount("from=$x"), Err(ErrorKind::VariableInFrom { .. })));
        assert!(matches!(mount("source"), Err(ErrorKind::BadMountOption { .. })));
        for text in ["type=volume", "sharing=both", "uid=root", "mode=rwx", "ro=maybe"] {
            assert!(matches!(mount(text), Err(ErrorKind::BadMountOption { .. })), "{text}");
        }
        for text in ["", "a\"b", "\"a", "\"a\"b"] {
            assert_eq!(mount(text), Err(ErrorKind::MalformedMount), "{text}");
        }
        assert!(mount("type=$kind,uid=$uid").is_ok());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"[a-z=,"$ ]{0,30}"#) {
            let _ = mount(&text);
        }
    }
}
