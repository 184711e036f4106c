//! What a layer says of a file for Windows.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    super::{
        attributes::{FileAttributes, unix_time},
        record::{ATTRIBUTES, CREATED, EXTENDED, MOUNT_POINT, SECURITY},
    },
    facts::Facts,
};

/// When a file was modified, in seconds since 1970, but at most `latest`.
pub(super) fn modified(attributes: &FileAttributes, latest: Option<i64>) -> i64 {
    let (seconds, _) = unix_time(attributes.written);
    latest.map_or(seconds, |latest| seconds.min(latest))
}

/// The records of a file, sorted by name.
pub(super) fn records(
    attributes: &FileAttributes,
    facts: &Facts,
    latest: Option<i64>,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut records = vec![
        (ATTRIBUTES.to_owned(), attributes.attributes.to_string()),
        (CREATED.to_owned(), created(attributes.created, latest)),
    ];
    if let Some(security) = &facts.security {
        records.push((SECURITY.to_owned(), STANDARD.encode(security)));
    }
    if facts.reparse.as_ref().is_some_and(|point| point.is_mount_point) {
        records.push((MOUNT_POINT.to_owned(), "1".to_owned()));
    }
    for attribute in &facts.extended {
        records.push((format!("{EXTENDED}{}", attribute.name), STANDARD.encode(&attribute.value)));
    }
    records.sort_unstable();
    records.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect()
}

/// A time with nine digits of a fraction. That of a time before 1970 counts away from it.
fn created(time: i64, latest: Option<i64>) -> String {
    let (seconds, nanoseconds) = unix_time(time);
    match latest {
        Some(latest) if seconds >= latest => format!("{latest}.000000000"),
        _ if seconds < 0 && nanoseconds > 0 => {
            let whole = seconds + 1;
            let sign = if whole == 0 { "-" } else { "" };
            format!("{sign}{whole}.{:09}", 1_000_000_000 - nanoseconds)
        }
        _ => format!("{seconds}.{nanoseconds:09}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::attributes::file_time, *};

    #[test]
    fn no_time_is_later_than_it_may_be() {
        for (seconds, nanoseconds, latest, text) in [
            (10, 500, None, "10.000000500"),
            (10, 500, Some(10), "10.000000000"),
            (10, 500, Some(11), "10.000000500"),
            (12, 0, Some(11), "11.000000000"),
            (-2, 750_000_000, None, "-1.250000000"),
            (-1, 750_000_000, None, "-0.250000000"),
            (-5, 0, None, "-5.000000000"),
        ] {
            assert_eq!(created(file_time(seconds, nanoseconds), latest), text);
        }
        let written = FileAttributes { written: file_time(12, 1), ..FileAttributes::default() };
        assert_eq!((modified(&written, None), modified(&written, Some(11))), (12, 11));
    }
}
