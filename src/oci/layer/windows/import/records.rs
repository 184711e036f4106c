//! What an archive says of a member for Windows.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    super::{
        attributes::{DIRECTORY, FileAttributes, REPARSE_POINT, file_time},
        backup::{ExtendedAttribute, ReparsePoint, StreamHeader, StreamKind},
        path::LayerPath,
        record::{ATTRIBUTES, CREATED, EXTENDED, MOUNT_POINT, SECURITY, SECURITY_TEXT},
    },
    error::ImportError,
};
use crate::archive::{Member, MemberKind};

/// The attributes and times of a member. What an archive does not say is as hcsshim takes it.
pub(super) fn attributes(path: &LayerPath, member: &Member) -> Result<FileAttributes, ImportError> {
    let malformed = |name: &str| ImportError::Record { path: path.clone(), record: name.to_owned() };
    let number = |text: &str| text.parse::<u32>().map_err(|_| malformed(ATTRIBUTES));
    let stated = text_of(path, member, ATTRIBUTES)?.map_or(Ok(0), number)?;
    let attributes = match member.kind {
        MemberKind::Directory => (stated | DIRECTORY) & !REPARSE_POINT,
        MemberKind::Symlink(_) => stated | REPARSE_POINT,
        _ if stated & DIRECTORY != 0 => return Err(ImportError::Attributes(path.clone())),
        _ => stated & !REPARSE_POINT,
    };
    let written = file_time(member.modified, member.nanoseconds);
    let created = match text_of(path, member, CREATED)? {
        Some(text) => time(text).ok_or_else(|| malformed(CREATED))?,
        None => written,
    };
    Ok(FileAttributes { attributes, created, accessed: written, written, changed: written })
}

/// The streams before the content of a member.
pub(super) fn streams(path: &LayerPath, member: &Member) -> Result<Vec<u8>, ImportError> {
    let mut streams = Vec::new();
    let mut add = |kind, bytes: &[u8]| -> Result<(), ImportError> {
        let header = StreamHeader::new(kind, bytes.len() as u64).encode();
        streams.extend(header.map_err(|source| ImportError::Backup { path: path.clone(), source })?);
        streams.extend(bytes);
        Ok(())
    };
    if record(member, SECURITY_TEXT).is_some() && record(member, SECURITY).is_none() {
        return Err(ImportError::SecurityText(path.clone()));
    }
    if let Some(text) = record(member, SECURITY) {
        add(StreamKind::Security, &decoded(path, SECURITY, text)?)?;
    }
    let attributes = extended(path, member)?;
    if !attributes.is_empty() {
        let refused = |source| ImportError::ExtendedAttributes { path: path.clone(), source };
        let list = ExtendedAttribute::encode(&attributes).map_err(refused)?;
        // What is encoded twice, or has two names in other spellings, is refused as it would be on Windows.
        ExtendedAttribute::decode(&list).map_err(refused)?;
        add(StreamKind::ExtendedAttributes, &list)?;
    }
    if let MemberKind::Symlink(target) = &member.kind {
        let refused = |source| ImportError::Link { path: path.clone(), source };
        let target = std::str::from_utf8(target);
        let target = target.map_err(|_| refused(super::super::backup::ReparseError::Target))?;
        let point = ReparsePoint::to_target(target, record(member, MOUNT_POINT).is_some());
        let bytes = point.and_then(|point| point.encode()).map_err(refused)?;
        add(StreamKind::ReparsePoint, &bytes)?;
    }
    Ok(streams)
}

fn extended(path: &LayerPath, member: &Member) -> Result<Vec<ExtendedAttribute>, ImportError> {
    let mut found = Vec::new();
    for (name, value) in &member.windows {
        let Some(name) = name.strip_prefix(EXTENDED.as_bytes()) else { continue };
        let name = String::from_utf8_lossy(name).into_owned();
        let value = decoded(path, EXTENDED, value)?;
        found.push(ExtendedAttribute { flags: 0, name, value });
    }
    Ok(found)
}

/// The last record of a name counts.
fn record<'m>(member: &'m Member, name: &str) -> Option<&'m [u8]> {
    let named = member.windows.iter().rfind(|(known, _)| known == name.as_bytes());
    named.map(|(_, value)| value.as_slice())
}

fn text_of<'m>(path: &LayerPath, member: &'m Member, name: &str) -> Result<Option<&'m str>, ImportError> {
    let malformed = |_| ImportError::Record { path: path.clone(), record: name.to_owned() };
    record(member, name).map(|value| std::str::from_utf8(value).map_err(malformed)).transpose()
}

fn decoded(path: &LayerPath, name: &str, text: &[u8]) -> Result<Vec<u8>, ImportError> {
    let malformed = |_| ImportError::Record { path: path.clone(), record: name.to_owned() };
    STANDARD.decode(text).map_err(malformed)
}

/// A time of an archive, `-12.5` for example, as Windows counts.
fn time(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let is_digits = fraction.bytes().all(|digit| digit.is_ascii_digit());
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = is_digits.then(|| digits.parse().ok())??;
    if whole.starts_with('-') && nanoseconds > 0 {
        return Some(file_time(seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds));
    }
    Some(file_time(seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_archives_have_fractions_on_both_sides_of_1970() {
        for (text, expected) in [
            ("0", Some(file_time(0, 0))),
            ("1.5", Some(file_time(1, 500_000_000))),
            ("1.000000100", Some(file_time(1, 100))),
            ("-1.25", Some(file_time(-2, 750_000_000))),
            ("-0.25", Some(file_time(-1, 750_000_000))),
            ("1.1234567891", Some(file_time(1, 123_456_789))),
            ("99999999999999999999", None),
            ("1.x", None),
            ("", None),
            ("1.-5", None),
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
    }
}
