use crate::dockerfile::{
    ErrorKind,
    lexer::{Lexed, Line, lex},
};

fn lexed(text: &str) -> Lexed {
    lex(text).unwrap_or_else(|mistake| panic!("{}", mistake.in_file("Dockerfile")))
}

fn lines(text: &str) -> Vec<String> {
    lexed(text).lines.into_iter().map(|line| line.text).collect()
}

fn mistake(text: &str) -> (ErrorKind, String) {
    let error = lex(text).expect_err(text).in_file("Dockerfile");
    (*error.kind, text[error.span.start..error.span.end].to_owned())
}

#[test]
fn comments_and_empty_lines_are_no_lines() {
    assert_eq!(lines("# one\n\n  # two\nFROM a\n \t \nRUN b # c\n"), ["FROM a", "RUN b # c"]);
    assert!(lines("").is_empty());
    assert!(lines("\u{feff}\n#\n").is_empty());
}

#[test]
fn continuations_join_lines_and_keep_their_indentation() {
    assert_eq!(lines("RUN a \\\n  b\\\nc\n"), ["RUN a   bc"]);
    assert_eq!(lines("RUN a \\  \t\nb"), ["RUN a b"]);
    assert_eq!(lines("RUN a \\\r\nb\r\n"), ["RUN a b"]);
    assert_eq!(lines("\\\nFROM a"), ["FROM a"]);
    assert_eq!(lines("RUN a \\"), ["RUN a "]);
    assert!(lines("\\\n").is_empty());
}

#[test]
fn comments_and_empty_lines_may_interrupt_a_continuation() {
    assert_eq!(lines("RUN a \\\n# one\n\n   # two \\\n  b\nRUN c"), ["RUN a   b", "RUN c"]);
}

#[test]
fn a_doubled_escape_character_does_not_continue() {
    assert_eq!(lines("RUN a \\\\\nRUN b"), ["RUN a \\\\", "RUN b"]);
}

#[test]
fn directives_stand_at_the_head_and_nowhere_else() {
    let directives =
        lexed("# syntax = docker/dockerfile:1 \n#check=skip=all\n# ESCAPE=`\nRUN a `\nb").directives;
    assert_eq!(directives.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(directives.check.as_deref(), Some("skip=all"));
    assert_eq!(directives.escape, '`');
    for text in
        ["# a comment\n# escape=`\n", "\n# escape=`\n", "FROM a\n# escape=`\n", "# unknown=1\n# escape=`\n"]
    {
        assert_eq!(lexed(text).directives.escape, '\\', "{text:?}");
    }
    assert_eq!(lexed("\u{feff}# escape=`\r\n").directives.escape, '`');
}

#[test]
fn the_escape_directive_changes_what_continues() {
    assert_eq!(lines("# escape=`\nRUN a `\nb\nRUN c:\\\nRUN d"), ["RUN a b", "RUN c:\\", "RUN d"]);
}

#[test]
fn wrong_directives_are_mistakes() {
    let duplicate = ErrorKind::DuplicateDirective { name: "escape" };
    assert_eq!(mistake("# escape=\\\n  # Escape=`\n"), (duplicate, "# Escape=`".to_owned()));
    let bad = ErrorKind::BadEscape { value: "/".to_owned() };
    assert_eq!(mistake("# escape=/\n"), (bad, "# escape=/".to_owned()));
}

#[test]
fn spans_reach_from_the_first_letter_to_the_last() {
    let text = "\u{feff}# x\n  RUN a \\\n# c\n  b  \n\nCOPY <<A /x\nhello\nA\n";
    let lines = lexed(text).lines;
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (&text[line.span.start..line.span.end], line.span.line, line.span.last_line))
        .collect();
    assert_eq!(seen, [("RUN a \\\n# c\n  b", 2, 4), ("COPY <<A /x\nhello\nA", 6, 8)]);
}

#[test]
fn a_part_of_a_joined_line_leads_back_to_its_source() {
    let text = "RUN ab \\\n # c\n\té cd \\\nef";
    let lines = lexed(text).lines;
    let line: &Line = &lines[0];
    for (part, number) in [("ab", 1), ("é", 3), ("cd", 3), ("ef", 4)] {
        let at = line.text.find(part).expect("the part is in the line");
        let span = line.span_of(at..at + part.len());
        assert_eq!((&text[span.start..span.end], span.line, span.last_line), (part, number, number));
    }
    let whole = line.span_of(0..line.text.len());
    assert_eq!((whole.start, whole.end, whole.last_line), (0, text.len(), 4));
}

/// The heredocs of a text as (name, expand, strip tabs, content).
fn heredocs(text: &str) -> Vec<(String, bool, bool, String)> {
    let lines = lexed(text).lines;
    let heredocs = lines.into_iter().flat_map(|line| line.heredocs);
    heredocs.map(|doc| (doc.name, doc.expand, doc.strip_tabs, doc.content)).collect()
}

#[test]
fn heredocs_are_read_up_to_their_delimiter() {
    for (text, name, expand, strip_tabs, content) in [
        ("RUN <<EOF\nEOF", "EOF", true, false, ""),
        ("RUN <<EOF\r\necho $a\r\nEOF\r\n", "EOF", true, false, "echo $a\n"),
        (
            "RUN <<EOF\n# no comment\n\nnot \\\n EOF\nEOF",
            "EOF",
            true,
            false,
            "# no comment\n\nnot \\\n EOF\n",
        ),
        ("RUN <<-EOF\n\ta\n\t\tEOF\n", "EOF", true, true, "\ta\n"),
        ("RUN <<'EOF'\n$a\nEOF\n", "EOF", false, false, "$a\n"),
        ("RUN <<\"E\"OF\nEOF\n", "EOF", false, false, ""),
        ("RUN <<eo\\'f\neo'f\n", "eo'f", true, false, ""),
        ("RUN <<'one two'\none two\n", "one two", false, false, ""),
        ("RUN <<$EOF\n$EOF\n", "$EOF", true, false, ""),
        ("RUN <<${E:-F}\n${E:-F}\n", "${E:-F}", true, false, ""),
        ("RUN <<  EOF  > foo\nEOF\n", "EOF", true, false, ""),
        ("RUN 3<<EOF cat\nEOF\n", "EOF", true, false, ""),
        ("RUN python3 <<EOF && true\nEOF\n", "EOF", true, false, ""),
        ("RUN --mount=type=cache,target=/x <<EOF\nEOF\n", "EOF", true, false, ""),
        ("copy <<a.txt /x\nhello\na.txt\n", "a.txt", true, false, "hello\n"),
        ("ADD a \\\n <<EOF /x\nEOF\n", "EOF", true, false, ""),
        ("ONBUILD RUN <<EOF\nx\nEOF\n", "EOF", true, false, "x\n"),
    ] {
        let expected = vec![(name.to_owned(), expand, strip_tabs, content.to_owned())];
        assert_eq!(heredocs(text), expected, "{text:?}");
    }
}

#[test]
fn several_heredocs_follow_each_other() {
    let found = heredocs("COPY <<X <<Y /d\nY\nX\nX\nY\nRUN <<Z\nZ\n");
    let contents: Vec<_> =
        found.iter().map(|(name, _, _, content)| (name.as_str(), content.as_str())).collect();
    assert_eq!(contents, [("X", "Y\n"), ("Y", "X\n"), ("Z", "")]);
}

#[test]
fn only_the_unquoted_marker_of_three_instructions_announces_a_heredoc() {
    for text in [
        "USER <<EOF",
        "CMD <<EOF",
        "RUN \"<<EOF\"",
        "RUN '<<EOF'",
        "RUN [\"<<EOF\"]",
        "RUN cat <<<EOF",
        "RUN x<<EOF",
        "RUN echo $((1<<2))",
        "RUN echo it's <<EOF",
        "ONBUILD CMD <<EOF",
    ] {
        assert_eq!(heredocs(text), [], "{text}");
    }
}

#[test]
fn an_unterminated_heredoc_is_marked_where_it_is_announced() {
    let kind = ErrorKind::UnterminatedHeredoc { name: "EOF".to_owned() };
    assert_eq!(mistake("RUN cat <<EOF\nx\n EOF\n"), (kind.clone(), "<<EOF".to_owned()));
    assert_eq!(mistake("RUN cat \\\n  <<-'EOF' && x\n"), (kind, "<<-'EOF'".to_owned()));
}
