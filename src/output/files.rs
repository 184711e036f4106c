//! A few files of an image, without the rest.

use std::io::Read;

use polyarch_actors::BuiltImage;
use tokio_util::sync::CancellationToken;

use super::{contents::Contents, error::OutputError, layers::layers, rootfs::RootFs};
use crate::oci::Store;

/// How many layers of an image are not in the store: those that registries may not keep.
pub(crate) fn absent_layers(store: &Store, image: &BuiltImage) -> Result<usize, OutputError> {
    Ok(layers(store, &image.manifest.digest)?.iter().filter(|layer| !store.contains(layer)).count())
}

/// Gives the files of an image whose paths `wanted` likes, each with its length in bytes and its bytes, as they are once
/// all layers are applied. Paths begin without a slash. What `take` leaves of a file is skipped.
pub(crate) fn read_files(
    store: &Store,
    image: &BuiltImage,
    cancel: &CancellationToken,
    wanted: impl Fn(&[u8]) -> bool,
    mut take: impl FnMut(&[u8], u64, &mut dyn Read) -> Result<(), OutputError>,
) -> Result<(), OutputError> {
    let mut root = RootFs::read(store, image, cancel)?;
    root.entries.retain(|path, _| wanted(path));
    Contents::of(&root).each(store, cancel, |path, entry, bytes| take(path, entry.size(), bytes))
}
