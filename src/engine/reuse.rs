//! Which layer a new one is probably like: the one that the same instruction made the last time.

use std::{fs, io::Write as _, path::PathBuf, sync::Arc};

use polyarch_actors::Digest;

use crate::{
    oci::{
        Store,
        layer::{BlockTable, Compression, Layer, Reusable},
    },
    whole_file::put_in_place,
};

/// Where it is kept, in the store: a small file for each instruction.
const FOLDER: &str = "backends/sandbox/blocks";

/// What an instruction made the last time.
#[derive(Clone, Debug)]
pub(super) struct Reuse {
    path: PathBuf,
}

impl Reuse {
    /// That of the instruction with this key, which must not depend on what is copied.
    pub(super) fn of(store: &Store, instruction: &Digest) -> Self {
        Self { path: store.root().join(FOLDER).join(instruction.hex()) }
    }

    /// Its blocks, if they were compressed in the way that is wanted now and are still there.
    pub(super) fn open(&self, store: &Store, compression: Compression) -> Option<Arc<Reusable>> {
        let bytes = fs::read(&self.path).ok()?;
        let (blob, how, table): (Digest, String, BlockTable) = postcard::from_bytes(&bytes).ok()?;
        let blob = (how == tag(compression)).then(|| store.open_blob(&blob).ok())??;
        Some(Arc::new(Reusable::new(blob, &table)))
    }

    /// Remembers a layer. It is not worth an error, nor a wait for the disk.
    pub(super) fn keep(&self, layer: &Layer, compression: Compression) {
        let write = || {
            let folder = self.path.parent().unwrap_or(&self.path);
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            let known = (&layer.digest, tag(compression), &layer.blocks);
            file.write_all(&postcard::to_stdvec(&known).map_err(std::io::Error::other)?)?;
            put_in_place(file, &self.path)
        };
        if let Err(error) = write() {
            tracing::debug!(%error, file = %self.path.display(), "the blocks of a layer cannot be kept");
        }
    }
}

fn tag(compression: Compression) -> String {
    format!("{compression:?}")
}
