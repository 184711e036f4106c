//! What a manifest or index points at: as much of it as moving needs.
//!
//! Source: OCI image specification, `manifest.md` and `image-index.md`; Docker's image manifest version 2,
//! schema 2.

use polyarch_actors::Descriptor;
use serde::Deserialize;

use crate::oci::media_type;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The kinds of documents that are understood.
pub(super) const ACCEPTED: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX];

/// A manifest or index.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) media_type: String,
    pub(super) content: Content,
}

/// What a document points at.
#[derive(Debug)]
pub(super) enum Content {
    Index(Vec<Descriptor>),
    Image { config: Descriptor, layers: Vec<Layer> },
}

/// One layer.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Layer {
    #[serde(flatten)]
    pub(super) descriptor: Descriptor,
    #[serde(default)]
    urls: Option<Vec<String>>,
}

impl From<Descriptor> for Layer {
    fn from(descriptor: Descriptor) -> Self {
        Self { descriptor, urls: None }
    }
}

impl Layer {
    /// Where the layer is when it may not be kept in a registry; empty for any other layer.
    ///
    /// Source: OCI image specification, `layer.md`, "Non-Distributable Layers"; Docker's foreign layers.
    pub(super) fn foreign_urls(&self) -> &[String] {
        let foreign = media_type::is_foreign(&self.descriptor.media_type);
        self.urls.as_deref().filter(|_| foreign).unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u32>,
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Layer>>,
}

/// Reads a document. `declared` is the kind that whoever pointed at it said it is.
///
/// A document that can be read as an image and as an index is refused (CVE-2021-41190).
pub(super) fn read(bytes: &[u8], declared: Option<&str>) -> Result<Document, String> {
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if raw.schema_version != Some(2) {
        return Err("it has the old schema version 1, which is not supported".into());
    }
    let content = match (raw.manifests, raw.config, raw.layers) {
        (Some(manifests), None, None) => Content::Index(manifests),
        (None, Some(config), Some(layers)) => Content::Image { config, layers },
        (Some(_), _, _) => return Err("it is an image and an index at once".into()),
        (None, _, _) => return Err("it is neither an image manifest nor an image index".into()),
    };
    // A registry that does not know a document's kind serves it as plain JSON.
    let declared = declared.filter(|kind| ACCEPTED.contains(kind));
    let (oci, docker) = match content {
        Content::Index(_) => (OCI_INDEX, DOCKER_INDEX),
        Content::Image { .. } => (OCI_MANIFEST, DOCKER_MANIFEST),
    };
    let media_type = match (raw.media_type, declared) {
        (Some(inside), Some(declared)) if inside != declared => {
            return Err(format!("it says it is {inside} and was announced as {declared}"));
        }
        (Some(inside), _) => inside,
        (None, Some(declared)) => declared.to_owned(),
        (None, None) => oci.to_owned(),
    };
    if media_type != oci && media_type != docker {
        return Err(format!("it says it is {media_type} and its content is not"));
    }
    Ok(Document { media_type, content })
}

/// A media type without what follows a semicolon.
pub(super) fn without_parameters(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOB: &str = r#"{"mediaType":"x","size":1,"digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;

    fn kind(text: &str, declared: Option<&str>) -> Result<String, String> {
        read(text.replace("BLOB", BLOB).as_bytes(), declared).map(|document| document.media_type)
    }

    #[test]
    fn the_kind_is_what_the_document_and_the_announcement_agree_on() {
        let image = r#"{"schemaVersion":2,"config":BLOB,"layers":[BLOB]}"#;
        let index = r#"{"schemaVersion":2,"manifests":[BLOB]}"#;
        assert_eq!(kind(image, None).as_deref(), Ok(OCI_MANIFEST));
        assert_eq!(kind(image, Some(DOCKER_MANIFEST)).as_deref(), Ok(DOCKER_MANIFEST));
        assert_eq!(kind(index, Some("application/json")).as_deref(), Ok(OCI_INDEX));
        for (text, declared, reason) in [
            (
                image,
                Some(OCI_INDEX),
                "it says it is application/vnd.oci.image.index.v1+json and its content is not",
            ),
            (
                r#"{"schemaVersion":2,"manifests":[],"config":BLOB,"layers":[]}"#,
                None,
                "it is an image and an index at once",
            ),
            (r#"{"schemaVersion":2}"#, None, "it is neither an image manifest nor an image index"),
            (
                r#"{"schemaVersion":1,"fsLayers":[]}"#,
                None,
                "it has the old schema version 1, which is not supported",
            ),
            (
                r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
                Some(DOCKER_INDEX),
                "it says it is application/vnd.oci.image.index.v1+json and was announced as application/vnd.docker.distribution.manifest.list.v2+json",
            ),
        ] {
            assert_eq!(kind(text, declared), Err(reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn only_a_layer_that_may_not_be_kept_is_foreign() {
        let layer = |kind: &str, urls: &str| -> Layer {
            let text = BLOB.replace("\"x\"", &format!("\"{kind}\"")).replacen('{', &format!("{{{urls}"), 1);
            serde_json::from_str(&text).expect("a layer")
        };
        let urls = r#""urls":["https://x/y"],"#;
        for (kind, urls, foreign) in [
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", urls, true),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls, true),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "", false),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "\"urls\":null,", false),
            ("application/vnd.oci.image.layer.v1.tar+gzip", urls, false),
        ] {
            assert_eq!(!layer(kind, urls).foreign_urls().is_empty(), foreign, "{kind} {urls}");
        }
    }
}
