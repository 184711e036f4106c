//! Dates as RFC 3339 writes them.
//!
//! Source: go-cty, `cty/function/stdlib/datetime.go`.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{super::value::Value, arguments::exactly};

const DAY: i64 = 86_400;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// The first of January 1970 was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// A moment, and how far its place is ahead of UTC, in seconds.
struct Moment {
    seconds: i64,
    offset: i64,
}

pub(super) fn timestamp(values: &[Value]) -> Result<Value, String> {
    let [] = exactly(values)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let moment = Moment { seconds: i64::try_from(now).unwrap_or_default(), offset: 0 };
    moment.format("YYYY-MM-DD'T'hh:mm:ssZ").map(Value::Text)
}

pub(super) fn formatdate(values: &[Value]) -> Result<Value, String> {
    let [pattern, moment] = exactly(values)?;
    Moment::read(&moment.text()?)?.format(&pattern.text()?).map(Value::Text)
}

pub(super) fn timeadd(values: &[Value]) -> Result<Value, String> {
    let [moment, duration] = exactly(values)?;
    let mut moment = Moment::read(&moment.text()?)?;
    let duration = duration.text()?;
    moment.seconds +=
        seconds(&duration).ok_or_else(|| format!("{duration:?} is no duration (such as 1h30m)"))?;
    moment.format("YYYY-MM-DD'T'hh:mm:ssZ").map(Value::Text)
}

/// `-1h30m` in seconds; fractions of a second are lost.
fn seconds(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        total += number
            * match &rest[..end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[end..];
    }
    let total: f64 = total * sign;
    #[expect(clippy::cast_possible_truncation, reason = "it was looked at")]
    (total.abs() < 1e12 && !text.is_empty()).then_some(total as i64)
}

impl Moment {
    fn read(text: &str) -> Result<Self, String> {
        Self::of_text(text).ok_or_else(|| format!("{text:?} is no date such as 2006-01-02T15:04:05Z"))
    }

    fn of_text(text: &str) -> Option<Self> {
        let field = |from: usize, to: usize| -> Option<i64> {
            let digits = text.get(from..to)?;
            if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
        };
        let letter = |at: usize| text.as_bytes().get(at).copied();
        let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
        if marks.iter().any(|(at, mark)| letter(*at) != Some(*mark)) || !matches!(letter(10)?, b'T' | b't') {
            return None;
        }
        let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
        let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let zone =
            text.get(19..)?.trim_start_matches(|letter: char| letter == '.' || letter.is_ascii_digit());
        let offset = if zone.eq_ignore_ascii_case("z") {
            0
        } else {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let (hours, minutes) = zone.strip_prefix(['-', '+'])?.split_once(':')?;
            let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60)
        };
        let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
        Some(Self { seconds, offset })
    }

    fn format(&self, pattern: &str) -> Result<String, String> {
        let local = self.seconds + self.offset;
        let (day_number, clock) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let (year, month, day) = civil(day_number);
        let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
        let weekday = WEEKDAYS[usize::try_from(day_number.rem_euclid(7)).unwrap_or_default()];
        let month_name = MONTHS[usize::try_from(month - 1).unwrap_or_default() % 12];
        let half = if hour < 12 { "am" } else { "pm" };
        let twelve = (hour + 11) % 12 + 1;
        let zone = |colon: &str| {
            let (sign, size) = (if self.offset < 0 { '-' } else { '+' }, self.offset.abs());
            format!("{sign}{:02}{colon}{:02}", size / 3600, size / 60 % 60)
        };
        let mut out = String::new();
        let mut letters = pattern.chars().peekable();
        while let Some(letter) = letters.next() {
            if letter == '\'' {
                // Two marks are one; what stands between two is itself.
                let quoted: String = letters.by_ref().take_while(|letter| *letter != '\'').collect();
                out.push_str(if quoted.is_empty() { "'" } else { &quoted });
                continue;
            }
            if !letter.is_ascii_alphabetic() {
                out.push(letter);
                continue;
            }
            let mut run = String::from(letter);
            while letters.next_if_eq(&letter).is_some() {
                run.push(letter);
            }
            let written = match run.as_str() {
                "YYYY" => format!("{year:04}"),
                "YY" => format!("{:02}", year.rem_euclid(100)),
                "MMMM" => month_name.to_owned(),
                "MMM" => month_name[..3].to_owned(),
                "MM" => format!("{month:02}"),
                "M" => month.to_string(),
                "DD" => format!("{day:02}"),
                "D" => day.to_string(),
                "EEEE" => weekday.to_owned(),
                "EEE" => weekday[..3].to_owned(),
                "hh" => format!("{hour:02}"),
                "h" => hour.to_string(),
                "HH" => format!("{twelve:02}"),
                "H" => twelve.to_string(),
                "AA" => half.to_uppercase(),
                "aa" => half.to_owned(),
                "mm" => format!("{minute:02}"),
                "m" => minute.to_string(),
                "ss" => format!("{second:02}"),
                "s" => second.to_string(),
                "Z" if self.offset == 0 => "Z".into(),
                "Z" | "ZZZZZ" => zone(":"),
                "ZZZ" if self.offset == 0 => "UTC".into(),
                "ZZZ" | "ZZZZ" => zone(""),
                other => return Err(format!("{other:?} is not supported in the pattern of a date")),
            };
            out.push_str(&written);
        }
        Ok(out)
    }
}

/// The days from 1970 to a day, by the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The day that is so many days after 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}
