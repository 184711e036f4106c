//! The image index: one entry a platform, in the requested order, always the same bytes for the same entries.
//!
//! Documents are written once, with sorted keys and without white space, and travel as bytes from then on.
//! Fields that this version does not know are kept as they are.
//!
//! Source: OCI image specification, `image-index.md`.

use std::collections::BTreeMap;

use polyarch_actors::{Descriptor, Digest, ImageOs, Platform};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{error::StoreError, media_type, store::Store};

/// An image index as it is edited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    schema_version: u32,
    /// The kind of document that it is.
    #[serde(default = "oci_index")]
    pub(crate) media_type: String,
    /// The entries, in order.
    #[serde(default)]
    pub manifests: Vec<IndexEntry>,
    /// Free words about the index.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

/// One entry of an index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// What the entry points at.
    #[serde(flatten)]
    pub descriptor: Descriptor,
    /// What it is for. Attestations have none, or `unknown/unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<EntryPlatform>,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

/// The platform of an entry or of an image config, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPlatform {
    /// The CPU, a `GOARCH` value.
    #[serde(default)]
    pub architecture: String,
    /// The operating system, a `GOOS` value.
    #[serde(default)]
    pub os: String,
    /// The build of the operating system.
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system that the image needs.
    #[serde(default, rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The variant of the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl EntryPlatform {
    /// The platform in its normal form, if it is one that images can be built for.
    pub fn to_platform(&self) -> Option<Platform> {
        let os: ImageOs = self.os.parse().ok()?;
        let platform = Platform::new(os, &self.architecture, self.variant.as_deref()).ok()?;
        Some(platform.with_os_version(self.os_version.clone()))
    }
}

impl From<&Platform> for EntryPlatform {
    fn from(platform: &Platform) -> Self {
        Self {
            architecture: platform.arch().to_owned(),
            os: platform.os().to_string(),
            os_version: platform.os_version().map(str::to_owned),
            os_features: Vec::new(),
            variant: platform.variant().map(str::to_owned),
        }
    }
}

impl std::fmt::Display for EntryPlatform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.to_platform() {
            Some(platform) => platform.fmt(f),
            None => f.pad(&format!("{}/{}", self.os, self.architecture)),
        }
    }
}

impl IndexEntry {
    /// An entry for an image of a platform.
    pub fn new(descriptor: Descriptor, platform: &Platform) -> Self {
        Self { descriptor, platform: Some(platform.into()), other: BTreeMap::new() }
    }

    /// An entry whose platform stands elsewhere or that has none.
    pub fn without_platform(descriptor: Descriptor) -> Self {
        Self { descriptor, platform: None, other: BTreeMap::new() }
    }
}

/// Two entries for one platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index already has an image for {platform} ({digest})")]
pub struct DuplicatePlatform {
    /// The platform.
    pub platform: String,
    /// The image that is there.
    pub digest: Digest,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            schema_version: 2,
            media_type: oci_index(),
            manifests: Vec::new(),
            annotations: BTreeMap::new(),
            other: BTreeMap::new(),
        }
    }
}

impl Index {
    /// Reads an index from the store.
    pub fn read(store: &Store, digest: &Digest) -> Result<Self, StoreError> {
        let bytes = store.read_document(digest)?;
        let malformed =
            |reason: String| StoreError::Malformed { what: format!("the index {digest}"), reason };
        let index: Self = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        if !media_type::is_index(&index.media_type) {
            return Err(malformed(format!("its media type is {}", index.media_type)));
        }
        Ok(index)
    }

    /// Adds an entry after the others.
    ///
    /// # Errors
    /// [`DuplicatePlatform`] when another image stands for the same platform. The same image twice for the same
    /// platform is one entry.
    pub fn add(&mut self, entry: IndexEntry) -> Result<(), DuplicatePlatform> {
        let same = |other: &IndexEntry| {
            other.descriptor.digest == entry.descriptor.digest && other.platform == entry.platform
        };
        if self.manifests.iter().any(same) {
            return Ok(());
        }
        let platform = entry.platform.as_ref().and_then(EntryPlatform::to_platform);
        let clash = platform.and_then(|platform| {
            self.manifests.iter().find(|other| {
                other.platform.as_ref().and_then(EntryPlatform::to_platform).as_ref() == Some(&platform)
            })
        });
        if let Some(other) = clash {
            return Err(DuplicatePlatform {
                platform: entry.platform.map(|platform| platform.to_string()).unwrap_or_default(),
                digest: other.descriptor.digest.clone(),
            });
        }
        self.manifests.push(entry);
        Ok(())
    }

    /// Writes the index into the store and returns what points at it.
    pub fn save(&self, store: &Store) -> Result<Descriptor, StoreError> {
        let bytes = canonical(self, "the index")?;
        let digest = store.put(&bytes)?;
        Ok(Descriptor {
            media_type: self.media_type.clone(),
            digest,
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        })
    }
}

/// Adds annotations to an image manifest; the result is another manifest with the same content.
pub fn annotate_manifest(
    store: &Store,
    manifest: &Descriptor,
    annotations: &BTreeMap<String, String>,
) -> Result<Descriptor, StoreError> {
    let malformed =
        |reason: String| StoreError::Malformed { what: format!("the manifest {}", manifest.digest), reason };
    let bytes = store.read_document(&manifest.digest)?;
    let mut document: Value = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    let fields = document.as_object_mut().ok_or_else(|| malformed("it is no object".into()))?;
    let notes = fields.entry("annotations").or_insert_with(|| Value::Object(serde_json::Map::new()));
    let notes = notes.as_object_mut().ok_or_else(|| malformed("its annotations are no object".into()))?;
    notes.extend(annotations.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))));
    let bytes = canonical(&document, "the manifest")?;
    let digest = store.put(&bytes)?;
    Ok(Descriptor { digest, size: bytes.len() as u64, ..manifest.clone() })
}

/// The one form in which a document is written: keys sorted, no white space.
pub(crate) fn canonical(document: &impl Serialize, what: &str) -> Result<Vec<u8>, StoreError> {
    // A value keeps its keys sorted, which a struct with flattened fields does not.
    serde_json::to_value(document)
        .and_then(|value| serde_json::to_vec(&value))
        .map_err(|error| StoreError::Malformed { what: what.to_owned(), reason: error.to_string() })
}

fn oci_index() -> String {
    media_type::INDEX.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::digest_of;
    use proptest::prelude::*;

    fn entry(platform: &str, content: &str) -> IndexEntry {
        let descriptor = Descriptor {
            media_type: media_type::MANIFEST.into(),
            digest: digest_of(content.as_bytes()),
            size: content.len() as u64,
            annotations: BTreeMap::new(),
        };
        IndexEntry::new(descriptor, &platform.parse().expect("a platform"))
    }

    #[test]
    fn an_index_is_written_as_the_specification_says() {
        let mut index = Index::default();
        index.add(entry("linux/arm/v7", "a")).expect("added");
        index.add(entry("windows(10.0.20348.1)/amd64", "b")).expect("added");
        index.annotations.insert("org.opencontainers.image.title".into(), "x".into());
        let text = String::from_utf8(canonical(&index, "x").expect("written")).expect("text");
        let (a, b) = (digest_of(b"a"), digest_of(b"b"));
        assert_eq!(
            text,
            format!(
                "{{\"annotations\":{{\"org.opencontainers.image.title\":\"x\"}},\"manifests\":[\
                 {{\"digest\":\"{a}\",\"mediaType\":\"{m}\",\"platform\":{{\"architecture\":\"arm\",\"os\":\"linux\",\
                 \"variant\":\"v7\"}},\"size\":1}},\
                 {{\"digest\":\"{b}\",\"mediaType\":\"{m}\",\"platform\":{{\"architecture\":\"amd64\",\"os\":\"windows\",\
                 \"os.version\":\"10.0.20348.1\"}},\"size\":1}}],\
                 \"mediaType\":\"{i}\",\"schemaVersion\":2}}",
                m = media_type::MANIFEST,
                i = media_type::INDEX,
            )
        );
    }

    #[test]
    fn a_platform_has_one_image_and_an_image_one_entry() {
        let mut index = Index::default();
        index.add(entry("linux/arm64", "a")).expect("added");
        index.add(entry("linux/arm64/v8", "a")).expect("the same image again");
        let error = index.add(entry("linux/aarch64", "b")).expect_err("another image").to_string();
        assert!(error.starts_with("the index already has an image for linux/arm64"), "{error}");
        assert_eq!(index.manifests.len(), 1);
        index.add(entry("linux/riscv64", "a")).expect("the same image for another platform");
        assert_eq!(index.manifests.len(), 2);
    }

    #[test]
    fn fields_of_a_later_specification_survive_an_edit() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let text = r#"{"manifests":[{"artifactType":"a/b","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","mediaType":"m","size":1}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2,"subject":{"x":1}}"#;
        let digest = store.put(text.as_bytes()).expect("stored");
        let index = Index::read(&store, &digest).expect("read");
        assert_eq!(index.save(&store).expect("saved").digest, digest);
    }

    #[test]
    fn what_is_no_index_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        for text in
            ["", "[]", r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#]
        {
            let digest = store.put(text.as_bytes()).expect("stored");
            assert!(matches!(Index::read(&store, &digest), Err(StoreError::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn annotating_a_manifest_keeps_the_rest() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let bytes = br#"{"annotations":{"a":"1"},"config":{"x":[2]},"schemaVersion":2}"#;
        let manifest = Descriptor {
            media_type: media_type::MANIFEST.into(),
            digest: store.put(bytes).expect("stored"),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        };
        let notes = BTreeMap::from([("b".to_owned(), "2".to_owned())]);
        let annotated = annotate_manifest(&store, &manifest, &notes).expect("annotated");
        let text = String::from_utf8(store.read_document(&annotated.digest).expect("read")).expect("text");
        assert_eq!(text, r#"{"annotations":{"a":"1","b":"2"},"config":{"x":[2]},"schemaVersion":2}"#);
        assert_eq!(annotated.size, text.len() as u64);
    }

    proptest! {
        #[test]
        fn equal_entries_give_equal_bytes(notes in prop::collection::btree_map("[a-z]{1,5}", "[ -~]{0,9}", 0..12)) {
            let written = || {
                let mut index = Index { annotations: notes.clone(), ..Index::default() };
                for cpu in ["amd64", "arm64", "riscv64"] {
                    index.add(entry(&format!("linux/{cpu}"), cpu)).expect("added");
                }
                canonical(&index, "x").expect("written")
            };
            prop_assert_eq!(written(), written());
        }
    }
}
