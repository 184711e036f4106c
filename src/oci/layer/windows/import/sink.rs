//! Whoever puts a layer on a disk.

use std::io::{self, Read};

use super::super::{attributes::FileAttributes, path::LayerPath};

/// What a layer becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The lowest layer of an image: real files, which `ProcessBaseImage` makes a layer of.
    Base,
    /// A layer on others: the form of an export, from which `ImportLayer` makes a layer.
    Diff,
}

/// Where something is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The folder that `ImportLayer` reads.
    Staging,
    /// The folder of the layer itself.
    Layer,
}

/// Whoever puts a layer on a disk. A directory is made before what is in it, and nothing is below what is no
/// directory; but what [`ImportSink::clone_utility_vm`] brought is not known here, so no path is to be followed through
/// a reparse point in [`Place::Layer`].
///
/// Every method blocks. What one of them fails with ends the import.
pub trait ImportSink {
    /// Makes a file or directory through `BackupWrite`, and gives it these attributes and times. The stream is to be
    /// read to its end. In the folder of a layer on others, it takes the place of what was cloned there.
    fn restore(
        &mut self,
        place: Place,
        path: &LayerPath,
        attributes: &FileAttributes,
        stream: &mut dyn Read,
    ) -> io::Result<()>;

    /// Makes an ordinary directory in the staging folder.
    fn directory(&mut self, path: &LayerPath) -> io::Result<()>;

    /// Makes an ordinary file in the staging folder, with the times of `times` and no attributes. `content` is to be
    /// read to its end.
    fn plain(&mut self, path: &LayerPath, times: &FileAttributes, content: &mut dyn Read) -> io::Result<()>;

    /// Makes `UtilityVM` with all its files, as the layer right below has it, in the folder of the layer: by hard links
    /// where files are not `BCD` and its logs. Asked at most once, before anything else is made there, and never for a
    /// base.
    fn clone_utility_vm(&mut self) -> io::Result<()>;
}

/// What is to be done after `ImportLayer`, or when all files of a base are there: deletions, then links, then the times
/// of directories, then `ProcessBaseImage` and `ProcessUtilityImage`. All paths are those of the folder of the layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// What is to be removed, with all that is in it; what is not there is gone already.
    pub deletions: Vec<LayerPath>,
    /// Other names of files, in their order. What has the name is removed before.
    pub links: Vec<ImportedLink>,
    /// Directories that get their attributes and times again, those in others first. They may be links: they are not
    /// to be followed.
    pub directories: Vec<(LayerPath, FileAttributes)>,
    /// Whether there is a utility VM that `ProcessUtilityImage` is to make ready.
    pub has_utility_vm: bool,
    /// How many bytes of content the layer has.
    pub bytes: u64,
}

/// Another name of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedLink {
    /// The name.
    pub path: LayerPath,
    /// The name that the file has.
    pub target: LayerPath,
    /// Whether the file is in this layer; otherwise it is in the topmost layer below that has it. Never false in a base.
    pub is_in_layer: bool,
}
