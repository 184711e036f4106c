use std::collections::BTreeMap;

use crate::dockerfile::{ExpandError, Expander, Expansion};

fn env() -> BTreeMap<String, String> {
    let pairs = [
        ("FULL", "value"),
        ("EMPTY", ""),
        ("FILE", "archive.tar.gz"),
        ("PATH_", "/usr/local/bin"),
        ("STARS", "a***b*"),
        ("WORDS", "one  two"),
        ("PATTERN", "*."),
        ("KOREAN", "한국어"),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn expand_with(escape: char, text: &str) -> Result<Expansion, ExpandError> {
    Expander::new(escape, &env()).expand(text)
}

fn assert_expands(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let result = expand_with('\\', text).map(|expansion| expansion.text);
        assert_eq!(result.as_deref(), Ok(*expected), "{text}");
    }
}

#[test]
fn plain_variables() {
    assert_expands(&[
        ("", ""),
        ("text", "text"),
        ("$FULL", "value"),
        ("${FULL}", "value"),
        ("a$FULL.b", "avalue.b"),
        ("a${FULL}b", "avalueb"),
        ("$FULLb", ""),
        ("$EMPTY$UNSET", ""),
        ("$", "$"),
        ("a$ b", "a$ b"),
        ("$%", "$%"),
        ("$1a$$b$@", "ab"),
        ("${KOREAN}a", "한국어a"),
    ]);
}

#[test]
fn defaults_and_alternatives() {
    assert_expands(&[
        ("${FULL:-x}", "value"),
        ("${EMPTY:-x}", "x"),
        ("${UNSET:-x}", "x"),
        ("${FULL-x}", "value"),
        ("${EMPTY-x}", ""),
        ("${UNSET-x}", "x"),
        ("${FULL:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${UNSET:+x}", ""),
        ("${FULL+x}", "x"),
        ("${EMPTY+x}", "x"),
        ("${UNSET+x}", ""),
        ("${UNSET:-a${EMPTY:-b$FULL}c}", "abvaluec"),
        ("${UNSET:-'$FULL'}", "$FULL"),
        ("${UNSET:-\"a}b\"}", "a}b"),
        ("${UNSET:-a\\}b}", "a}b"),
        ("${FULL:?needed}", "value"),
        ("${EMPTY?needed}", ""),
    ]);
}

#[test]
fn required_variables() {
    for (text, name, message) in [
        ("${UNSET:?give $FULL}", "UNSET", "give value"),
        ("${UNSET?give}", "UNSET", "give"),
        ("${EMPTY:?give}", "EMPTY", "give"),
        ("${UNSET?}", "UNSET", "it is not set"),
        ("${EMPTY:?}", "EMPTY", "it is empty"),
    ] {
        let expected = ExpandError::Required { name: name.to_owned(), message: message.to_owned() };
        assert_eq!(expand_with('\\', text), Err(expected), "{text}");
    }
}

#[test]
fn prefixes_and_suffixes() {
    assert_expands(&[
        ("${FILE#*.}", "tar.gz"),
        ("${FILE##*.}", "gz"),
        ("${FILE%.*}", "archive.tar"),
        ("${FILE%%.*}", "archive"),
        ("${FILE#a?c}", "hive.tar.gz"),
        ("${FILE#x}", "archive.tar.gz"),
        ("${FILE%}", "archive.tar.gz"),
        ("${FILE##}", "archive.tar.gz"),
        ("${FILE#*}", "archive.tar.gz"),
        ("${FILE##*}", ""),
        ("${FILE%%*}", ""),
        ("${FILE#$PATTERN}", "tar.gz"),
        ("${FILE##$PATTERN}", "gz"),
        ("${STARS%\\*}", "a***b"),
        ("${STARS%%\\**}", "a"),
        ("${STARS#a\\**b}", "*"),
        ("${UNSET#x}", ""),
        ("${KOREAN#?}", "국어"),
        ("${KOREAN%?}", "한국"),
        ("${FILE#*r*.}", "tar.gz"),
    ]);
}

#[test]
fn replacements() {
    assert_expands(&[
        ("${FILE/ar/AR}", "ARchive.tar.gz"),
        ("${FILE//ar/AR}", "ARchive.tAR.gz"),
        ("${FILE/.*/}", "archive"),
        ("${FILE//./}", "archivetargz"),
        ("${FILE//?/x}", "xxxxxxxxxxxxxx"),
        ("${FILE/a*e/$FULL}", "value.tar.gz"),
        ("${PATH_//\\//:}", ":usr:local:bin"),
        ("${PATH_/\\/usr/}", "/local/bin"),
        ("${STARS//\\*/-}", "a---b-"),
        ("${FULL/$EMPTY/x}", "xvalue"),
        ("${EMPTY//*/x}", "x"),
        ("${FULL//*/x}", "x"),
        ("${FULL///}", "value"),
        ("${FULL//$EMPTY/-}", "-v-a-l-u-e-"),
        ("${UNSET//a/b}", ""),
        ("${FULL/nothing/x}", "value"),
        ("${FULL/a/$}", "v$lue"),
    ]);
}

#[test]
fn quotes_and_escapes() {
    assert_expands(&[
        ("'$FULL'", "$FULL"),
        ("\"$FULL\"", "value"),
        ("a' b 'c", "a b c"),
        ("\"it's\"", "it's"),
        ("'a\"b'", "a\"b"),
        ("\\$FULL", "$FULL"),
        ("\\\\$FULL", "\\value"),
        ("a\\b", "ab"),
        ("\"a\\b\\\"c\\$d\\\\\"", "a\\b\"c$d\\"),
        ("'a\\'b", "a\\b"),
        ("a\\", "a"),
        ("a  b", "a  b"),
        ("<<  x", "<<  x"),
    ]);
    let backtick = |text| expand_with('`', text).map(|expansion| expansion.text);
    assert_eq!(backtick("C:\\x\\$FULL"), Ok("C:\\x\\value".to_owned()));
    assert_eq!(backtick("`$FULL \"`\"\""), Ok("$FULL \"".to_owned()));
}

#[test]
fn what_cannot_be_read_says_why() {
    let modifier = |name: &str, modifier: &str| ExpandError::UnsupportedModifier {
        name: name.to_owned(),
        modifier: modifier.to_owned(),
    };
    for (text, error) in [
        ("'a", ExpandError::UnclosedQuote { quote: '\'' }),
        ("\"a$FULL", ExpandError::UnclosedQuote { quote: '"' }),
        ("${", ExpandError::UnclosedBrace),
        ("${FULL", ExpandError::UnclosedBrace),
        ("${FULL:", ExpandError::UnclosedBrace),
        ("${FULL:-a", ExpandError::UnclosedBrace),
        ("${FULL/a}", ExpandError::UnclosedPattern),
        ("${FULL//}", ExpandError::UnclosedPattern),
        ("${FULL/a/b", ExpandError::UnclosedBrace),
        ("${}", ExpandError::BadSubstitution),
        ("${{FULL}}", ExpandError::BadSubstitution),
        ("${:-a}", ExpandError::BadSubstitution),
        ("${FULL=a}", modifier("FULL", "=")),
        ("${FULL:=a}", modifier("FULL", ":=")),
        ("${FULL a}", modifier("FULL", " ")),
        ("${FULL^^}", modifier("FULL", "^")),
    ] {
        assert_eq!(expand_with('\\', text), Err(error), "{text}");
    }
    for text in ["${FULL#\\x}", "${FULL%a\\\\\\b}", "${FULL/\\q/b}"] {
        assert!(matches!(expand_with('\\', text), Err(ExpandError::BadPattern { .. })), "{text}");
    }
}

#[test]
fn variables_without_a_value_are_reported() {
    let expansion = expand_with('\\', "$FULL $A ${B:-x} ${A:+y} ${EMPTY}").expect("expands");
    assert_eq!(expansion.unset.into_iter().collect::<Vec<_>>(), ["A", "B"]);
}

#[test]
fn words_end_where_the_result_has_unquoted_spaces() {
    let env = env();
    let expander = Expander::new('\\', &env);
    for (text, words) in [
        ("a b", vec!["a", "b"]),
        ("  a\t b ", vec!["a", "b"]),
        ("$WORDS", vec!["one", "two"]),
        ("\"$WORDS\" x", vec!["one  two", "x"]),
        ("a\\ b 'c d'", vec!["a b", "c d"]),
        ("x$WORDS", vec!["xone", "two"]),
        ("''", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(expander.words(text).expect("splits"), words, "{text}");
    }
}

#[test]
fn heredocs_keep_their_quotes() {
    let env = env();
    let expander = Expander::for_heredoc(&env);
    let text = "\"$FULL\" it's ${UNSET:-'x'} \\$FULL\n";
    assert_eq!(expander.expand(text).expect("expands").text, "\"value\" it's 'x' $FULL\n");
}

#[test]
fn growth_and_depth_have_limits() {
    let mut env = BTreeMap::from([("a".to_owned(), "x".repeat(1 << 19))]);
    assert_eq!(Expander::new('\\', &env).expand("$a$a$a$a"), Err(ExpandError::TooLong));
    assert_eq!(Expander::new('\\', &env).expand("\"$a$a$a$a\""), Err(ExpandError::TooLong));
    assert!(Expander::new('\\', &env).expand("$a").is_ok());
    env.insert("b".to_owned(), "x".repeat(1 << 10));
    assert_eq!(Expander::new('\\', &env).expand("${b//x/$a}"), Err(ExpandError::TooLong));
    let nested = |depth: usize| "${u:-".repeat(depth) + "v" + &"}".repeat(depth);
    assert_eq!(expand_with('\\', &nested(40)).expect("expands").text, "v");
    assert_eq!(expand_with('\\', &nested(100_000)), Err(ExpandError::TooDeep));
    let long = format!("${{FULL#{}}}", "a".repeat(2000));
    assert!(matches!(expand_with('\\', &long), Err(ExpandError::BadPattern { .. })));
}
