//! Writes one output.

use std::{collections::HashMap, path::PathBuf};

use polyarch_actors::{BuiltImage, Descriptor, Platform};
use tokio_util::sync::CancellationToken;

use super::{
    destination, docker,
    error::OutputError,
    kind::{Destination, Output},
    load::Loader,
    local,
    rootfs::{Kind, RootFs},
    tar,
};
use crate::{
    attest::Statement,
    oci::{Reference, Store, layout},
};

/// What an output is written from.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) store: Store,
    /// The platforms, in the order of the index.
    pub(crate) images: Vec<BuiltImage>,
    pub(crate) index: Descriptor,
    /// What the image is called.
    pub(crate) names: Vec<Reference>,
    /// `SOURCE_DATE_EPOCH`, which files that go out get as their times.
    pub(crate) epoch: Option<i64>,
    /// What is said about each platform, for outputs of files.
    pub(crate) statements: Vec<Vec<Statement>>,
    pub(crate) cancel: CancellationToken,
}

/// What became of an output.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The file or folder; absent for standard output.
    pub(crate) path: Option<PathBuf>,
    /// Where it went, in a person's words.
    pub(crate) place: String,
    /// What a person should know.
    pub(crate) warning: Option<String>,
}

/// How root file systems are written.
#[derive(Debug)]
pub(super) struct Roots<'r> {
    /// Whether each has a folder of its own.
    pub(super) split: bool,
    /// The time of every file, if it is not its own.
    pub(super) epoch: Option<i64>,
    /// What is said about each, in their order; none at all where nothing is said.
    pub(super) statements: &'r [Vec<Statement>],
}

impl Writer {
    /// Writes an output; it blocks. Absent where the output is no file.
    pub(crate) fn write(&self, output: &Output) -> Result<Option<Written>, OutputError> {
        let path = output.path().cloned();
        let place = path.as_ref().map_or_else(|| "standard output".into(), |path| path.display().to_string());
        let mut written = Written { path, place, warning: None };
        match output {
            Output::Image { .. } => return Ok(None),
            Output::Local { folder, split } => {
                let devices =
                    local::write(&self.store, &self.images, &self.roots(*split), folder, &self.cancel)?;
                if devices > 0 {
                    let folder = folder.display();
                    written.warning = Some(format!(
                        "{devices} devices of the image are not in {folder}: type=tar keeps them"
                    ));
                }
            }
            Output::Tar { to, split } => destination::write(to, |out| {
                tar::write(&self.store, &self.images, &self.roots(*split), out, &self.cancel)
            })?,
            Output::OciArchive { to, .. } => self.layout(to)?,
            Output::Docker { to, .. } => self.docker(to)?,
            Output::Load { .. } => {
                let loader = Loader::find().ok_or(OutputError::NoLoader)?;
                let scratch = self.store.scratch_dir("load")?;
                let archive = scratch.path().join("image.tar");
                self.docker(&Destination::File(archive.clone()))?;
                loader.load(&archive, &self.cancel)?;
                written.place = loader.program().into();
            }
            Output::OciDirectory { folder, .. } => {
                layout::write_directory(&self.store, &self.index, &self.names, folder)?;
            }
        }
        Ok(Some(written))
    }

    fn layout(&self, to: &Destination) -> Result<(), OutputError> {
        destination::write(to, |out| Ok(layout::write_archive(&self.store, &self.index, &self.names, out)?))
    }

    fn docker(&self, to: &Destination) -> Result<(), OutputError> {
        destination::write(to, |out| docker::write(&self.store, &self.index, &self.names, out))
    }

    fn roots(&self, split: Option<bool>) -> Roots<'_> {
        let split = split.unwrap_or(self.images.len() > 1);
        Roots { split, epoch: self.epoch, statements: &self.statements }
    }
}

/// The folder of an image among others: `linux_arm_v7`, and `windows_amd64_10.0.20348.1` where only that tells two of
/// Windows apart.
///
/// Source: BuildKit, `exporter/local/export.go`.
pub(super) fn folder_of(image: &BuiltImage, all: &[BuiltImage]) -> String {
    let without_version = |platform: &Platform| {
        let os = platform.os().to_string();
        [os.as_str(), platform.arch()].into_iter().chain(platform.variant()).collect::<Vec<_>>().join("_")
    };
    let name = without_version(&image.platform);
    let is_alone = all.iter().filter(|other| without_version(&other.platform) == name).count() < 2;
    let version = image.platform.os_version().filter(|_| !is_alone);
    version.map_or_else(|| name.clone(), |version| format!("{name}_{version}"))
}

/// Which platform brought which file, where all go to one folder.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<Vec<u8>, Platform>);

impl Seen {
    pub(super) fn add(&mut self, root: &RootFs, platform: &Platform) -> Result<(), OutputError> {
        for (path, entry) in &root.entries {
            if entry.kind == Kind::Directory {
                continue;
            }
            if let Some(one) = self.0.insert(path.clone(), platform.clone()) {
                let path = String::from_utf8_lossy(path).into_owned();
                return Err(OutputError::Clash { path, one, other: platform.clone() });
            }
        }
        Ok(())
    }
}
