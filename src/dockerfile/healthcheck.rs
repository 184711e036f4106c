//! HEALTHCHECK, and the durations in its flags.

use std::time::Duration;

use super::{
    ast::{Healthcheck, InstructionKind, Probe},
    error::{ErrorKind, Mistake},
    flags::{FlagForm, Flags, bad_value},
    instructions::command_line,
    statement::Statement,
};

pub(super) fn read(statement: &Statement<'_>) -> Result<InstructionKind, Mistake> {
    let flags = Flags::read(
        statement,
        &[
            ("interval", FlagForm::Value),
            ("timeout", FlagForm::Value),
            ("start-period", FlagForm::Value),
            ("start-interval", FlagForm::Value),
            ("retries", FlagForm::Value),
        ],
    )?;
    let text = statement.arguments_text();
    let word = text.split(char::is_whitespace).next().unwrap_or_default();
    let command = text[word.len()..].trim_start();
    let arguments =
        |needs| statement.keyword_mistake(ErrorKind::Arguments { instruction: statement.name(), needs });
    match word.to_ascii_uppercase().as_str() {
        "" => Err(arguments("CMD and a command, or NONE")),
        "NONE" if command.is_empty() => Ok(InstructionKind::Healthcheck(Healthcheck::None)),
        "NONE" => Err(arguments("nothing after NONE")),
        "CMD" if command.is_empty() => Err(arguments("a command after CMD")),
        "CMD" => Ok(InstructionKind::Healthcheck(Healthcheck::Probe(Probe {
            command: command_line(statement, command)?,
            interval: flags.duration("interval")?,
            timeout: flags.duration("timeout")?,
            start_period: flags.duration("start-period")?,
            start_interval: flags.duration("start-interval")?,
            retries: retries(&flags)?,
        }))),
        _ => {
            let start = statement.arguments.start;
            let kind = ErrorKind::UnknownHealthcheck { word: word.to_owned() };
            Err(statement.mistake(&(start..start + word.len()), kind))
        }
    }
}

/// A whole number from zero on; zero means the default, like no flag.
fn retries(flags: &Flags) -> Result<Option<u32>, Mistake> {
    const LARGEST: u32 = i32::MAX.unsigned_abs();
    let Some(given) = flags.value("retries") else { return Ok(None) };
    match given.text.parse::<u32>() {
        Ok(0) => Ok(None),
        Ok(retries @ 1..=LARGEST) => Ok(Some(retries)),
        _ => Err(bad_value("retries", given, "a whole number from 0 on")),
    }
}

/// A duration as Go writes it: `1h30m`, `1.5s`, `100ms`, or `0`.
///
/// Go's durations end after 292 years; what is longer or negative is none here.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let text = if text == "-0" { "0" } else { text };
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let mut nanoseconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let number_length =
            rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_length);
        let unit_length =
            tail.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_length);
        nanoseconds = nanoseconds.checked_add(part(number, unit)?)?;
        rest = tail;
    }
    i64::try_from(nanoseconds).ok().map(|_| Duration::from_nanos(nanoseconds))
}

/// One number with its unit, in nanoseconds.
fn part(number: &str, unit: &str) -> Option<u64> {
    let scale: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut place = scale;
    let mut small = 0;
    for digit in fraction.bytes() {
        // The digits after a nanosecond's tenth add nothing.
        place /= 10;
        small += u64::from(digit - b'0') * place;
    }
    // Thirds of an hour do not divide by ten for ever, so what the loop rounds away is less than a microsecond.
    whole.checked_mul(scale)?.checked_add(small)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("0s", 0),
            ("+5s", 5_000_000_000),
            ("100ms", 100_000_000),
            ("1.5s", 1_500_000_000),
            (".5m", 30_000_000_000),
            ("1.h", 3_600_000_000_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("7µs", 7_000),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_none() {
        for text in ["", "5", "s", "-1s", "1x", "1 s", ".s", "1.2.3s", "99999999999h", "1s2", "1d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9.hmsuµn+ -]{0,30}|.{0,10}") {
            let _ = parse_duration(&text);
        }
    }
}
