//! Root file systems as chains of layers.

use std::{borrow::Cow, sync::Arc};

use polyarch_actors::{Descriptor, Digest, ImageOs};

use super::bases::Base;
use crate::oci::digest_of;

/// A layer of a chain.
#[derive(Clone, Debug)]
pub(super) struct ChainLayer {
    /// The blob, which is in the store unless it comes from elsewhere and was not fetched yet.
    pub(super) blob: Descriptor,
    /// The digest of the archive in it.
    pub(super) diff_id: Digest,
    /// The chain up to and with this layer.
    pub(super) id: Digest,
    pub(super) origin: LayerOrigin,
}

/// Where a layer comes from.
#[derive(Clone, Debug)]
pub(super) enum LayerOrigin {
    /// A step made it here.
    Here,
    /// A base brings it.
    Base(Arc<Base>),
    /// A step made it elsewhere.
    Imported,
}

/// Layers from the bottom up.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    os: ImageOs,
    layers: Vec<ChainLayer>,
    /// Whether there are layers of a base below these that nobody looks at.
    hides_base: bool,
}

impl Chain {
    /// No layer yet, of an image for this system.
    pub(super) fn of(os: ImageOs) -> Self {
        Self { os, ..Self::default() }
    }

    /// What the image is for, which decides how its layers are read.
    pub(super) fn os(&self) -> ImageOs {
        self.os
    }

    /// The layers that steps have made, as if there were no base below them.
    pub(super) fn without_base(&self) -> Self {
        let mut above = Self::of(self.os);
        for layer in &self.layers {
            if let LayerOrigin::Base(_) = layer.origin {
                above.hides_base = true;
            } else {
                above.push(layer.blob.clone(), layer.diff_id.clone(), layer.origin.clone());
            }
        }
        above
    }

    /// Whether there are layers of a base below these that nobody looks at.
    pub(super) fn hides_base(&self) -> bool {
        self.hides_base
    }

    pub(super) fn layers(&self) -> &[ChainLayer] {
        &self.layers
    }

    /// What the chain is known by: two with the same id hold the same files for the same system. No layer at all is one
    /// thing on Linux and another one on Windows, where the next layer has another form.
    pub(super) fn id(&self) -> Cow<'_, str> {
        let top = self.layers.last().map_or("", |layer| layer.id.as_str());
        match self.os {
            ImageOs::Linux => Cow::Borrowed(top),
            ImageOs::Windows => Cow::Owned(format!("windows {top}")),
        }
    }

    /// Adds a layer on top.
    ///
    /// Source: OCI image specification, `config.md`, "Layer ChainID".
    pub(super) fn push(&mut self, blob: Descriptor, diff_id: Digest, origin: LayerOrigin) {
        let id = match self.layers.last() {
            None => diff_id.clone(),
            Some(below) => digest_of(format!("{} {diff_id}", below.id).as_bytes()),
        };
        self.layers.push(ChainLayer { blob, diff_id, id, origin });
    }

    /// The bases whose layers are in it.
    pub(super) fn bases(&self) -> Vec<Arc<Base>> {
        let mut bases: Vec<Arc<Base>> = Vec::new();
        for layer in &self.layers {
            let LayerOrigin::Base(base) = &layer.origin else { continue };
            if !bases.iter().any(|known| Arc::ptr_eq(known, base)) {
                bases.push(Arc::clone(base));
            }
        }
        bases
    }
}
