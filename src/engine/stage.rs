//! A stage while it is built: its config, and its layers.

use std::{collections::BTreeMap, sync::Arc};

use polyarch_actors::Platform;

use super::{
    bases::Base,
    chain::{Chain, LayerOrigin},
    config::{COMMENT, History, ImageConfig},
    records::Record,
};

/// A stage.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) config: ImageConfig,
    pub(super) chain: Chain,
    /// What its commands run on.
    pub(super) platform: Platform,
    /// The variables that words see: those of the image, and the arguments.
    pub(super) variables: BTreeMap<String, String>,
    /// Whether CMD was given in this stage, so that ENTRYPOINT keeps it.
    pub(super) has_command: bool,
}

impl Stage {
    /// A stage that begins from nothing.
    pub(super) fn from_scratch(platform: Platform) -> Self {
        Self::new(ImageConfig::from_scratch(), Chain::default(), platform)
    }

    /// A stage that begins from an image.
    pub(super) fn from_base(base: &Arc<Base>, platform: Platform) -> Self {
        let mut chain = Chain::default();
        for (layer, diff_id) in base.layers.iter().zip(&base.config.rootfs.diff_ids) {
            chain.push(layer.clone(), diff_id.clone(), LayerOrigin::Base(Arc::clone(base)));
        }
        Self::new(base.config.clone(), chain, platform)
    }

    /// A stage that goes on where another ended.
    pub(super) fn after(parent: Self) -> Self {
        // Arguments go on too, though no image keeps them.
        let Self { config, chain, platform, variables, .. } = parent;
        Self { config, chain, platform, variables, has_command: false }
    }

    fn new(config: ImageConfig, chain: Chain, platform: Platform) -> Self {
        let variables = config.config.variables();
        Self { config, chain, platform, variables, has_command: false }
    }

    /// Takes over what a step made.
    pub(super) fn add(&mut self, created_by: &str, record: Record) {
        let empty_layer = record.layer.is_none();
        if let Some(layer) = record.layer {
            self.config.rootfs.diff_ids.push(layer.diff_id.clone());
            let origin = if record.imported { LayerOrigin::Imported } else { LayerOrigin::Here };
            self.chain.push(layer.blob, layer.diff_id, origin);
        }
        self.remember(created_by, Some(record.created), empty_layer);
    }

    /// Adds to the image's history. Who gives no time gets that of the whole image.
    pub(super) fn remember(&mut self, created_by: &str, created: Option<String>, empty_layer: bool) {
        self.config.history.push(History {
            created,
            created_by: Some(created_by.to_owned()),
            comment: Some(COMMENT.into()),
            author: None,
            empty_layer,
        });
    }

    /// The directory that relative paths begin in.
    pub(super) fn workdir(&self) -> &str {
        match self.config.config.working_dir.as_str() {
            "" => "/",
            workdir => workdir,
        }
    }
}
