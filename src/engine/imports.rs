//! Steps that were done elsewhere, as one build may use them.
//!
//! An imported step says which layer it led to. The layer itself is fetched when somebody looks into it, or when the
//! image is made of it, and only then is it known whether it is to be had and what it was said to be. Where it is not,
//! the build is begun again without that step; what was done meanwhile is recorded and is not done again.
//!
//! What is imported counts in the builds that import it only. It is written nowhere: whoever can write to a cache
//! decides what its readers build, and nobody else.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use futures::{StreamExt as _, TryStreamExt as _};
use polyarch_actors::{
    BuildError, BuildId, BuildRequest, CachePolicy, Descriptor, Digest, EventKind, EventSink, ImportedSteps,
    LayerSource,
};
use tokio::sync::OnceCell;

use super::{
    bases::Puller,
    chain::{Chain, ChainLayer, LayerOrigin},
    error::{EngineError, blocking},
    key::Key,
    records::{Record, RecordedLayer, Records},
};
use crate::{
    cache::{self, CacheError, KnownStep, Steps},
    error::with_sources,
    oci::Store,
    registry::RegistryError,
};

/// How many layers are fetched at once.
const AT_ONCE: usize = 4;
/// What is wrong with a layer that is another one.
const LIE: &str = "it is not what the cache says of it";

/// The imported steps of a build.
#[derive(Debug, Default)]
pub(super) struct Imports {
    steps: HashMap<Digest, KnownStep>,
    layers: HashMap<LayerId, ImportedLayer>,
    sources: Vec<Source>,
    /// Whether a layer has proved not to be had since the build began.
    gave_way: AtomicBool,
}

/// A blob, and all that is said of it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LayerId {
    blob: Digest,
    media_type: String,
    size: u64,
    diff_id: Digest,
}

impl LayerId {
    fn new(blob: &Descriptor, diff_id: &Digest) -> Self {
        let Descriptor { media_type, digest, size, .. } = blob.clone();
        Self { blob: digest, media_type, size, diff_id: diff_id.clone() }
    }
}

#[derive(Debug)]
struct ImportedLayer {
    blob: Descriptor,
    /// The places in the list of sources where the blob is.
    places: Vec<usize>,
    /// Whether it is in the store and what it was said to be, once that is known.
    usable: OnceCell<bool>,
}

#[derive(Debug)]
struct Source {
    layers: LayerSource,
    /// Whether asking there again is of no use.
    dead: AtomicBool,
}

impl Imports {
    /// Those of a request; none where it ignores earlier results. It blocks.
    pub(super) fn read(store: &Store, request: &BuildRequest, events: &EventSink) -> Self {
        let mut imports = Self::default();
        for ImportedSteps { steps, layers } in &request.imports {
            if request.cache == CachePolicy::Ignore {
                break;
            }
            match Steps::load(store, steps) {
                Ok(found) => imports.add(found, layers),
                Err(error) => {
                    let message =
                        format!("imported steps are of no use, and are done here: {}", with_sources(&error));
                    events.emit(EventKind::Warned { message });
                }
            }
        }
        imports
    }

    /// Whether nothing was imported.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn add(&mut self, found: Steps, layers: &LayerSource) {
        let place = self.sources.len();
        self.sources.push(Source { layers: layers.clone(), dead: AtomicBool::new(false) });
        for (key, step) in found.steps {
            if let Some(layer) = &step.layer {
                let id = LayerId::new(&layer.blob, &layer.diff_id);
                let known = self.layers.entry(id).or_insert_with(|| ImportedLayer {
                    blob: layer.blob.clone(),
                    places: Vec::new(),
                    usable: OnceCell::new(),
                });
                known.places.extend(layer.kept.then_some(place));
            }
            self.steps.entry(key).or_insert(step);
        }
    }

    /// What `key` is said to have led to.
    pub(super) fn recall(&self, key: &Digest, build: &BuildId) -> Option<Record> {
        let step = self.steps.get(key)?;
        let layer = match &step.layer {
            None => None,
            Some(layer) => {
                let id = LayerId::new(&layer.blob, &layer.diff_id);
                if self.layers.get(&id)?.usable.get() == Some(&false) {
                    return None;
                }
                Some(RecordedLayer { blob: layer.blob.clone(), diff_id: layer.diff_id.clone() })
            }
        };
        Some(Record { layer, created: step.created.clone(), build: build.clone(), imported: true })
    }

    /// Whether a layer has proved not to be had, and the build has to begin again.
    pub(super) fn has_given_way(&self) -> bool {
        self.gave_way.load(Ordering::Relaxed)
    }

    /// The same, asked in order to begin again.
    pub(super) fn give_way(&self) -> bool {
        self.gave_way.swap(false, Ordering::Relaxed)
    }

    /// Sees to it that the imported layers of a chain are in the store, and what they were said to be.
    ///
    /// # Errors
    /// [`BuildError::Cancelled`] when one is not to be had, which is no failure that others should share: the build is
    /// to be begun again.
    pub(super) async fn complete(
        &self,
        chain: &Chain,
        puller: &Puller,
        records: &Records,
    ) -> Result<(), BuildError> {
        let layers = chain.layers().iter();
        let imported = layers.filter(|layer| matches!(layer.origin, LayerOrigin::Imported));
        let imported = imported.filter_map(|layer| {
            let id = LayerId::new(&layer.blob, &layer.diff_id);
            Some((self.layers.get(&id)?, layer.diff_id.clone()))
        });
        let checks: Vec<_> = imported
            .map(|(layer, diff_id)| async move {
                let usable = || self.bring(layer, &diff_id, puller, records);
                layer.usable.get_or_try_init(usable).await.copied()
            })
            .collect();
        let all: Vec<bool> = futures::stream::iter(checks).buffer_unordered(AT_ONCE).try_collect().await?;
        if all.into_iter().all(|usable| usable) {
            return Ok(());
        }
        self.gave_way.store(true, Ordering::Relaxed);
        Err(BuildError::Cancelled)
    }

    /// Brings a layer here. Returns whether it is there and what it was said to be.
    async fn bring(
        &self,
        layer: &ImportedLayer,
        diff_id: &Digest,
        puller: &Puller,
        records: &Records,
    ) -> Result<bool, BuildError> {
        let digest = layer.blob.digest.short();
        let warn = |reason: &str| {
            let message = format!("the cached layer {digest} cannot be used, so its step is done: {reason}");
            puller.events.emit(EventKind::Warned { message });
        };
        if puller.store.size(&layer.blob.digest).is_ok_and(|size| size == layer.blob.size) {
            let suits = suits(layer, diff_id, puller, records).await?;
            if !suits {
                warn(LIE);
            }
            return Ok(suits);
        }
        for source in layer.places.iter().map(|place| &self.sources[*place]) {
            if source.dead.load(Ordering::Relaxed) {
                continue;
            }
            let (store, client, cx) = (&puller.store, &puller.client, &puller.cx);
            let reason = match cache::fetch(&source.layers, &layer.blob, store, client, cx).await {
                Ok(()) if suits(layer, diff_id, puller, records).await? => return Ok(true),
                Ok(()) => LIE.to_owned(),
                Err(error) if error.is_cancelled() => return Err(BuildError::Cancelled),
                // The disk is full, or the like: nothing would become better elsewhere.
                Err(CacheError::Store(error)) => {
                    let reason = with_sources(&*error);
                    return Err(BuildError::Host { reason, retryable: false });
                }
                Err(error) => {
                    source.dead.store(!is_about_one_blob(&error), Ordering::Relaxed);
                    with_sources(&error)
                }
            };
            warn(&reason);
        }
        Ok(false)
    }
}

/// Whether other layers may be had from where this one was not.
fn is_about_one_blob(error: &CacheError) -> bool {
    match error {
        CacheError::Registry(error) => matches!(
            **error,
            RegistryError::NotFound { .. }
                | RegistryError::DigestMismatch { .. }
                | RegistryError::Protocol { .. }
        ),
        _ => true,
    }
}

/// Whether a blob of the store is the layer that it is said to be. Remembered, for it costs reading all of it.
async fn suits(
    layer: &ImportedLayer,
    diff_id: &Digest,
    puller: &Puller,
    records: &Records,
) -> Result<bool, BuildError> {
    let (records, cancel) = (records.clone(), puller.cx.cancel_token());
    let known = RecordedLayer { blob: layer.blob.clone(), diff_id: diff_id.clone() };
    let check = move || {
        let RecordedLayer { blob, diff_id } = &known;
        let key = Key::new("suits").field(blob.digest.as_str()).field(diff_id.as_str());
        let key = key.field(&blob.media_type).end();
        if records.own(&key).is_some_and(|record| record.layer.as_ref() == Some(&known)) {
            return Ok(true);
        }
        let suits = super::suits::suits(&records.store, blob, diff_id, &cancel)?;
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        if suits {
            let created = String::new();
            let record =
                Record { layer: Some(known.clone()), created, build: records.build.clone(), imported: false };
            records.remember(&key, &record)?;
        }
        Ok(suits)
    };
    blocking(check).await.map_err(|error| error.of("an imported layer"))
}

/// What the steps of a build led to, for a cache elsewhere. The layers of `chain` are those of the image.
pub(super) fn noted(records: &Records, chain: &Chain) -> Steps {
    let in_image = |layer: &RecordedLayer| {
        let own = |known: &&ChainLayer| !matches!(known.origin, LayerOrigin::Base(_));
        chain
            .layers()
            .iter()
            .filter(own)
            .any(|known| known.blob.digest == layer.blob.digest && known.diff_id == layer.diff_id)
    };
    let step = |(key, record): (Digest, Record)| {
        let layer = record.layer.map(|layer| cache::KnownLayer {
            kept: in_image(&layer),
            blob: layer.blob,
            diff_id: layer.diff_id,
        });
        (key, KnownStep { created: record.created, layer })
    };
    records.notes().into_iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{cache::KnownLayer, oci::digest_of};

    fn step(kind: &str, kept: bool) -> KnownStep {
        let blob = Descriptor {
            media_type: format!("application/vnd.oci.image.layer.v1.tar{kind}"),
            digest: digest_of(b"blob"),
            size: 4,
            annotations: BTreeMap::new(),
        };
        let layer = KnownLayer { blob, diff_id: digest_of(b"archive"), kept };
        KnownStep { created: "2026-01-02T03:04:05Z".into(), layer: Some(layer) }
    }

    fn document(steps: &[(&str, KnownStep)]) -> Steps {
        steps.iter().map(|(key, step)| (digest_of(key.as_bytes()), step.clone())).collect()
    }

    #[test]
    fn what_is_not_to_be_had_is_forgotten_and_nothing_else() {
        let mut imports = Imports::default();
        imports.add(document(&[("one", step("", false))]), &LayerSource::Registry("a.io/b".into()));
        let second =
            document(&[("one", step("+zstd", true)), ("two", step("", true)), ("3", step("+gzip", true))]);
        imports.add(second, &LayerSource::Layout("/cache".into()));
        let recalled = |imports: &Imports, key: &str| {
            let found = imports.recall(&digest_of(key.as_bytes()), &BuildId::generate())?;
            found.layer.map(|layer| layer.blob.media_type.rsplit('.').next().unwrap_or_default().to_owned())
        };
        // What the first says counts; where its layer is not, that of the second is the same.
        assert_eq!(recalled(&imports, "one").as_deref(), Some("tar"));
        let KnownStep { layer: Some(layer), .. } = step("", false) else { panic!("no layer") };
        let one = &imports.layers[&LayerId::new(&layer.blob, &layer.diff_id)];
        assert_eq!(one.places, [1]);
        // What is said of one blob in another way is another layer, which has to be looked at by itself.
        assert_eq!(imports.layers.len(), 3);
        one.usable.set(false).expect("not known yet");
        let left = ["one", "two", "3", "4"].map(|key| recalled(&imports, key));
        assert_eq!(left, [None, None, Some("tar+gzip".to_owned()), None]);
    }
}
