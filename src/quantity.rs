//! Sizes and durations, as Docker's commands take them.

use std::time::Duration;

/// A number of bytes: `512mb`, `10GB`, `1.5g`, `4096`. Units are powers of 1024, as in `docker buildx prune`.
///
/// Source: docker/go-units, `size.go` (`RAMInBytes`).
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size such as 512mb or 10GB");
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let power = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(wrong()),
    };
    let scale = 1_u64 << (10 * power);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let (mut share, mut parts) = (0_u128, 1_u128);
    // Further digits are less than a byte.
    for digit in part.chars() {
        let digit = digit.to_digit(10).ok_or_else(wrong)?;
        if parts < u128::from(u64::MAX) {
            (share, parts) = (share * 10 + u128::from(digit), parts * 10);
        }
    }
    let share = u64::try_from(share * u128::from(scale) / parts).map_err(|_| wrong())?;
    whole.checked_mul(scale).and_then(|bytes| bytes.checked_add(share)).ok_or_else(wrong)
}

/// A duration: `24h`, `7d`, `2h30m`, `90s`, `1w`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration such as 24h, 7d or 2h30m");
    let mut rest = text.trim();
    let mut total = 0_u64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (number, unit) = rest.split_at(digits);
        let letters = unit.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(unit.len());
        let seconds = match &unit[..letters] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            "w" => 7 * 24 * 3600,
            // Nothing is no time, whatever its unit.
            "" if number == "0" => 0,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        total = number.checked_mul(seconds).and_then(|more| total.checked_add(more)).ok_or_else(wrong)?;
        rest = &unit[letters..];
    }
    Ok(Duration::from_secs(total))
}

/// The duration of a filter `until=24h`.
pub(crate) fn until(text: &str) -> Result<Duration, String> {
    match text.split_once('=') {
        Some(("until" | "unused-for", value)) => duration(value),
        _ => Err(format!("{text:?} is no filter; the only one is until=DURATION")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("512mb", 512 << 20),
            ("10GB", 10 << 30),
            ("1.5g", 3 << 29),
            ("2 KiB", 2048),
            ("1T", 1 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "mb", "10x", "-1", "1..5g", "99999999999p", "1e3"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        for (text, seconds) in
            [("0", 0), ("90s", 90), ("2h30m", 9000), ("24h", 86400), ("7d", 604_800), ("1w", 604_800)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "24", "h", "1y", "-1h", "1h30", "99999999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(until("until=24h"), Ok(Duration::from_hours(24)));
        assert!(until("24h").is_err() && until("label=x").is_err());
    }
}
