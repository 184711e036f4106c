use super::*;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Match {
    No,
    /// The path itself matches.
    Exact,
    /// A directory above it matches.
    Above,
}
use Match::{Above, Exact, No};

/// The cases of moby/patternmatcher's `TestMatches`.
const CASES: &[(&str, &str, Match)] = &[
    ("**", "file", Exact),
    ("**", "file/", Exact),
    ("**/", "file", Exact),
    ("**/", "file/", Exact),
    ("**", "/", Exact),
    ("**/", "/", Exact),
    ("**", "dir/file", Exact),
    ("**/", "dir/file", Exact),
    ("**", "dir/file/", Exact),
    ("**/", "dir/file/", Exact),
    ("**/**", "dir/file", Exact),
    ("**/**", "dir/file/", Exact),
    ("dir/**", "dir/file", Exact),
    ("dir/**", "dir/file/", Exact),
    ("dir/**", "dir/dir2/file", Exact),
    ("dir/**", "dir/dir2/file/", Exact),
    ("**/dir", "dir", Exact),
    ("**/dir", "dir/file", Above),
    ("**/dir2/*", "dir/dir2/file", Exact),
    ("**/dir2/*", "dir/dir2/file/", Above),
    ("**/dir2/**", "dir/dir2/dir3/file", Exact),
    ("**/dir2/**", "dir/dir2/dir3/file/", Exact),
    ("**file", "file", Exact),
    ("**file", "dir/file", Exact),
    ("**/file", "dir/file", Exact),
    ("**file", "dir/dir/file", Exact),
    ("**/file", "dir/dir/file", Exact),
    ("**/file*", "dir/dir/file", Exact),
    ("**/file*", "dir/dir/file.txt", Exact),
    ("**/file*txt", "dir/dir/file.txt", Exact),
    ("**/file*.txt", "dir/dir/file.txt", Exact),
    ("**/file*.txt*", "dir/dir/file.txt", Exact),
    ("**/**/*.txt", "dir/dir/file.txt", Exact),
    ("**/**/*.txt2", "dir/dir/file.txt", No),
    ("**/*.txt", "file.txt", Exact),
    ("**/**/*.txt", "file.txt", Exact),
    ("a**/*.txt", "a/file.txt", Exact),
    ("a**/*.txt", "a/dir/file.txt", Exact),
    ("a**/*.txt", "a/dir/dir/file.txt", Exact),
    ("a/*.txt", "a/dir/file.txt", No),
    ("a/*.txt", "a/file.txt", Exact),
    ("a/*.txt**", "a/file.txt", Exact),
    ("a[b-d]e", "ae", No),
    ("a[b-d]e", "ace", Exact),
    ("a[b-d]e", "aae", No),
    ("a[^b-d]e", "aze", Exact),
    (".*", ".foo", Exact),
    (".*", "foo", No),
    ("abc.def", "abcdef", No),
    ("abc.def", "abc.def", Exact),
    ("abc.def", "abcZdef", No),
    ("abc?def", "abcZdef", Exact),
    ("abc?def", "abcdef", No),
    ("**/foo/bar", "foo/bar", Exact),
    ("**/foo/bar", "dir/foo/bar", Exact),
    ("**/foo/bar", "dir/dir2/foo/bar", Exact),
    ("abc/**", "abc", No),
    ("abc/**", "abc/def", Exact),
    ("abc/**", "abc/def/ghi", Exact),
    ("**/.foo", ".foo", Exact),
    ("**/.foo", "bar.foo", No),
    ("a(b)c/def", "a(b)c/def", Exact),
    ("a(b)c/def", "a(b)c/xyz", No),
    ("a.|)$(}+{bc", "a.|)$(}+{bc", Exact),
    ("dist/proxy-2.4+g08acad9-py3.whl", "dist/proxy-2.4+g08acad9-py3.whl", Exact),
    ("dist/*.whl", "dist/proxy-2.4+g08acad9-py3.whl", Exact),
    (r"a\\", r"a\", Exact),
    (r"a\*b", "a*b", Exact),
    // Those of its `matchTests`, which are Go's.
    ("abc", "abc", Exact),
    ("*", "abc", Exact),
    ("*c", "abc", Exact),
    ("a*", "a", Exact),
    ("a*", "abc", Exact),
    ("a*", "ab/c", Above),
    ("a*/b", "abc/b", Exact),
    ("a*/b", "a/c/b", No),
    ("a*b*c*d*e*/f", "axbxcxdxe/f", Exact),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/f", Exact),
    ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", No),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", No),
    ("a*b?c*x", "abxbbxdbxebxczzx", Exact),
    ("a*b?c*x", "abxbbxdbxebxczzy", No),
    ("ab[c]", "abc", Exact),
    ("ab[b-d]", "abc", Exact),
    ("ab[e-g]", "abc", No),
    ("ab[^c]", "abc", No),
    ("ab[^b-d]", "abc", No),
    ("ab[^e-g]", "abc", Exact),
    (r"a\*b", "ab", No),
    ("a?b", "a☺b", Exact),
    ("a[^a]b", "a☺b", Exact),
    ("a???b", "a☺b", No),
    ("a[^a][^a][^a]b", "a☺b", No),
    ("[a-ζ]*", "α", Exact),
    ("*[a-ζ]", "A", No),
    ("a?b", "a/b", No),
    ("a*b", "a/b", No),
    (r"[\]a]", "]", Exact),
    (r"[\-]", "-", Exact),
    (r"[x\-]", "x", Exact),
    (r"[x\-]", "-", Exact),
    (r"[x\-]", "z", No),
    (r"[\-x]", "x", Exact),
    (r"[\-x]", "-", Exact),
    (r"[\-x]", "a", No),
    ("*x", "xxx", Exact),
    // What moby's leading `**` means before plain text, and before a wildcard.
    ("**file", "my.file", Exact),
    ("**file*", "my.file", No),
    // Not moby's: its regular expression reads these as a digit, as "anything in [^/", and as a start.
    (r"a\d", "ad", Exact),
    ("a[*]b", "a*b", Exact),
    ("a^b*", "a^bc", Exact),
];

#[test]
fn every_case_of_moby_gives_the_same_answer() {
    for (pattern, text, expected) in CASES {
        let ignore = Ignore::from_patterns([pattern.as_bytes()]).expect(pattern);
        let exact = ignore.rules[0].glob.matches(text.as_bytes());
        assert_eq!(exact, *expected == Exact, "{pattern} {text} exactly");
        assert_eq!(ignore.is_ignored(text.as_bytes()), *expected != No, "{pattern} {text}");
    }
}

#[test]
fn a_malformed_pattern_names_its_line_and_its_mistake() {
    for (pattern, mistake) in [
        ("[]a]", GlobError::Misplaced(']')),
        ("[-]", GlobError::Misplaced('-')),
        ("[x-]", GlobError::Misplaced(']')),
        ("[-x]", GlobError::Misplaced('-')),
        ("\\", GlobError::Escape),
        ("[a-b-c]", GlobError::Misplaced('-')),
        ("[", GlobError::Unclosed),
        ("[^", GlobError::Unclosed),
        ("[^bc", GlobError::Unclosed),
        ("a[", GlobError::Unclosed),
        ("[Local-Only]/", GlobError::Backwards('l', 'O')),
    ] {
        let file = format!("# all fine\nok\n{pattern}\n");
        let error = Ignore::parse(file.as_bytes()).expect_err(pattern);
        assert_eq!(
            error,
            IgnoreError::Pattern { line: 3, text: pattern.into(), source: mistake },
            "{pattern}"
        );
    }
    assert_eq!(Ignore::parse(b"a\n! ").expect_err("lone"), IgnoreError::LoneExclamation { line: 2 });
    assert_eq!(
        Ignore::from_patterns([&b"!"[..]]).expect_err("lone"),
        IgnoreError::LoneExclamation { line: 1 }
    );
    assert_eq!(Ignore::parse(&vec![b'a'; 64 << 10]).expect_err("long"), IgnoreError::TooLong { line: 1 });
}

fn ignored(file: &str, path: &str) -> bool {
    Ignore::parse(file.as_bytes()).expect(file).is_ignored(path.as_bytes())
}

#[test]
fn the_last_pattern_that_matches_a_path_or_a_parent_decides() {
    for (file, path, expected) in [
        ("!fileutils.go\n*.go", "fileutils.go", true),
        ("*.go\n!fileutils.go", "fileutils.go", false),
        ("docs\n!docs/README.md", "docs/README.md", false),
        ("docs/\n!docs/README.md", "docs/README.md", false),
        ("docs/*\n!docs/README.md", "docs/README.md", false),
        ("docs\n!docs/README.md", "docs/other", true),
        ("*.go", ".", false),
        ("", "any/path/there", false),
        ("**\n!util/docker/web", "util/docker/web/foo", false),
        ("**\n!util/docker/web\nutil/docker/web/foo", "util/docker/web/foo", true),
        ("**\n!dist/*.whl", "dist/proxy-2.4+g08.whl", false),
        // A pattern after the exception that matches the parent takes it back.
        ("a\n!a/x\na*", "a/x", true),
    ] {
        assert_eq!(ignored(file, path), expected, "{file:?} {path}");
    }
}

#[test]
fn the_file_is_read_as_moby_reads_it() {
    let file = "\u{feff}#c\ntest1\n/test2\n/a/file/here\r\n\n  lastfile \n# this is a comment\n! /in/verted/../abs\n \
                # no comment\n//twice\n./dot//x/\n\\#hash\nx/./y\n/\n";
    let ignore = Ignore::parse(file.as_bytes()).expect("readable");
    let rules: Vec<(usize, &str, bool)> =
        ignore.rules.iter().map(|rule| (rule.line, &*rule.text, rule.is_negated())).collect();
    assert_eq!(
        rules,
        [
            (2, "test1", false),
            (3, "/test2", false),
            (4, "/a/file/here", false),
            (6, "lastfile", false),
            (8, "! /in/verted/../abs", true),
            (9, "# no comment", false),
            (10, "//twice", false),
            (11, "./dot//x/", false),
            (12, "\\#hash", false),
            (13, "x/./y", false),
            (14, "/", false),
        ]
    );
    for path in ["test2", "a/file/here/x", "# no comment", "twice", "dot/x", "#hash", "x/y"] {
        assert!(ignore.is_ignored(path.as_bytes()), "{path}");
        assert!(!ignore.is_ignored(format!("other/{path}").as_bytes()), "{path}");
    }
    let negated = ignore.deciding(b"in/abs/x").expect("a rule");
    assert_eq!((negated.line, negated.is_negated()), (8, true));
}

#[test]
fn names_that_are_not_utf8_match_byte_by_byte() {
    let ignore = Ignore::parse(b"caf\xe9\n?.bin\nx[^a]y").expect("readable");
    for path in [&b"caf\xe9"[..], b"\xff.bin", b"x\xffy"] {
        assert!(ignore.is_ignored(path), "{path:?}");
    }
    assert!(!ignore.is_ignored(b"caf\xe8"));
    assert!(!ignore.is_ignored(b"\xff\xfe.bin"));
}

fn skippable(file: &str, directory: &str) -> bool {
    let ignore = Ignore::parse(file.as_bytes()).expect(file);
    let mut within = ignore.at_root();
    let mut path = RelPath::root();
    for name in RelPath::clean(directory.as_bytes()).components() {
        path = path.child(name);
        within = within.enter(&path);
    }
    within.ignores_all_below(&path)
}

#[test]
fn a_directory_is_skipped_unless_a_later_exception_could_reach_into_it() {
    for (file, directory, expected) in [
        ("node_modules", "node_modules", true),
        ("node_modules", "src", false),
        ("*\n!src", "docs", true),
        ("*\n!src/main.c", "src", false),
        ("*\n!src/main.c", "src/lib", true),
        ("*\n!**/*.md", "any/where", false),
        ("!**/*.md\n*", "any/where", true),
        ("*\n!src/*/x", "src/a", false),
        ("*\n!src/*/x", "src/a/b", true),
        ("*\n!s?c/x", "src", false),
        ("*\n!s?c/x", "sc", true),
        ("*\n!docs/**", "docs", false),
    ] {
        assert_eq!(skippable(file, directory), expected, "{file:?} {directory}");
    }
}

#[test]
fn a_pattern_made_to_be_slow_is_not() {
    let text = "a".repeat(4000);
    let file = format!("{}b", "*a**/?*".repeat(40));
    let started = std::time::Instant::now();
    assert!(!ignored(&file, &text));
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

/// The rules once more, as plainly as they can be said. `None` where the pattern is malformed.
fn naive(pattern: &[char], text: &[char], first: bool) -> Option<bool> {
    let Some((head, rest)) = pattern.split_first() else { return Some(text.is_empty()) };
    let one = text.split_first();
    match head {
        '*' if rest.first() == Some(&'*') => {
            let rest = &rest[1..];
            let slash = rest.first() == Some(&'/');
            let rest = &rest[usize::from(slash)..];
            if rest.is_empty() {
                return Some(true);
            }
            if first && !slash && !rest.iter().any(|letter| "*?[]\\".contains(*letter)) {
                return Some(text.ends_with(rest));
            }
            let mut found = naive(rest, text, false)?;
            for at in 0..text.len() {
                found |= text[at] == '/' && naive(rest, &text[at + 1..], false)?;
            }
            Some(found)
        }
        '*' => {
            let segment = text.iter().position(|letter| *letter == '/').unwrap_or(text.len());
            let mut found = false;
            for at in 0..=segment {
                found |= naive(rest, &text[at..], false)?;
            }
            Some(found)
        }
        '?' => Some(
            naive(rest, &text[usize::from(one.is_some())..], false)? && one.is_some_and(|(l, _)| *l != '/'),
        ),
        '[' => {
            let negated = rest.first() == Some(&'^');
            let mut rest = &rest[usize::from(negated)..];
            let mut inside = false;
            let mut some = false;
            loop {
                if some && rest.first() == Some(&']') {
                    break;
                }
                let low = naive_letter(&mut rest)?;
                let mut high = low;
                if rest.first() == Some(&'-') {
                    rest = &rest[1..];
                    high = naive_letter(&mut rest)?;
                }
                if high < low {
                    return None;
                }
                inside |= one.is_some_and(|(letter, _)| (low..=high).contains(letter));
                some = true;
            }
            let after = naive(&rest[1..], &text[usize::from(one.is_some())..], false)?;
            Some(one.is_some() && inside != negated && after)
        }
        '\\' => {
            let (head, rest) = rest.split_first()?;
            let after = naive(rest, &text[usize::from(one.is_some())..], false)?;
            Some(one.is_some_and(|(letter, _)| letter == head) && after)
        }
        head => {
            let after = naive(rest, &text[usize::from(one.is_some())..], false)?;
            Some(one.is_some_and(|(letter, _)| letter == head) && after)
        }
    }
}

fn naive_letter(rest: &mut &[char]) -> Option<char> {
    let (mut letter, mut after) = rest.split_first()?;
    if matches!(letter, '-' | ']') {
        return None;
    }
    if *letter == '\\' {
        (letter, after) = after.split_first()?;
    }
    *rest = after;
    (!rest.is_empty()).then_some(*letter)
}

fn naively_ignored(patterns: &[String], path: &str) -> Option<bool> {
    let mut ignored = false;
    for pattern in patterns {
        let cleaned = String::from_utf8(clean(pattern.trim().as_bytes())).expect("text");
        let (negated, pattern) = match cleaned.strip_prefix('!') {
            Some("") => return None,
            Some(pattern) => (true, pattern),
            None => (false, &*cleaned),
        };
        let pattern: Vec<char> = pattern.chars().collect();
        let letters: Vec<char> = path.chars().collect();
        let mut matches = pattern.is_empty().then_some(false).or_else(|| naive(&pattern, &letters, true))?;
        for (at, letter) in letters.iter().enumerate() {
            matches |= *letter == '/' && !pattern.is_empty() && naive(&pattern, &letters[..at], true)?;
        }
        if matches {
            ignored = !negated;
        }
    }
    Some(ignored)
}

fn pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[abé]", 3 => Just("/".to_owned()), 2 => Just("*".to_owned()), 2 => Just("**".to_owned()),
        1 => Just("**/".to_owned()), 2 => Just("?".to_owned()), 1 => "[\\[\\]\\\\^.-]",
        2 => "\\[\\^?[ab](-[bc])?\\]",
    ];
    (prop::bool::weighted(0.3), prop::collection::vec(piece, 1..7))
        .prop_map(|(negated, pieces)| format!("{}{}", if negated { "!" } else { "" }, pieces.concat()))
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[abcé.]{1,3}", 1..5).prop_map(|names| names.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_patterns_mean_what_the_plain_rules_say(
        patterns in prop::collection::vec(pattern(), 1..4),
        path in path(),
    ) {
        let ignore = Ignore::from_patterns(patterns.iter().map(String::as_bytes));
        let expected = naively_ignored(&patterns, &path);
        prop_assert_eq!(ignore.as_ref().ok().map(|ignore| ignore.is_ignored(path.as_bytes())), expected);
    }

    #[test]
    fn a_walk_decides_as_a_single_look_does_and_skips_nothing_that_counts(
        patterns in prop::collection::vec(pattern(), 1..5),
        path in path(),
    ) {
        let Ok(ignore) = Ignore::from_patterns(patterns.iter().map(String::as_bytes)) else { return Ok(()) };
        let path = RelPath::clean(path.as_bytes());
        let mut within = ignore.at_root();
        let mut at = RelPath::root();
        let mut skipped = false;
        for name in path.components() {
            at = at.child(name);
            let ignored = ignore.is_ignored(at.as_bytes());
            prop_assert_eq!(within.ignores(&at), ignored, "{}", at);
            prop_assert!(ignored || !skipped, "{} was skipped", at);
            within = within.enter(&at);
            skipped |= within.ignores_all_below(&at);
        }
    }

    #[test]
    fn no_file_and_no_path_makes_it_panic(file: Vec<u8>, path: Vec<u8>) {
        if let Ok(ignore) = Ignore::parse(&file) {
            ignore.is_ignored(&path);
        }
    }

    #[test]
    fn no_wildcards_make_it_panic(
        file in prop::collection::vec(prop::sample::select(&b"*?[]!^\\-/\n #a\xff"[..]), 0..60),
        path in prop::collection::vec(prop::sample::select(&b"/a*\xff."[..]), 0..20),
    ) {
        if let Ok(ignore) = Ignore::parse(&file) {
            ignore.is_ignored(&path);
        }
    }
}

#[test]
fn files_beyond_all_measure_are_refused_at_once() {
    let begun = std::time::Instant::now();
    let error = Ignore::parse(&b"a\n".repeat(50 << 20)).expect_err("100 MB");
    assert_eq!(error, IgnoreError::TooLarge);
    let error = Ignore::parse(&b"a\n".repeat(1_000_000)).expect_err("a million patterns").to_string();
    assert_eq!(error, "line 20001: these are more than 20000 patterns");
    assert!(Ignore::parse(&b"#\n".repeat(1_000_000)).expect("comments").is_empty());
    // A program that went back and tried again would never end with this.
    let slow = [b"*a".repeat(2000), b"b".to_vec()].concat();
    let slow = Ignore::parse(&[slow, b"\n".to_vec(), b"**/a".repeat(200)].concat()).expect("patterns");
    assert!(!slow.is_ignored(&b"a".repeat(4000)));
    let took = begun.elapsed();
    assert!(took.as_secs() < 20, "{took:?}");
}
