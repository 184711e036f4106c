//! Where in the file an instruction is that a builder names by its text.

use super::{ast::Dockerfile, error::Span};

impl Dockerfile {
    /// The place of an instruction as a builder prints it: on one line, perhaps with its variables expanded.
    ///
    /// The same text wins; else the instruction of the same kind that shares the longest beginning with it.
    pub fn locate(&self, text: &str, printed: &str) -> Option<Span> {
        let wanted = words(printed);
        let keyword = wanted.first()?.to_ascii_uppercase();
        let instructions = self.stages.iter().flat_map(|stage| &stage.instructions);
        let same_kind = instructions.map(|instruction| instruction.span).filter_map(|span| {
            let written = words(text.get(span.start..span.end)?);
            let same = written.first()?.eq_ignore_ascii_case(&keyword);
            let shared = written.iter().zip(&wanted).skip(1).take_while(|(one, other)| one == other).count();
            same.then_some((written[1..] == wanted[1..], shared, span))
        });
        // The first of equal candidates: `max_by_key` alone would take the last.
        let candidates: Vec<_> = same_kind.collect();
        candidates
            .into_iter()
            .rev()
            .max_by_key(|(equal, shared, _)| (*equal, *shared))
            .map(|(_, _, span)| span)
    }
}

/// The words of an instruction, whatever its line breaks.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().filter(|word| *word != "\\").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, printed: &str) -> Option<usize> {
        let dockerfile = Dockerfile::parse("Dockerfile", text).expect("parses");
        dockerfile.locate(text, printed).map(|span| span.line)
    }

    #[test]
    fn a_printed_instruction_is_found_across_line_breaks_and_expanded_variables() {
        let text =
            "FROM a\nRUN make all\nRUN make \\\n  test \\\n  -j2\nENV V=1\nCOPY x$V /y\nRUN make all\n";
        assert_eq!(line(text, "RUN make test -j2"), Some(3));
        assert_eq!(line(text, "RUN make all"), Some(2));
        assert_eq!(line(text, "COPY x1 /y"), Some(7));
        assert_eq!(line(text, "ADD x /y"), None);
        assert_eq!(line(text, ""), None);
    }
}
