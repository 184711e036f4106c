//! Storing a layer in another way: the same archive, compressed otherwise.

use std::{
    io::{self, Read},
    num::NonZero,
    thread,
};

use tokio_util::sync::CancellationToken;

use super::{compression::Compression, error::LayerError, pipeline::Pipeline, writer::Layer};
use crate::oci::Store;

/// Stores the uncompressed archive `source` as a blob that is compressed in this way, by all CPUs. It blocks.
///
/// # Errors
/// [`LayerError::Read`] with `name` where the source cannot be read.
pub fn store_archive(
    store: &Store,
    mut source: impl Read,
    name: &str,
    compression: Compression,
    cancel: &CancellationToken,
) -> Result<Layer, LayerError> {
    let threads = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
    let mut pipeline = Pipeline::new(store, compression, threads, None)?;
    loop {
        if cancel.is_cancelled() {
            return Err(LayerError::Cancelled);
        }
        match source.read(pipeline.room()) {
            Ok(0) => break,
            Ok(read) => pipeline.advance(read)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(LayerError::Read { name: name.to_owned(), source }),
        }
    }
    Ok(Layer::new(pipeline.finish()?, compression.media_type()))
}
