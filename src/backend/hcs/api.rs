//! What is asked of the Host Compute Service of Windows: one method a call, so that whoever answers can be exchanged.
//!
//! Every method blocks, some for minutes; whoever calls them is on a thread that may wait.
//!
//! Sources: Microsoft, "Host Compute System API" (<https://learn.microsoft.com/virtualization/api/hcs/overview>);
//! hcsshim, `internal/wclayer` and `internal/vmcompute`, for what `vmcompute.dll` has and no documentation names.

use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
};

use super::{error::HcsError, guid::Guid, network::HcnApi, version::OsVersion};
pub use crate::oci::layer::windows::attributes::FileAttributes;

/// What a call gives.
pub type HcsResult<T> = Result<T, HcsError>;

/// A layer that is below another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerBelow {
    /// Made of the last component of the path ([`HcsApi::layer_id`]).
    pub id: Guid,
    /// Where it is.
    pub path: PathBuf,
}

/// The calls about layers and compute systems, beside those about networks. Layers below are named topmost first.
pub trait HcsApi: HcnApi {
    /// Whether what is called is there: the libraries, the Windows feature, the rights of this process. Networks are not
    /// asked for, because steps without one need none.
    fn available(&self) -> HcsResult<()>;

    /// The version of this Windows.
    fn host_version(&self) -> HcsResult<OsVersion>;

    /// The id of a layer by the last component of its path (`NameToGuid`).
    fn layer_id(&self, name: &str) -> HcsResult<Guid>;

    /// Makes a folder with the files of a base image a layer (`ProcessBaseImage`).
    fn process_base(&self, layer: &Path) -> HcsResult<()>;

    /// Makes the `UtilityVM` folder of a base layer bootable (`ProcessUtilityImage`).
    fn process_utility_vm(&self, utility_vm: &Path) -> HcsResult<()>;

    /// Makes a layer out of a folder in the form of an export (`ImportLayer`).
    fn import_layer(&self, layer: &Path, staging: &Path, below: &[LayerBelow]) -> HcsResult<()>;

    /// Writes what a layer changes into a folder that does not exist (`ExportLayer`). The layer may be active, but not
    /// prepared.
    fn export_layer(&self, layer: &Path, staging: &Path, below: &[LayerBelow]) -> HcsResult<()>;

    /// Makes a writable layer (`CreateSandboxLayer`).
    fn create_scratch(&self, layer: &Path, below: &[LayerBelow]) -> HcsResult<()>;

    /// Attaches the disk of a layer (`ActivateLayer`).
    fn activate_layer(&self, layer: &Path) -> HcsResult<()>;

    /// Mounts an active layer over those below (`PrepareLayer`).
    fn prepare_layer(&self, layer: &Path, below: &[LayerBelow]) -> HcsResult<()>;

    /// The volume of a prepared layer (`GetLayerMountPath`): `\\?\Volume{…}\`.
    fn mount_path(&self, layer: &Path) -> HcsResult<String>;

    /// Undoes [`prepare_layer`](Self::prepare_layer) (`UnprepareLayer`).
    fn unprepare_layer(&self, layer: &Path) -> HcsResult<()>;

    /// Undoes [`activate_layer`](Self::activate_layer) (`DeactivateLayer`).
    fn deactivate_layer(&self, layer: &Path) -> HcsResult<()>;

    /// Removes a layer with all its files, which no other way can (`DestroyLayer`).
    fn destroy_layer(&self, layer: &Path) -> HcsResult<()>;

    /// Creates a compute system by its document (`HcsCreateComputeSystem`).
    fn create_system(&self, id: &str, document: &str) -> HcsResult<Box<dyn ComputeSystem>>;

    /// Finds a compute system that exists (`HcsOpenComputeSystem`).
    fn open_system(&self, id: &str) -> HcsResult<Box<dyn ComputeSystem>>;

    /// The ids of all compute systems of an owner (`HcsEnumerateComputeSystems`).
    fn systems(&self, owner: &str) -> HcsResult<Vec<String>>;

    /// Makes a file or directory, below an existing directory, out of its attributes and a backup stream
    /// (`BackupWrite`). The stream may be empty.
    fn write_backup(&self, path: &Path, attributes: &FileAttributes, stream: &mut dyn Read) -> HcsResult<()>;

    /// Gives the attributes of a file or directory again, after what is in it has changed them.
    fn set_attributes(&self, path: &Path, attributes: &FileAttributes) -> HcsResult<()>;

    /// Which file a path is a name of (`FILE_ID_INFO`, `FILE_STANDARD_INFO`). Whoever does not know says that it is the
    /// only name: then a file with several names is several files.
    fn identity(&self, _path: &Path) -> HcsResult<FileIdentity> {
        Ok(FileIdentity { id: 0, names: 1 })
    }

    /// The attributes and the backup stream of a file or directory (`BackupRead`).
    fn read_backup(&self, path: &Path) -> HcsResult<(FileAttributes, Box<dyn Read + Send>)>;
}

/// What the names of one file have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    /// The same for all its names. It counts only where there are several.
    pub id: u128,
    /// How many there are.
    pub names: u32,
}

/// A compute system: a container, or a virtual machine with one in it. Dropping it closes the handle.
pub trait ComputeSystem: fmt::Debug + Send + Sync {
    /// Starts it, and waits until it has started (`HcsStartComputeSystem`).
    fn start(&self) -> HcsResult<()>;

    /// Ends it, and waits until it has ended (`HcsTerminateComputeSystem`). One that has ended already is no error.
    fn terminate(&self) -> HcsResult<()>;

    /// Has what is in it write what it has not written yet, ends it, and waits for that, for a minute at most
    /// (`HcsShutDownComputeSystem`). One that has ended already is no error.
    fn shut_down(&self) -> HcsResult<()> {
        self.terminate()
    }

    /// Starts a process in it by its document (`HcsCreateProcess`).
    fn create_process(&self, document: &str) -> HcsResult<StartedProcess>;
}

/// A process that runs, and what it writes.
#[derive(Debug)]
pub struct StartedProcess {
    /// The process.
    pub process: Box<dyn HcsProcess>,
    /// What it writes to its standard output.
    pub stdout: Box<dyn ReadPipe>,
    /// What it writes to its standard error.
    pub stderr: Box<dyn ReadPipe>,
}

/// One end of a pipe.
pub trait ReadPipe: Read + fmt::Debug + Send {}

impl<T: Read + fmt::Debug + Send> ReadPipe for T {}

/// A process in a compute system. Dropping it closes the handle.
pub trait HcsProcess: fmt::Debug + Send + Sync {
    /// Waits until it has ended. Returns its `ProcessStatus` document (`HcsGetProcessInfo`).
    fn wait(&self) -> HcsResult<String>;

    /// Kills it (`HcsTerminateProcess`). One that has ended already is no error.
    fn terminate(&self) -> HcsResult<()>;
}
