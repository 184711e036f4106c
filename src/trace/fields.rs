//! What spans say of ends.

use polyarch_actors::{BuildError, Fault};
use tracing::Span;

/// Says how something failed. What was only stopped is no error.
pub(super) fn fail(span: &Span, error: &BuildError) {
    span.record("fault", error.fault().as_str());
    if let Some(kind) = kind(error) {
        span.record("error.type", kind);
    }
    if error.fault() != Fault::Cancelled && !matches!(error, BuildError::Abandoned { .. }) {
        mark(span);
    }
}

/// Says that something failed.
pub(super) fn mark(span: &Span) {
    span.record("otel.status_code", "ERROR");
}

/// A number as OpenTelemetry has them, which has none without a sign.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The kind of an error, as its JSON has it: `step-failed`.
fn kind(error: &BuildError) -> Option<String> {
    let document = serde_json::to_value(error).ok()?;
    Some(document.get("error")?.as_str()?.to_owned())
}

/// The name of an instruction, and nothing of what it is given.
pub(super) fn name_of(instruction: &str) -> String {
    let letters = instruction.trim_start().chars().take_while(char::is_ascii_alphabetic);
    letters.take(LONGEST_NAME).collect::<String>().to_ascii_uppercase()
}

/// The length of HEALTHCHECK, which is the longest there is.
const LONGEST_NAME: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_told_without_what_it_is_given() {
        for (instruction, name) in [
            ("RUN --mount=type=secret,id=x make TOKEN=CANARY", "RUN"),
            ("  copy a b", "COPY"),
            ("FROM CANARY AS one", "FROM"),
            ("HEALTHCHECK NONE", "HEALTHCHECK"),
            ("", ""),
        ] {
            assert_eq!(name_of(instruction), name);
        }
    }

    #[test]
    fn an_error_is_told_by_its_kind() {
        let failed = BuildError::StepFailed { instruction: "RUN x".into(), exit_code: 1, output: vec![] };
        assert_eq!(kind(&failed).as_deref(), Some("step-failed"));
        assert_eq!(kind(&BuildError::Cancelled).as_deref(), Some("cancelled"));
    }
}
