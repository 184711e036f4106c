//! The document: what each key led to.

use std::collections::{BTreeMap, btree_map::Entry};

use polyarch_actors::{Descriptor, Digest};
use serde::{Deserialize, Serialize};

use crate::oci::{Store, StoreError, index::canonical};

/// The document's media type.
pub(super) const MEDIA_TYPE: &str = "application/vnd.polyarch.steps.v1+json";
/// The annotation of an image manifest that holds the document of the image's own build.
///
/// An annotation and no key of the config: so the image keeps its id, whether it carries a cache or not.
pub(crate) const INLINE: &str = "vnd.polyarch.steps.v1";
/// The form of the document; another one is not read.
const VERSION: u32 = 1;

/// What each key led to. The same steps give the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Steps {
    version: u32,
    /// By their keys.
    pub(crate) steps: BTreeMap<Digest, KnownStep>,
}

/// What a step led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownStep {
    /// When it was done, as configs write it.
    pub(crate) created: String,
    /// The layer; absent where the step changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) layer: Option<KnownLayer>,
}

/// The layer of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownLayer {
    pub(crate) blob: Descriptor,
    /// The digest of the archive in it.
    pub(crate) diff_id: Digest,
    /// Whether the blob is where the document is. Without it, the step need not be done as long as nobody looks into
    /// its layer: what is copied from it is known by a key too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) kept: bool,
}

impl Default for Steps {
    fn default() -> Self {
        Self { version: VERSION, steps: BTreeMap::new() }
    }
}

impl FromIterator<(Digest, KnownStep)> for Steps {
    fn from_iter<I: IntoIterator<Item = (Digest, KnownStep)>>(steps: I) -> Self {
        Self { version: VERSION, steps: steps.into_iter().collect() }
    }
}

impl Steps {
    /// Reads a document that anybody may have written.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut document: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if document.version != VERSION {
            return Err(format!(
                "it has version {}, and this polyarch reads version {VERSION}",
                document.version
            ));
        }
        for (key, step) in &mut document.steps {
            if !is_time(&step.created) {
                return Err(format!("the step {key} was done at no time: {:?}", step.created));
            }
            let Some(layer) = &mut step.layer else { continue };
            // An image's manifest takes the descriptor as it stands.
            layer.blob.annotations.clear();
            if compression(&layer.blob.media_type).is_none() {
                return Err(format!("the layer of step {key} has media type {:?}", layer.blob.media_type));
            }
        }
        Ok(document)
    }

    /// Reads a document of the store.
    pub(crate) fn load(store: &Store, document: &Descriptor) -> Result<Self, StoreError> {
        Self::read(&store.read_document(&document.digest)?).map_err(|reason| StoreError::Malformed {
            what: format!("the document of steps {}", document.digest),
            reason,
        })
    }

    /// Puts the document into the store.
    pub(crate) fn save(&self, store: &Store) -> Result<Descriptor, StoreError> {
        let bytes = canonical(self, "a document of steps")?;
        Ok(Descriptor {
            media_type: MEDIA_TYPE.to_owned(),
            digest: store.put(&bytes)?,
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        })
    }

    /// Adds the steps of another document. Where both know a step, what was there first stays: both are right.
    pub(crate) fn merge(&mut self, other: Self) {
        for (key, step) in other.steps {
            match self.steps.entry(key) {
                Entry::Vacant(vacant) => _ = vacant.insert(step),
                Entry::Occupied(mut known) => {
                    if let (Some(layer), Some(other)) = (&mut known.get_mut().layer, step.layer) {
                        layer.kept |= other.kept && other.blob == layer.blob;
                    }
                }
            }
        }
    }

    /// The layers of all steps.
    pub(super) fn layers(&mut self) -> impl Iterator<Item = &mut KnownLayer> {
        self.steps.values_mut().filter_map(|step| step.layer.as_mut())
    }
}

/// How a layer of this media type is compressed.
pub(crate) fn compression(media_type: &str) -> Option<crate::archive::Compression> {
    let suffix = media_type.strip_prefix("application/vnd.oci.image.layer.v1.tar")?;
    match suffix {
        "" => Some(crate::archive::Compression::None),
        "+gzip" => Some(crate::archive::Compression::Gzip),
        "+zstd" => Some(crate::archive::Compression::Zstd),
        _ => None,
    }
}

/// Whether a text is a time as the engine writes them: `2026-01-02T03:04:05Z`.
fn is_time(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00Z";
    let fits = |(found, form): (&u8, &u8)| if *form == b'0' { found.is_ascii_digit() } else { found == form };
    text.len() == FORM.len() && text.as_bytes().iter().zip(FORM).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::digest_of;

    fn step(name: &str, kept: bool) -> KnownStep {
        let blob = Descriptor {
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".into(),
            digest: digest_of(name.as_bytes()),
            size: 7,
            annotations: BTreeMap::new(),
        };
        let layer = KnownLayer { blob, diff_id: digest_of(b"diff"), kept };
        KnownStep { created: "2026-01-02T03:04:05Z".into(), layer: Some(layer) }
    }

    fn document(steps: &[(&str, KnownStep)]) -> Steps {
        steps.iter().map(|(key, step)| (digest_of(key.as_bytes()), step.clone())).collect()
    }

    #[test]
    fn a_document_has_one_form_and_reads_back() {
        let one = document(&[("a", step("x", true)), ("b", KnownStep { layer: None, ..step("", false) })]);
        let bytes = canonical(&one, "x").expect("written");
        assert_eq!(Steps::read(&bytes).expect("read"), one);
        let (a, x, diff) = (digest_of(b"a"), digest_of(b"x"), digest_of(b"diff"));
        let text = String::from_utf8(bytes).expect("text");
        let layer = format!(
            "\"{a}\":{{\"created\":\"2026-01-02T03:04:05Z\",\"layer\":{{\"blob\":{{\"digest\":\"{x}\",\"mediaType\":\
             \"application/vnd.oci.image.layer.v1.tar+gzip\",\"size\":7}},\"diff_id\":\"{diff}\",\"kept\":true}}}}"
        );
        assert!(text.contains(&layer) && text.ends_with(",\"version\":1}"), "{text}");
    }

    #[test]
    fn documents_become_one_whose_first_word_counts() {
        let mut all = document(&[("a", step("x", false)), ("b", step("x", false))]);
        all.merge(document(&[("a", step("x", true)), ("b", step("other", true)), ("c", step("y", false))]));
        let expected = [("a", step("x", true)), ("b", step("x", false)), ("c", step("y", false))];
        assert_eq!(all, document(&expected));
    }

    #[test]
    fn what_is_no_document_says_why() {
        let good = canonical(&document(&[("a", step("x", true))]), "x").expect("written");
        let good = String::from_utf8(good).expect("text");
        for (from, to, reason) in [
            ("\"version\":1", "\"version\":2", "it has version 2, and this polyarch reads version 1"),
            ("2026-01-02T", "yesterday, ", "was done at no time"),
            ("tar+gzip", "tar+lzma", "has media type"),
            ("\"kept\"", "\"kpet\"", "unknown field `kpet`"),
            ("sha256:", "md5:", "md5"),
        ] {
            let error = Steps::read(good.replace(from, to).as_bytes()).expect_err(to);
            assert!(error.contains(reason), "{error}");
        }
        assert!(Steps::read(good.as_bytes()).is_ok());
    }
}
