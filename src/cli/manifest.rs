//! `polyarch manifest`: manifest lists of the store, whoever built their images.

use std::path::PathBuf;

use polyarch_actors::Descriptor;

use super::{
    args::{EntryArgs, ManifestCommand},
    images::{Transfer, open, push},
    options,
    report::Failure,
    run::print,
};
use crate::{
    Error,
    images::{EntryChanges, ImageSource, named_index, quick},
    oci::Reference,
    registry::RetryLimits,
};

pub(super) async fn run(store: Option<PathBuf>, command: ManifestCommand) -> Result<(), Failure> {
    match command {
        ManifestCommand::Create { list, images, registry } => {
            let sources: Vec<ImageSource> =
                images.iter().map(|image| source(image)).collect::<Result<_, _>>()?;
            let (images, transfer) = (open(store, Some(&registry))?, Transfer::begin());
            let created = async {
                images.check_sources(&sources, &transfer.cx(quick())).await?;
                images.create_index(&list, &sources, &transfer.cx(RetryLimits::default())).await
            };
            print_digest(&created.await.map_err(|error: Error| transfer.interrupted(error.into()))?)
        }
        ManifestCommand::Add { list, image, changes, registry } => {
            let (source, changes) = (source(&image)?, changes.read()?);
            let (images, transfer) = (open(store, Some(&registry))?, Transfer::begin());
            let added = async {
                images.check_sources(std::slice::from_ref(&source), &transfer.cx(quick())).await?;
                images.add_to_index(&list, &source, &changes, &transfer.cx(RetryLimits::default())).await
            };
            print_digest(&added.await.map_err(|error: Error| transfer.interrupted(error.into()))?)
        }
        ManifestCommand::Annotate { list, image, changes } => {
            print_digest(&open(store, None)?.annotate_entry(&list, &image, &changes.read()?)?)
        }
        ManifestCommand::Inspect { list } => {
            let images = open(store, None)?;
            let bytes = images.store().read_document(&named_index(images.store(), &list)?)?;
            let document: serde_json::Value =
                serde_json::from_slice(&bytes).map_err(|error| Failure::host(error.to_string()))?;
            print(&format!("{document:#}\n"))
        }
        ManifestCommand::Push(args) => push(store, args).await,
        ManifestCommand::Rm { lists } => {
            let images = open(store, None)?;
            lists.iter().try_for_each(|list| Ok(images.remove(list)?))
        }
    }
}

/// An image as it is named on the command line.
fn source(text: &str) -> Result<ImageSource, Failure> {
    let read = |name: &str| name.parse::<Reference>().map_err(|error| Failure::usage(error.to_string()));
    match text.split_once("://") {
        None => read(text).map(ImageSource::Anywhere),
        Some(("docker", name)) => read(name).map(ImageSource::Registry),
        Some((scheme, _)) => {
            Err(Failure::usage(format!("{scheme}:// is not supported (a name, or docker://NAME)")))
        }
    }
}

fn print_digest(descriptor: &Descriptor) -> Result<(), Failure> {
    print(&format!("{}\n", descriptor.digest))
}

impl EntryArgs {
    fn read(self) -> Result<EntryChanges, Failure> {
        Ok(EntryChanges {
            annotations: options::pairs("annotation", &self.annotations).map_err(Failure::usage)?,
            arch: self.arch,
            os: self.os,
            variant: self.variant,
            os_version: self.os_version,
        })
    }
}
