//! `--cache-to` and `--cache-from`, as buildx writes them.
//!
//! Source: buildx, `util/buildflags/cache.go`; Docker's documentation, "Cache storage backends".

use std::{collections::BTreeMap, str::FromStr};

use super::options::{fields, switch};
use crate::{
    cache::{CacheExport, CacheMode, CachePlace, CacheSource},
    oci::Reference,
};

/// The tag of a cache in a directory that gives none.
const TAG: &str = "latest";

/// `--cache-from`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CacheFromOption(pub(super) Vec<CacheSource>);

/// `--cache-to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CacheToOption(pub(super) Vec<CacheExport>);

impl FromStr for CacheFromOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SUPPORTED: &str = "type=registry,ref=NAME or type=local,src=DIR[,tag=TAG][,digest=DIGEST]";
        if !text.contains('=') {
            return Ok(Self(names(text)?.into_iter().map(CacheSource::Registry).collect()));
        }
        let mut fields = Fields::read(text, SUPPORTED)?;
        let source = match fields.kind.as_str() {
            "registry" => CacheSource::Registry(name(&fields.required("ref")?)?),
            "local" => {
                let folder = fields.required("src")?.into();
                let digest = fields.take("digest").map(|digest| digest.parse()).transpose();
                let digest = digest.map_err(|error| format!("{error}"))?;
                CacheSource::Directory { folder, tag: fields.take("tag"), digest }
            }
            "inline" => {
                return Err("an image that carries its cache is read with type=registry,ref=IMAGE".into());
            }
            other => return Err(unsupported(other, SUPPORTED)),
        };
        fields.end()?;
        Ok(Self(vec![source]))
    }
}

impl FromStr for CacheToOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SUPPORTED: &str = "type=registry,ref=NAME, type=local,dest=DIR[,tag=TAG] or type=inline";
        let separate = |place, mode, ignore_error| CacheExport::Separate { place, mode, ignore_error };
        if !text.contains('=') {
            let places = names(text)?.into_iter().map(CachePlace::Registry);
            return Ok(Self(places.map(|place| separate(place, CacheMode::Min, false)).collect()));
        }
        let mut fields = Fields::read(text, SUPPORTED)?;
        let mode = match fields.take("mode").as_deref() {
            None | Some("min") => CacheMode::Min,
            Some("max") => CacheMode::Max,
            Some(other) => return Err(format!("unknown mode {other:?} of a cache (min or max)")),
        };
        let place = match fields.kind.as_str() {
            "inline" => {
                if mode == CacheMode::Max {
                    return Err("an image has its own layers only, so a cache in it has mode=min; \
                                use type=registry,ref=NAME,mode=max"
                        .into());
                }
                fields.end()?;
                return Ok(Self(vec![CacheExport::Inline]));
            }
            "registry" => CachePlace::Registry(name(&fields.required("ref")?)?),
            "local" => {
                let folder = fields.required("dest")?.into();
                let tag = fields.take("tag").filter(|tag| !tag.is_empty()).unwrap_or_else(|| TAG.to_owned());
                CachePlace::Directory { folder, tag }
            }
            other => return Err(unsupported(other, SUPPORTED)),
        };
        for (field, what) in [
            ("image-manifest", "caches are image manifests always"),
            ("oci-mediatypes", "caches have OCI's media types always"),
        ] {
            if !switch(fields.take(field).as_deref(), true)? {
                return Err(format!("{field}=false is not supported: {what}"));
            }
        }
        let ignore_error = switch(fields.take("ignore-error").as_deref(), false)?;
        if let Some(kind) = fields.take("compression").filter(|kind| kind != "gzip") {
            return Err(format!("compression={kind} is not supported: layers stay as the build made them"));
        }
        if switch(fields.take("force-compression").as_deref(), false)? {
            return Err(
                "force-compression=true is not supported: layers stay as the build made them".to_owned()
            );
        }
        fields.end()?;
        Ok(Self(vec![separate(place, mode, ignore_error)]))
    }
}

/// The fields of an option, each of which must be known.
struct Fields {
    kind: String,
    left: BTreeMap<String, String>,
}

impl Fields {
    fn read(text: &str, supported: &str) -> Result<Self, String> {
        let mut left = fields(text)?;
        let kind = left.remove("type").ok_or_else(|| format!("no type is given (use {supported})"))?;
        Ok(Self { kind, left })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.left.remove(name)
    }

    fn required(&mut self, name: &str) -> Result<String, String> {
        let value = self.take(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| format!("a cache of type {} needs {name}=", self.kind))
    }

    fn end(self) -> Result<(), String> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(unknown) => Err(format!("{unknown:?} is not supported for a cache of type {}", self.kind)),
        }
    }
}

fn unsupported(kind: &str, supported: &str) -> String {
    format!("caches of type {kind:?} are not supported (use {supported})")
}

/// Names of registries, with commas between them.
fn names(text: &str) -> Result<Vec<Reference>, String> {
    text.split(',').map(name).collect()
}

fn name(text: &str) -> Result<Reference, String> {
    text.parse().map_err(|error: crate::oci::ReferenceError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(name: &str) -> CachePlace {
        CachePlace::Registry(name.parse().expect("a name"))
    }

    fn directory(tag: &str) -> CachePlace {
        CachePlace::Directory { folder: "d".into(), tag: tag.into() }
    }

    #[test]
    fn exports_are_read_as_buildx_writes_them() {
        let separate = |place, mode, ignore_error| vec![CacheExport::Separate { place, mode, ignore_error }];
        for (text, expected) in [
            ("user/app:cache", separate(registry("user/app:cache"), CacheMode::Min, false)),
            ("type=inline", vec![CacheExport::Inline]),
            ("type=inline,mode=min", vec![CacheExport::Inline]),
            ("type=registry,ref=a/b,mode=max", separate(registry("a/b"), CacheMode::Max, false)),
            ("type=local,dest=d", separate(directory("latest"), CacheMode::Min, false)),
            ("type=local,dest=d,tag=t,ignore-error=true", separate(directory("t"), CacheMode::Min, true)),
            (
                "type=registry,ref=a/b,image-manifest=true,oci-mediatypes=true,compression=gzip,force-compression=false",
                separate(registry("a/b"), CacheMode::Min, false),
            ),
        ] {
            assert_eq!(text.parse(), Ok(CacheToOption(expected)), "{text}");
        }
    }

    #[test]
    fn imports_are_read_as_buildx_writes_them() {
        let name = |name: &str| CacheSource::Registry(name.parse().expect("a name"));
        let digest = crate::oci::digest_of(b"x");
        let local = |tag: Option<&str>, digest: Option<&polyarch_actors::Digest>| CacheSource::Directory {
            folder: "d".into(),
            tag: tag.map(str::to_owned),
            digest: digest.cloned(),
        };
        for (text, expected) in [
            ("user/app:cache", vec![name("user/app:cache")]),
            ("a/b,c/d:1", vec![name("a/b"), name("c/d:1")]),
            ("type=registry,ref=a/b", vec![name("a/b")]),
            ("type=local,src=d", vec![local(None, None)]),
            ("type=local,src=d,tag=t", vec![local(Some("t"), None)]),
            (&format!("type=local,src=d,digest={digest}"), vec![local(None, Some(&digest))]),
        ] {
            assert_eq!(text.parse(), Ok(CacheFromOption(expected)), "{text}");
        }
    }

    #[test]
    fn what_is_not_supported_says_what_is() {
        for (text, reason) in [
            ("type=gha", "caches of type \"gha\" are not supported (use type=registry,ref=NAME, type=local"),
            ("type=s3,bucket=b,region=r", "caches of type \"s3\" are not supported"),
            ("type=azblob,name=x", "caches of type \"azblob\" are not supported"),
            ("ref=a/b", "no type is given"),
            ("type=registry", "a cache of type registry needs ref="),
            ("type=local", "a cache of type local needs dest="),
            ("type=local,dest=d,src=d", "\"src\" is not supported for a cache of type local"),
            ("type=registry,ref=a/b,mode=most", "unknown mode \"most\" of a cache (min or max)"),
            ("type=inline,mode=max", "use type=registry,ref=NAME,mode=max"),
            ("type=registry,ref=a/b,compression=zstd", "compression=zstd is not supported"),
            ("type=registry,ref=a/b,force-compression=true", "force-compression=true is not supported"),
            ("type=registry,ref=a/b,image-manifest=false", "image-manifest=false is not supported"),
            ("type=registry,ref=a/b,compression-level=3", "\"compression-level\" is not supported"),
            ("type=registry,ref=a/b,ignore-error=maybe", "neither true nor false"),
        ] {
            let error = text.parse::<CacheToOption>().expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
        for (text, reason) in [
            ("type=gha", "(use type=registry,ref=NAME or type=local,src=DIR"),
            ("type=inline", "is read with type=registry,ref=IMAGE"),
            ("type=local,src=d,digest=x", "digest"),
            ("type=registry,ref=a/b,mode=max", "\"mode\" is not supported"),
        ] {
            let error = text.parse::<CacheFromOption>().expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
