//! A stage while it is built: its config, and its layers.

use std::sync::Arc;

use polyarch_actors::{ImageOs, Platform};

use super::{
    bases::Base,
    chain::{Chain, LayerOrigin},
    config::{COMMENT, History, ImageConfig},
    error::EngineError,
    records::Record,
    windows,
};
use crate::{
    context::RelPath,
    dockerfile::{Variables, windows_path},
};

/// A stage.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) config: ImageConfig,
    pub(super) chain: Chain,
    /// What its commands run on.
    pub(super) platform: Platform,
    /// The variables that words see: those of the image, and the arguments.
    pub(super) variables: Variables,
    /// Whether CMD was given in this stage, so that ENTRYPOINT keeps it.
    pub(super) has_command: bool,
}

impl Stage {
    /// A stage that begins from nothing.
    pub(super) fn from_scratch(platform: Platform) -> Self {
        Self::new(ImageConfig::from_scratch(platform.os()), Chain::of(platform.os()), platform)
    }

    /// A stage that begins from an image.
    pub(super) fn from_base(base: &Arc<Base>, platform: Platform) -> Self {
        let mut chain = Chain::of(platform.os());
        for (layer, diff_id) in base.layers.iter().zip(&base.config.rootfs.diff_ids) {
            chain.push(layer.descriptor.clone(), diff_id.clone(), LayerOrigin::Base(Arc::clone(base)));
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
        let variables = config.config.variables(platform.os());
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

    /// The directory that relative paths begin in, with slashes.
    pub(super) fn workdir(&self) -> String {
        let workdir = self.path(&self.config.config.working_dir).unwrap_or_default();
        if workdir.starts_with('/') { workdir } else { format!("/{workdir}") }
    }

    /// A path of an instruction with slashes and without a drive, whatever the image is for.
    pub(super) fn path(&self, text: &str) -> Result<String, EngineError> {
        match self.platform.os() {
            ImageOs::Linux => Ok(text.to_owned()),
            ImageOs::Windows => windows_path(text).map_err(|error| EngineError::Invalid(error.to_string())),
        }
    }

    /// The layers that a step looks at which puts something at `path`. Bases of Windows are large, and what Dockerfiles
    /// put into them mostly goes where they have nothing, so they are only looked at for what belongs to Windows.
    pub(super) fn ground(&self, path: &RelPath) -> Chain {
        match self.platform.os() {
            ImageOs::Windows if !windows::is_of_system(path) => self.chain.without_base(),
            _ => self.chain.clone(),
        }
    }
}
