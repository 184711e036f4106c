//! Which packages are in an image of the store.
//!
//! Layers are read as streams, and of them only the few files that name packages, each within a limit.

use std::io::Read as _;

use polyarch_actors::BuiltImage;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{
    packages::{Found, Kind, Release},
    spdx::Contents,
};
use crate::{
    oci::{Store, StoreError},
    output::{OutputError, absent_layers, read_files},
};

/// How many files that name packages are read.
const MOST_FILES: usize = 20_000;
/// How much of them is read, in bytes.
const MOST_BYTES: u64 = 1 << 30;
/// When an image was made that does not say so.
const UNDATED: &str = "1970-01-01T00:00:00Z";

/// Looks for the packages in an image. It blocks.
pub(super) fn contents(
    store: &Store,
    image: &BuiltImage,
    cancel: &CancellationToken,
) -> Result<Contents, OutputError> {
    let mut found = Found::default();
    let mut contents = Contents::default();
    let absent = absent_layers(store, image)?;
    if absent > 0 {
        let gap =
            format!("No packages are listed: {absent} layers of the base are only where their URLs say.");
        contents.gaps.push(gap);
        return Ok(contents);
    }
    let (mut files, mut read, mut unread) = (0, 0, 0);
    let is_wanted = |path: &[u8]| Kind::of(path).is_some();
    read_files(store, image, cancel, is_wanted, |path, size, bytes| {
        let (Some(kind), Ok(path)) = (Kind::of(path), std::str::from_utf8(path)) else { return Ok(()) };
        files += 1;
        if matches!(kind, Kind::OldRpm | Kind::RpmLog) {
            // A log that is empty is there wherever the database was closed.
            if size == 0 {
                return Ok(());
            }
            contents
                .gaps
                .push(format!("The packages of rpm's database /{path} are not listed: it is not read."));
        } else if size > kind.largest() {
            let most = kind.largest();
            contents
                .gaps
                .push(format!("/{path} was not read: it has {size} bytes, more than the {most} that are."));
        } else if files <= MOST_FILES && read + size <= MOST_BYTES {
            read += size;
            let mut text = Vec::new();
            let whole = bytes.take(kind.largest()).read_to_end(&mut text);
            whole.map_err(|source| OutputError::Io { path: path.into(), source })?;
            match kind {
                // That in /etc counts; where it is a link, only the other is a file.
                Kind::Release if contents.release.is_none() || path.starts_with("etc/") => {
                    contents.release = Release::read(&text).or(contents.release.take());
                }
                kind => kind.read(path, &text, &mut found),
            }
        } else {
            unread += 1;
        }
        Ok(())
    })?;
    if unread > 0 {
        contents
            .gaps
            .push(format!("{unread} of {files} files that name packages were not read: they are too many."));
    }
    if found.left_out {
        contents.gaps.push("Some packages are not listed: they are too many, or malformed.".to_owned());
    }
    contents.gaps.sort();
    contents.packages = found.packages;
    Ok(contents)
}

/// When an image says it was made, to the second.
pub(super) fn created(store: &Store, image: &BuiltImage) -> Result<String, StoreError> {
    #[derive(Default, Deserialize)]
    struct Config {
        #[serde(default)]
        created: Option<String>,
    }
    let config: Config = serde_json::from_slice(&store.read_document(&image.config)?).unwrap_or_default();
    Ok(config.created.and_then(|created| to_the_second(&created)).unwrap_or_else(|| UNDATED.to_owned()))
}

/// The form of a time that SPDX has, where it is one in UTC.
fn to_the_second(created: &str) -> Option<String> {
    let is_date = |text: &str| {
        let pattern = b"0000-00-00T00:00:00";
        let fits = |(byte, wanted): (u8, &u8)| byte == *wanted || (*wanted == b'0' && byte.is_ascii_digit());
        text.len() == pattern.len() && text.bytes().zip(pattern).all(fits)
    };
    let (whole, rest) = (created.get(..19)?, created.get(19..)?);
    let fraction = rest.strip_suffix('Z')?;
    let is_fraction = fraction.is_empty() || fraction.starts_with('.');
    (is_date(whole) && is_fraction).then(|| format!("{whole}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_to_the_second_or_not_at_all() {
        for (given, written) in [
            ("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05Z")),
            ("2026-01-02T03:04:05.123456789Z", Some("2026-01-02T03:04:05Z")),
            ("2026-01-02T03:04:05+01:00", None),
            ("yesterday", None),
            ("2026-01-02 03:04:05Z", None),
        ] {
            assert_eq!(to_the_second(given).as_deref(), written, "{given}");
        }
    }
}
