//! What an output makes of the images, as buildx writes it among the fields of `--output`.

use std::collections::BTreeMap;

use super::options::switch;
use crate::{
    oci::layer::{Compression, Level},
    output::{ImageForm, MediaTypes},
    spec::Annotation,
};

/// The fields that are read here, but for those that begin with [`ANNOTATION`].
pub(super) const FIELDS: [&str; 5] =
    ["compression", "compression-level", "force-compression", "oci-mediatypes", "rewrite-timestamp"];
/// How the fields that are annotations begin.
const ANNOTATION: &str = "annotation";

/// Whether a field is an annotation: `annotation.KEY`, `annotation-index.KEY`, `annotation-manifest[linux/arm64].KEY`.
pub(super) fn is_annotation(key: &str) -> bool {
    key.strip_prefix(ANNOTATION).is_some_and(|rest| rest.starts_with(['.', '-', '[']))
}

/// Reads the form among the fields of an output.
pub(super) fn read(fields: &BTreeMap<String, String>) -> Result<ImageForm, String> {
    let is = |key: &str, default: bool| switch(fields.get(key).map(String::as_str), default);
    let oci = is("oci-mediatypes", true)?;
    let annotations = fields.iter().filter(|(key, _)| is_annotation(key));
    Ok(ImageForm {
        compression: compression(fields)?,
        force_compression: is("force-compression", false)?,
        media_types: if oci { MediaTypes::Oci } else { MediaTypes::Docker },
        annotations: annotations.map(|(key, value)| annotation(key, value)).collect::<Result<_, _>>()?,
        rewrite_timestamp: is("rewrite-timestamp", false)?,
    })
}

fn compression(fields: &BTreeMap<String, String>) -> Result<Option<Compression>, String> {
    let level = fields.get("compression-level").map(String::as_str);
    let number = |most: u8| match level {
        None => Ok(None),
        Some(text) => match text.parse::<u8>().ok().filter(|level| (1..=most).contains(level)) {
            Some(level) => Ok(Some(level)),
            None => Err(format!("compression-level is a number from 1 to {most}, not {text:?}")),
        },
    };
    let gzip = || Ok(Compression::Gzip(number(9)?.and_then(Level::new).unwrap_or(Level::GZIP)));
    match fields.get("compression").map(String::as_str) {
        None if level.is_some() => gzip().map(Some),
        None => Ok(None),
        Some("gzip") => gzip().map(Some),
        Some("zstd") => {
            Ok(Some(Compression::Zstd(number(22)?.and_then(Level::of_zstd).unwrap_or(Level::ZSTD))))
        }
        Some("uncompressed") if level.is_some() => {
            Err("compression-level is of no use with compression=uncompressed".into())
        }
        Some("uncompressed") => Ok(Some(Compression::None)),
        Some("estargz") => {
            Err("layers are not stored as estargz here: use compression=gzip, which it also is, or zstd"
                .into())
        }
        Some(other) => Err(format!("{other:?} is no compression (gzip, zstd, uncompressed)")),
    }
}

/// `annotation-LEVEL[PLATFORM].KEY`, which `--annotation` writes `LEVEL[PLATFORM]:KEY`.
fn annotation(key: &str, value: &str) -> Result<Annotation, String> {
    let rest = key.strip_prefix(ANNOTATION).unwrap_or(key);
    let wrong =
        || format!("{key:?} is no annotation: write annotation.KEY=VALUE, or annotation-index.KEY=VALUE");
    // A platform has no dots in its brackets that could be taken for the one before the key.
    let at = match (rest.find('['), rest.find(']')) {
        (Some(open), Some(close)) if open < close && !rest[..open].contains('.') => {
            rest[close..].strip_prefix("].").map(|_| close + 1)
        }
        _ => rest.find('.'),
    };
    let (place, name) = at.map(|at| (&rest[..at], &rest[at + 1..])).ok_or_else(wrong)?;
    let place = place.strip_prefix('-').unwrap_or(place);
    let place = if place.starts_with('[') { format!("manifest{place}") } else { place.to_owned() };
    let text = if place.is_empty() { format!("{name}={value}") } else { format!("{place}:{name}={value}") };
    text.parse().map_err(|error: crate::spec::AnnotationError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::AnnotationLevel;

    fn form(fields: &[(&str, &str)]) -> Result<ImageForm, String> {
        read(&fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn compression_is_read_as_buildx_writes_it() {
        let level = |level| Level::new(level).expect("a level");
        for (fields, compression) in [
            (&[][..], None),
            (&[("compression", "gzip")], Some(Compression::Gzip(Level::GZIP))),
            (&[("compression-level", "9")], Some(Compression::Gzip(level(9)))),
            (&[("compression", "zstd")], Some(Compression::Zstd(Level::ZSTD))),
            (
                &[("compression", "zstd"), ("compression-level", "19")],
                Some(Compression::Zstd(Level::of_zstd(19).expect("a level"))),
            ),
            (&[("compression", "uncompressed")], Some(Compression::None)),
        ] {
            assert_eq!(form(fields).map(|form| form.compression), Ok(compression), "{fields:?}");
        }
        for (fields, reason) in [
            (&[("compression", "lz4")][..], "\"lz4\" is no compression (gzip, zstd, uncompressed)"),
            (&[("compression", "estargz")], "not stored as estargz"),
            (&[("compression-level", "10")], "from 1 to 9"),
            (&[("compression", "zstd"), ("compression-level", "fast")], "from 1 to 22"),
            (&[("compression", "uncompressed"), ("compression-level", "1")], "of no use"),
            (&[("force-compression", "perhaps")], "neither true nor false"),
        ] {
            let error = form(fields).expect_err("wrong");
            assert!(error.contains(reason), "{fields:?}: {error}");
        }
    }

    #[test]
    fn annotations_are_read_as_buildx_writes_them() {
        for (field, level, platform, key) in [
            ("annotation.a.b/c", AnnotationLevel::Manifest, None, "a.b/c"),
            ("annotation-index.org.x", AnnotationLevel::Index, None, "org.x"),
            ("annotation-manifest.k", AnnotationLevel::Manifest, None, "k"),
            ("annotation[linux/arm64].a.b", AnnotationLevel::Manifest, Some("linux/arm64"), "a.b"),
            (
                "annotation-manifest-descriptor[windows(10.0.20348.1)/amd64].a",
                AnnotationLevel::ManifestDescriptor,
                Some("windows(10.0.20348.1)/amd64"),
                "a",
            ),
        ] {
            assert!(is_annotation(field), "{field}");
            let found = form(&[(field, "v=1")]).expect(field).annotations;
            let platform = platform.map(|platform| platform.parse().expect("a platform"));
            let (key, value) = (key.into(), "v=1".into());
            assert_eq!(found, [Annotation { level, platform, key, value }], "{field}");
        }
        assert!(!is_annotation("annotations"));
        assert!(form(&[("annotation-nowhere.k", "v")]).is_err());
        assert!(form(&[("annotation-index", "v")]).is_err());
    }
}
