//! Images in the form that an output wants: layers stored otherwise, times that are no later than they may be, other
//! media types.
//!
//! The images in the store stay as they are. What is made here is made of them alone, so that equal images become
//! equal again.

use std::io::Read as _;

use polyarch_actors::{BuiltImage, Descriptor, Digest, ImageOs};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    error::OutputError,
    form::{ImageForm, MediaTypes},
    redate,
};
use crate::{
    archive::{self, decompress},
    oci::{
        Store, StoreError,
        index::canonical,
        layer::{Compression, Layer, store_archive},
        media_type,
    },
};

/// How many bytes tell how a blob is compressed.
const HEAD: usize = 6;

/// What a manifest says of a blob. What this does not know stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
    #[serde(flatten)]
    other: serde_json::Map<String, Value>,
}

/// Makes an image have the form, in the store. It blocks. `epoch` is `SOURCE_DATE_EPOCH`.
pub(crate) fn recast(
    store: &Store,
    image: &BuiltImage,
    form: &ImageForm,
    epoch: Option<i64>,
    cancel: &CancellationToken,
) -> Result<BuiltImage, OutputError> {
    if form.changes_nothing() {
        return Ok(image.clone());
    }
    let mut manifest = read(store, &image.manifest.digest)?;
    let mut config = read(store, &image.config)?;
    let malformed = |digest: &Digest, field: &str| StoreError::Malformed {
        what: format!("the document {digest}"),
        reason: format!("its {field} are not what they should be"),
    };
    let mut layers: Vec<Part> = serde_json::from_value(manifest["layers"].take())
        .map_err(|_| malformed(&image.manifest.digest, "layers"))?;
    let mut diff_ids: Vec<Digest> = serde_json::from_value(config["rootfs"]["diff_ids"].take())
        .map_err(|_| malformed(&image.config, "diff_ids"))?;
    if layers.len() != diff_ids.len() {
        return Err(malformed(&image.config, "diff_ids").into());
    }
    let based = image.based.unwrap_or(0);
    for (number, (layer, diff_id)) in layers.iter_mut().zip(&mut diff_ids).enumerate() {
        // What is not here stays where its URLs say.
        if layer.urls.is_empty() {
            let cast = Cast { store, layer, diff_id, is_new: number >= based, cancel };
            if let Some(made) = cast.make(form, epoch, image.platform.os() == ImageOs::Windows)? {
                (layer.media_type, layer.digest, layer.size) =
                    (made.media_type.to_owned(), made.digest, made.size);
                *diff_id = made.diff_id;
            }
        }
        if form.media_types == MediaTypes::Docker {
            let name = media_type::docker_layer(&layer.media_type);
            let media_type = || layer.media_type.clone();
            layer.media_type = name.ok_or_else(|| OutputError::NoDockerType(media_type()))?.to_owned();
        }
    }
    config["rootfs"]["diff_ids"] = value(&diff_ids, "diff_ids")?;
    let config = put(store, &config, "an image config")?;
    manifest["layers"] = value(&layers, "layers")?;
    manifest["config"]["digest"] = config.0.as_str().into();
    manifest["config"]["size"] = config.1.into();
    let mut media_type = image.manifest.media_type.clone();
    if form.media_types == MediaTypes::Docker {
        media_type::DOCKER_MANIFEST.clone_into(&mut media_type);
        manifest["config"]["mediaType"] = media_type::DOCKER_CONFIG.into();
        manifest["mediaType"] = media_type.as_str().into();
    }
    let (digest, size) = put(store, &manifest, "an image manifest")?;
    let manifest = Descriptor { media_type, digest, size, ..image.manifest.clone() };
    Ok(BuiltImage { manifest, config: config.0, ..image.clone() })
}

/// A layer that may have to become another.
struct Cast<'c> {
    store: &'c Store,
    layer: &'c Part,
    diff_id: &'c Digest,
    /// Whether the build has made it.
    is_new: bool,
    cancel: &'c CancellationToken,
}

impl Cast<'_> {
    fn make(
        &self,
        form: &ImageForm,
        epoch: Option<i64>,
        is_windows: bool,
    ) -> Result<Option<Layer>, OutputError> {
        let wanted = form.stored().filter(|_| self.is_new || form.force_compression);
        let latest = epoch.filter(|_| form.rewrite_timestamp && self.is_new);
        if let Some(latest) = latest
            && self.is_later_than(latest)?
        {
            if is_windows {
                return Err(OutputError::layer(
                    &self.layer.digest,
                    "it has files that are later than SOURCE_DATE_EPOCH, and times in layers of Windows images are \
                     not rewritten",
                ));
            }
            let compression = wanted.unwrap_or_default();
            return redate::layer(self.store, &self.layer.digest, latest, compression, self.cancel).map(Some);
        }
        let Some(wanted) = wanted else { return Ok(None) };
        if !self.store.contains(&self.layer.digest) {
            let reason = "it is in its registry alone, where force-compression cannot reach it";
            return Err(OutputError::layer(&self.layer.digest, reason));
        }
        if self.compression()? == Some(wanted) {
            return Ok(None);
        }
        let source = decompress(self.store.open_blob(&self.layer.digest)?).map_err(self.unreadable())?;
        let made = store_archive(self.store, source, self.layer.digest.as_str(), wanted, self.cancel)
            .map_err(|error| OutputError::of_layer(&self.layer.digest, error))?;
        if made.diff_id != *self.diff_id {
            let reason = format!("it holds {}, and its image says {}", made.diff_id, self.diff_id);
            return Err(OutputError::layer(&self.layer.digest, reason));
        }
        Ok(Some(made))
    }

    /// How the layer is compressed, as far as this would compress it the same way.
    fn compression(&self) -> Result<Option<Compression>, OutputError> {
        let mut head = Vec::new();
        let blob = self.store.open_blob(&self.layer.digest)?;
        blob.take(HEAD as u64).read_to_end(&mut head).map_err(self.unreadable())?;
        Ok(match archive::Compression::of(&head) {
            archive::Compression::None => Some(Compression::None),
            // With which level it was, nobody knows but who made it; new layers have the usual one.
            archive::Compression::Gzip => Some(Compression::default()),
            _ => None,
        })
    }

    fn is_later_than(&self, latest: i64) -> Result<bool, OutputError> {
        redate::is_later(self.store, &self.layer.digest, latest, self.cancel)
    }

    fn unreadable(&self) -> impl FnOnce(std::io::Error) -> OutputError {
        let layer = self.layer.digest.clone();
        move |error| OutputError::layer(&layer, error)
    }
}

fn read(store: &Store, digest: &Digest) -> Result<Value, StoreError> {
    serde_json::from_slice(&store.read_document(digest)?).map_err(|error| StoreError::Malformed {
        what: format!("the document {digest}"),
        reason: error.to_string(),
    })
}

fn put(store: &Store, document: &Value, what: &str) -> Result<(Digest, u64), StoreError> {
    let bytes = canonical(document, what)?;
    Ok((store.put(&bytes)?, bytes.len() as u64))
}

fn value(list: &impl Serialize, what: &str) -> Result<Value, StoreError> {
    let malformed = |error: serde_json::Error| StoreError::Malformed {
        what: format!("a list of {what}"),
        reason: error.to_string(),
    };
    serde_json::to_value(list).map_err(malformed)
}
