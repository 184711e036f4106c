//! The functions of `vmcompute.dll` about layers, which no documentation names.
//!
//! JUSTIFICATION: the functions take pointers to text and to arrays of structures.
//!
//! Source: hcsshim, `internal/wclayer`, for their names, arguments and structures.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::path::Path;

use windows_sys::core::GUID;

use super::{failure::check, library::functions, text::wide};
use crate::backend::hcs::{Guid, HcsResult, LayerBelow};

functions! {
    /// The functions of `vmcompute.dll` about layers.
    struct Functions {
        c"NameToGuid" fn name_to_guid(name: *const u16, id: *mut GUID) -> i32;
        c"ProcessBaseImage" fn process_base_image(path: *const u16) -> i32;
        c"ProcessUtilityImage" fn process_utility_image(path: *const u16) -> i32;
        c"ImportLayer" fn import_layer(
            driver: *const Driver, layer: *const u16, from: *const u16, below: *const Descriptor, count: usize,
        ) -> i32;
        c"ExportLayer" fn export_layer(
            driver: *const Driver, layer: *const u16, to: *const u16, below: *const Descriptor, count: usize,
        ) -> i32;
        c"CreateSandboxLayer" fn create_sandbox_layer(
            driver: *const Driver, layer: *const u16, parent: usize, below: *const Descriptor, count: usize,
        ) -> i32;
        c"ActivateLayer" fn activate_layer(driver: *const Driver, layer: *const u16) -> i32;
        c"PrepareLayer" fn prepare_layer(
            driver: *const Driver, layer: *const u16, below: *const Descriptor, count: usize,
        ) -> i32;
        c"GetLayerMountPath" fn get_layer_mount_path(
            driver: *const Driver, layer: *const u16, length: *mut usize, path: *mut u16,
        ) -> i32;
        c"UnprepareLayer" fn unprepare_layer(driver: *const Driver, layer: *const u16) -> i32;
        c"DeactivateLayer" fn deactivate_layer(driver: *const Driver, layer: *const u16) -> i32;
        c"DestroyLayer" fn destroy_layer(driver: *const Driver, layer: *const u16) -> i32;
    }
}

/// Which kind of storage layers are in, and in which folder; the folder is empty where layers are named by whole
/// paths.
#[repr(C)]
#[derive(Debug)]
struct Driver {
    flavour: i32,
    home: *const u16,
}

/// A layer below.
#[repr(C)]
struct Descriptor {
    id: GUID,
    flags: u32,
    path: *const u16,
}

/// What a call about layers is given besides its layer: owns every text that it points to.
struct Below {
    /// What the descriptors point into.
    _paths: Vec<Vec<u16>>,
    descriptors: Vec<Descriptor>,
}

impl Below {
    fn new(call: &'static str, below: &[LayerBelow]) -> HcsResult<Self> {
        let paths: Vec<Vec<u16>> =
            below.iter().map(|layer| wide(call, layer.path.as_os_str())).collect::<HcsResult<_>>()?;
        // The paths are on the heap, and stay where they are when the vector of them moves.
        let descriptors = below
            .iter()
            .zip(&paths)
            .map(|(layer, path)| Descriptor { id: to_windows(layer.id), flags: 0, path: path.as_ptr() })
            .collect();
        Ok(Self { _paths: paths, descriptors })
    }
}

/// An empty text with its zero.
static EMPTY: [u16; 1] = [0];

/// The functions about layers.
#[derive(Debug)]
pub(super) struct Layers(Functions);

impl Layers {
    pub(super) const fn new() -> Self {
        Self(Functions::of("vmcompute.dll"))
    }

    pub(super) fn complete(&self) -> HcsResult<()> {
        self.0.complete()
    }

    pub(super) fn id(&self, name: &str) -> HcsResult<Guid> {
        let name = wide("NameToGuid", name.as_ref())?;
        let mut id = GUID::from_u128(0);
        // SAFETY: The name ends with a zero, and there is place for an id.
        let result = unsafe { self.0.name_to_guid(name.as_ptr(), &raw mut id) }?;
        check("NameToGuid", result)?;
        Ok(from_windows(id))
    }

    pub(super) fn process_base(&self, layer: &Path) -> HcsResult<()> {
        let path = wide("ProcessBaseImage", layer.as_os_str())?;
        // SAFETY: The path ends with a zero.
        check("ProcessBaseImage", unsafe { self.0.process_base_image(path.as_ptr()) }?)
    }

    pub(super) fn process_utility_vm(&self, utility_vm: &Path) -> HcsResult<()> {
        let path = wide("ProcessUtilityImage", utility_vm.as_os_str())?;
        // SAFETY: The path ends with a zero.
        check("ProcessUtilityImage", unsafe { self.0.process_utility_image(path.as_ptr()) }?)
    }

    pub(super) fn import(&self, layer: &Path, staging: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        let (driver, layer, below) = given("ImportLayer", layer, below)?;
        let from = wide("ImportLayer", staging.as_os_str())?;
        let Below { descriptors, .. } = &below;
        // SAFETY: All texts end with a zero, the count is that of the descriptors, and all of them live until the
        // call returns.
        let result = unsafe {
            self.0.import_layer(
                &raw const driver,
                layer.as_ptr(),
                from.as_ptr(),
                descriptors.as_ptr(),
                descriptors.len(),
            )
        }?;
        check("ImportLayer", result)
    }

    pub(super) fn export(&self, layer: &Path, staging: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        let (driver, layer, below) = given("ExportLayer", layer, below)?;
        let to = wide("ExportLayer", staging.as_os_str())?;
        let Below { descriptors, .. } = &below;
        // SAFETY: As in `import`.
        let result = unsafe {
            self.0.export_layer(
                &raw const driver,
                layer.as_ptr(),
                to.as_ptr(),
                descriptors.as_ptr(),
                descriptors.len(),
            )
        }?;
        check("ExportLayer", result)
    }

    pub(super) fn create_scratch(&self, layer: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        let (driver, layer, below) = given("CreateSandboxLayer", layer, below)?;
        let Below { descriptors, .. } = &below;
        // SAFETY: As in `import`; the parent is the first of those below, and the argument for it is no longer used.
        let result = unsafe {
            self.0.create_sandbox_layer(
                &raw const driver,
                layer.as_ptr(),
                0,
                descriptors.as_ptr(),
                descriptors.len(),
            )
        }?;
        check("CreateSandboxLayer", result)
    }

    pub(super) fn activate(&self, layer: &Path) -> HcsResult<()> {
        let (driver, layer, _) = given("ActivateLayer", layer, &[])?;
        // SAFETY: The path ends with a zero, and what the driver points to is static.
        check("ActivateLayer", unsafe { self.0.activate_layer(&raw const driver, layer.as_ptr()) }?)
    }

    pub(super) fn prepare(&self, layer: &Path, below: &[LayerBelow]) -> HcsResult<()> {
        let (driver, layer, below) = given("PrepareLayer", layer, below)?;
        let Below { descriptors, .. } = &below;
        // SAFETY: As in `import`.
        let result = unsafe {
            self.0.prepare_layer(&raw const driver, layer.as_ptr(), descriptors.as_ptr(), descriptors.len())
        }?;
        check("PrepareLayer", result)
    }

    pub(super) fn mount_path(&self, layer: &Path) -> HcsResult<String> {
        let (driver, layer, _) = given("GetLayerMountPath", layer, &[])?;
        let mut length = 0;
        // SAFETY: Without a place for the path the call tells its length, with its zero.
        let result = unsafe {
            self.0.get_layer_mount_path(
                &raw const driver,
                layer.as_ptr(),
                &raw mut length,
                std::ptr::null_mut(),
            )
        }?;
        check("GetLayerMountPath", result)?;
        let mut path = vec![0_u16; length];
        // SAFETY: The place has the length that is told.
        let result = unsafe {
            self.0.get_layer_mount_path(&raw const driver, layer.as_ptr(), &raw mut length, path.as_mut_ptr())
        }?;
        check("GetLayerMountPath", result)?;
        let end = path.iter().position(|unit| *unit == 0).unwrap_or(path.len());
        Ok(String::from_utf16_lossy(&path[..end]))
    }

    pub(super) fn unprepare(&self, layer: &Path) -> HcsResult<()> {
        let (driver, layer, _) = given("UnprepareLayer", layer, &[])?;
        // SAFETY: As in `activate`.
        check("UnprepareLayer", unsafe { self.0.unprepare_layer(&raw const driver, layer.as_ptr()) }?)
    }

    pub(super) fn deactivate(&self, layer: &Path) -> HcsResult<()> {
        let (driver, layer, _) = given("DeactivateLayer", layer, &[])?;
        // SAFETY: As in `activate`.
        check("DeactivateLayer", unsafe { self.0.deactivate_layer(&raw const driver, layer.as_ptr()) }?)
    }

    pub(super) fn destroy(&self, layer: &Path) -> HcsResult<()> {
        let (driver, layer, _) = given("DestroyLayer", layer, &[])?;
        // SAFETY: As in `activate`.
        check("DestroyLayer", unsafe { self.0.destroy_layer(&raw const driver, layer.as_ptr()) }?)
    }
}

/// What every call about a layer is given.
fn given(call: &'static str, layer: &Path, below: &[LayerBelow]) -> HcsResult<(Driver, Vec<u16>, Below)> {
    // 1 is the flavour with a file system filter, the only one that Windows still has.
    let driver = Driver { flavour: 1, home: EMPTY.as_ptr() };
    Ok((driver, wide(call, layer.as_os_str())?, Below::new(call, below)?))
}

/// Windows keeps the first three parts of an id as numbers.
pub(super) fn to_windows(id: Guid) -> GUID {
    GUID::from_u128(u128::from_be_bytes(id.0))
}

fn from_windows(id: GUID) -> Guid {
    let GUID { data1, data2, data3, data4 } = id;
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&data1.to_be_bytes());
    bytes[4..6].copy_from_slice(&data2.to_be_bytes());
    bytes[6..8].copy_from_slice(&data3.to_be_bytes());
    bytes[8..].copy_from_slice(&data4);
    Guid(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_there_and_back() {
        let id = Guid([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(to_windows(id).data1, 0x0102_0304);
        assert_eq!(to_windows(id).data4, [9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(from_windows(to_windows(id)), id);
    }
}
