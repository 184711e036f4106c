//! BuildKit's own cases (`dfgitutil/git_ref_test.go`, `gitutil/git_url_test.go`), and some against harm.

use super::*;

fn parse(text: &str) -> Option<GitSource> {
    GitSource::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn fails(text: &str, word: &str) {
    let error = GitSource::parse(text).expect_err(text).to_string();
    assert!(error.contains(word), "{word:?} is not in {error}");
}

#[test]
fn what_buildkit_takes_for_a_repository_is_one() {
    for (text, remote, reference, subdirectory) in [
        ("https://example.com/foo.git", "https://example.com/foo.git", "", ""),
        ("https://example.com/foo.git#deadbeef", "https://example.com/foo.git", "deadbeef", ""),
        ("https://example.com/foo.git#release/1.2", "https://example.com/foo.git", "release/1.2", ""),
        ("git://example.com/foo", "git://example.com/foo", "", ""),
        ("github.com/moby/buildkit", "https://github.com/moby/buildkit", "", ""),
        ("github.com/moby/buildkit#main:sub", "https://github.com/moby/buildkit", "main", "sub"),
        ("https://github.com/moby/buildkit.git", "https://github.com/moby/buildkit.git", "", ""),
        ("HTTPS://github.com/moby/buildkit.git", "https://github.com/moby/buildkit.git", "", ""),
        ("https://foo:bar@github.com/moby/b.git", "https://foo:bar@github.com/moby/b.git", "", ""),
        ("git@github.com:moby/buildkit", "git@github.com:moby/buildkit", "", ""),
        ("git@github.com:moby/buildkit.git", "git@github.com:moby/buildkit.git", "", ""),
        (
            "git@github.com:moby/buildkit.git#v1.0.0:hack",
            "git@github.com:moby/buildkit.git",
            "v1.0.0",
            "hack",
        ),
        ("nonstandarduser@example.com:/srv/x.git", "nonstandarduser@example.com:/srv/x.git", "", ""),
        ("ssh://git@github.com:22/moby/b.git", "ssh://git@github.com:22/moby/b.git", "", ""),
        ("ssh://u@192.168.0.123:456/~/r.git", "ssh://u@192.168.0.123:456/~/r.git", "", ""),
        ("git://host.xz:1234/path/to/repo.git", "git://host.xz:1234/path/to/repo.git", "", ""),
        (
            "https://github.com/foo/bar.git#baz/qux:quux/quuz",
            "https://github.com/foo/bar.git",
            "baz/qux",
            "quux/quuz",
        ),
        (
            "https://github.com/docker/docker.git#:myfolder",
            "https://github.com/docker/docker.git",
            "",
            "myfolder",
        ),
        (
            "https://github.com/docker/docker.git?ref=v1.0.0&subdir=/subdir",
            "https://github.com/docker/docker.git",
            "v1.0.0",
            "/subdir",
        ),
        ("https://h/a.git?branch=v1", "https://h/a.git", "refs/heads/v1", ""),
        ("https://h/a.git?tag=refs/tags/v1", "https://h/a.git", "refs/tags/v1", ""),
        ("https://h/a.git?commit=deadbeef", "https://h/a.git", "deadbeef", ""),
        ("git@h:a.git?tag=v1&subdir=b", "git@h:a.git", "refs/tags/v1", "b"),
    ] {
        let source = parse(text).unwrap_or_else(|| panic!("{text} is a repository"));
        assert_eq!(source.remote, remote);
        assert_eq!(source.reference.as_deref().unwrap_or_default(), reference, "{text}");
        assert_eq!(source.subdirectory.as_deref().unwrap_or_default(), subdirectory, "{text}");
        assert_eq!(source.looks_local, text.starts_with("github.com/"));
    }
}

#[test]
fn what_buildkit_takes_for_something_else_is_none() {
    for text in [
        "https://example.com/",
        "https://example.com/foo",
        "https://example.com/foo.git/",
        "https://example.com/foo.git.bar",
        "custom.xyz/moby/buildkit.git",
        "https://github.com/moby/buildkit",
        "http://github.com/docker/docker.git:#branch",
        "./.git",
        "../a:b",
        ".git",
        "httpx://github.com/moby/buildkit.git",
        "file:///srv/a.git",
        "ext::sh -c whoami",
        "some/folder",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn a_query_says_more() {
    let source = parse("https://h/a.git?ref=main&commit=abc123&submodules=false&keep-git-dir").expect("one");
    assert_eq!(source.checksum.as_deref(), Some("abc123"));
    assert_eq!((source.submodules, source.keep_git_dir), (Some(false), Some(true)));
    for (query, word) in [
        ("ref=a&ref=b", "given twice"),
        ("ref=", "has no value"),
        ("branch=a&tag=b", "a branch and a tag"),
        ("submodules=maybe", "neither true nor false"),
        ("depth=1", "\"depth\" is not known"),
        ("commit=HEAD", "not hexadecimal"),
    ] {
        fails(&format!("https://h/a.git?{query}"), word);
    }
    fails("https://h/a.git?ref=v1#v2", "as \"v2\" and as \"v1\"");
    fails("https://h/a.git?tag=v1#v1", "refs/tags/v1");
}

#[test]
fn a_checksum_may_be_given_beside_the_address() {
    let source = || parse("https://h/a.git?ref=main&commit=abc123").expect("one");
    let plain = parse("https://h/a.git").expect("one").expecting("abc").expect("a checksum");
    assert_eq!((plain.checksum.as_deref(), plain.reference), (Some("abc"), None));
    assert!(source().expecting("abc123").is_ok());
    for (checksum, word) in [("def", "\"abc123\" and as \"def\""), ("sha256:00", "abc123")] {
        let error = source().expecting(checksum).expect_err(checksum).to_string();
        assert!(error.contains(word), "{error}");
    }
    assert!(parse("https://h/a.git").expect("one").expecting("HEAD").is_err());
}

#[test]
fn nothing_can_be_taken_for_an_option_or_a_mapping() {
    assert!(!matches!(GitSource::parse("ext::sh -c x"), Ok(Some(_))));
    for reference in ["--upload-pack=x", "+a", "a%20b", "a..b", "*", "a^{tree}", "a@{1}", "a%0ab"] {
        fails(&format!("https://h/a.git#{reference}"), "no name of a branch");
    }
    fails("https://h/a.git?ref=a:b", "no name of a branch");
    fails("-oProxyCommand:x", "names no host");
    fails("ssh://-oProxyCommand=x/a.git", "names no host");
    fails("https:///a.git", "names no host");
    fails("ssh://me:pass@-oProxyCommand=x/a.git", "names no host");
    assert_eq!(parse("me@h:a/b@c").expect("one").host(), "h");
}

#[test]
fn a_password_is_never_shown_and_never_an_argument() {
    let source = parse("https://me:s%40cret@h:1/a.git#v:w").expect("one");
    assert_eq!(source.to_string(), "https://h:1/a.git#v:w");
    assert_eq!(source.host(), "h:1");
    let (remote, credentials) = without_credentials(&source.remote);
    assert_eq!(remote, "https://h:1/a.git");
    assert_eq!(credentials, Some(("me".into(), "s@cret".into())));
    assert_eq!(without_credentials("ssh://git:x@h/a.git"), ("ssh://git@h/a.git".into(), None));
    assert_eq!(without_credentials("git@h:a.git"), ("git@h:a.git".into(), None));
    fails("https://me:secret@h/a.git?x=y", "invalid git address \"https://h/a.git?x=y\"");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_git_do_something_else(text in "(https://|git://|ssh://|github\\.com/)?[-a-z@:/.#?=&%+~ ]{0,30}") {
        if let Ok(Some(source)) = GitSource::parse(&text) {
            let (remote, _) = without_credentials(&source.remote);
            // Two colons after what may be a scheme name a program, `git-remote-…` (git, transport.c, transport_get).
            let may_be_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
            let names_a_program = remote.trim_start_matches(may_be_scheme).starts_with("::");
            proptest::prop_assert!(!remote.starts_with('-') && !names_a_program, "{}", remote);
            proptest::prop_assert!(!source.host().is_empty() && !source.host().starts_with('-'));
            let reference = source.reference.unwrap_or_default();
            proptest::prop_assert!(!reference.starts_with(['-', '+']) && !reference.contains(':'));
        }
    }
}
