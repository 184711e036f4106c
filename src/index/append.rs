//! Adds entries to a tag of a registry that others add to at the same time.
//!
//! The distribution specification has no compare-and-swap, so the tag is a place where the last writer wins. Every writer
//! does the same:
//!
//! 1. It reads the tag, merges, and writes the index under its digest.
//! 2. It looks at the tag again. If that has changed it begins again; else it writes the tag at once.
//! 3. It watches the tag for [`Patience::settle`]. If its entries go missing, another writer had looked before and wrote after; it
//!    merges with what is there and begins again, after a random pause.
//!
//! Whoever overwrites somebody has looked at the tag before that write and writes within [`Patience::window`] of the look. That is
//! less than it watches, so the one who was overwritten is still watching, and mends it. What remains is a registry, or a
//! machine that stands still, for which a write arrives more than that after the look. That cannot be prevented, but
//! the writer measures it, and ends with [`IndexError::Late`] instead of success. A writer that is killed in between tells
//! nobody, and programs that do not watch what they wrote (every other tool for manifest lists) may overwrite anybody.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use polyarch_actors::{Descriptor, Digest};

use super::{
    create::{bytes_of, with_annotations},
    error::{IndexError, blocking},
    gather::Indexes,
    merge::merge,
    parts::Part,
};
use crate::{
    oci::{Reference, index::Index},
    registry::{PullDepth, RegistryError, RetryLimits, TransferCx, jitter, pull},
};

/// How long writers wait for each other.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    /// How long a writer watches what it wrote.
    settle: Duration,
    /// The longest from the last look at a tag to the answer that it is written.
    window: Duration,
    /// How often a writer looks while it watches.
    watch: Duration,
    /// The longest pause before the second round; it doubles up to the longest of all.
    pause: Duration,
    /// The longest pause before a round.
    longest_pause: Duration,
    /// How often it is tried.
    rounds: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(5),
            window: Duration::from_secs(4),
            watch: Duration::from_millis(400),
            pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(3),
            rounds: 60,
        }
    }
}

impl Indexes {
    /// Adds parts of the store to what a tag has, and returns what the tag means in the end.
    pub(super) async fn append(
        &self,
        tag: &Reference,
        parts: &[Part],
        annotations: &BTreeMap<String, String>,
        repositories: &[Reference],
        cx: &TransferCx,
    ) -> Result<Descriptor, IndexError> {
        for part in parts {
            let image = &part.entry.descriptor;
            let name = tag.with_digest(image.digest.clone());
            self.images.publish(image, &[name], repositories, cx).await?;
        }
        let Patience { window, pause: first, longest_pause, rounds, .. } = self.patience;
        let mut longest = Duration::ZERO;
        for round in 0..rounds {
            if round > 0 {
                let longest = first.saturating_mul(2_u32.saturating_pow(round)).min(longest_pause);
                pause(longest.mul_f64(jitter()), cx).await?;
            }
            let (base, mut all, found) = self.held(tag, cx).await?;
            all.extend(parts.iter().cloned());
            let index = merge(with_annotations(base, annotations), all)?;
            let bytes = bytes_of(&index)?;
            let digest = crate::oci::digest_of(&bytes);
            if found.as_ref() != Some(&digest) {
                let by_digest = tag.with_digest(digest.clone());
                self.client().push_manifest(&by_digest, &index.media_type, &bytes, cx).await?;
                let looked = Instant::now();
                if self.meaning(tag, cx).await? != found || looked.elapsed() > window / 2 {
                    continue;
                }
                match self.client().push_manifest(tag, &index.media_type, &bytes, &once(cx)).await {
                    Ok(_) => longest = longest.max(looked.elapsed()),
                    // It may have been written or not, which the next look shows.
                    Err(error) if error.retryable() => {
                        longest = longest.max(looked.elapsed());
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            if let Some(root) = self.watched(tag, parts, cx).await? {
                if longest > window {
                    return Err(IndexError::Late { tag: tag.to_string(), took: longest });
                }
                return Ok(root);
            }
        }
        Err(IndexError::Contended { tag: tag.to_string(), rounds })
    }

    /// What a tag has, as something to be added to, and its digest.
    pub(super) async fn held(
        &self,
        tag: &Reference,
        cx: &TransferCx,
    ) -> Result<(Index, Vec<Part>, Option<Digest>), IndexError> {
        let depth = PullDepth::ManifestsAndConfigs;
        let root = match pull(self.client(), self.store(), tag, depth, cx).await {
            Ok(root) => root,
            Err(RegistryError::NotFound { .. }) => return Ok((Index::default(), Vec::new(), None)),
            Err(error) => return Err(error.into()),
        };
        let (this, source) = (self.clone(), tag.to_string());
        let digest = root.digest.clone();
        let (index, parts) = blocking(move || this.base(&root, &source)).await?;
        Ok((index, parts, Some(digest)))
    }

    async fn meaning(&self, tag: &Reference, cx: &TransferCx) -> Result<Option<Digest>, IndexError> {
        match self.client().resolve(tag, cx).await {
            Ok(found) => Ok(Some(found.digest)),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Watches a tag; what it means in the end, or nothing as soon as it lacks one of the parts.
    async fn watched(
        &self,
        tag: &Reference,
        parts: &[Part],
        cx: &TransferCx,
    ) -> Result<Option<Descriptor>, IndexError> {
        let begun = Instant::now();
        let mut known: Option<Descriptor> = None;
        loop {
            let ends = begun.elapsed() >= self.patience.settle;
            let meaning = self.meaning(tag, cx).await?;
            if meaning.is_none() {
                return Ok(None);
            }
            if known.as_ref().map(|known| &known.digest) != meaning.as_ref() {
                let manifest = self.client().manifest(tag, cx).await?;
                let index: Index = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
                let has = |part: &Part| {
                    index
                        .manifests
                        .iter()
                        .any(|entry| entry.descriptor.digest == part.entry.descriptor.digest)
                };
                if !parts.iter().all(has) {
                    return Ok(None);
                }
                known = Some(manifest.descriptor);
            }
            if ends {
                return Ok(known);
            }
            pause(self.patience.watch.mul_f64(0.5 + jitter() / 2.0), cx).await?;
        }
    }
}

async fn pause(time: Duration, cx: &TransferCx) -> Result<(), IndexError> {
    let slept = async {
        tokio::time::sleep(time).await;
        Ok(())
    };
    Ok(cx.until_cancelled(slept).await?)
}

/// A request that is made again later than it was decided would write what is no longer so.
fn once(cx: &TransferCx) -> TransferCx {
    TransferCx::new(cx.cancel_token(), RetryLimits { retries: 0, ..RetryLimits::default() }, |_| {})
}

#[cfg(test)]
#[path = "append_tests.rs"]
mod tests;
