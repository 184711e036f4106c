//! Copies an index or image from one place to another.

use polyarch_actors::{Descriptor, Platform};

use super::{
    error::{IndexError, blocking},
    gather::{Indexes, Purpose},
    location::{Destination, Location},
    merge::{merge, select},
};
use crate::{
    oci::{Reference, index::Index, media_type},
    registry::{PullDepth, TransferCx, pull},
};

/// What a copy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// What it is made of.
    pub source: Descriptor,
    /// What it is: the same, unless only some platforms were wanted.
    pub root: Descriptor,
}

impl Indexes {
    /// Copies something byte for byte, with all that it leads to. With `platforms`, the images for these are copied,
    /// what is said about them, and a new index of them.
    pub async fn copy(
        &self,
        source: &Location,
        target: &Destination,
        platforms: &[Platform],
        cx: &TransferCx,
    ) -> Result<Copied, IndexError> {
        let _lease = self.store().lease()?;
        let repositories: Vec<&Reference> = target.registry().into_iter().collect();
        let elsewhere = repositories.is_empty();
        // What is not chosen is not fetched, so it is looked at before.
        let purpose = Purpose { repositories, elsewhere, look: !platforms.is_empty() };
        let gathered = self.gather(source, &purpose, cx).await?;
        let mut root = gathered.root.clone();
        if !platforms.is_empty() {
            let parts = select(
                self.parts(&gathered.root, &source.to_string()).await?,
                platforms,
                &source.to_string(),
            )?;
            if let Some(from) = &gathered.pulled {
                for part in &parts {
                    let image = from.with_digest(part.entry.descriptor.digest.clone());
                    pull(self.client(), self.store(), &image, PullDepth::Everything, cx).await?;
                }
            }
            if media_type::is_index(&root.media_type) {
                let (store, root_digest) = (self.store().clone(), root.digest.clone());
                root = blocking(move || {
                    let mut base = Index::read(&store, &root_digest)?;
                    base.manifests.clear();
                    Ok(merge(base, parts)?.save(&store)?)
                })
                .await?;
            }
        }
        self.put(&root, std::slice::from_ref(target), &gathered.repositories, cx).await?;
        Ok(Copied { source: gathered.root, root })
    }
}
