//! What `vmcompute.dll` exports about layers.
//!
//! JUSTIFICATION: callers come from elsewhere, with pointers.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::path::Path;

use windows_sys::core::GUID;

use crate::{
    failure::{Failure, INVALID_ARGUMENT, Outcome, result},
    layers::Below,
    text,
    world::{World, call, guid, id_of},
};

/// Which kind of storage layers are in, and in which folder.
#[repr(C)]
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

/// # Safety
/// The name must be null or end with a zero, and the place must be valid.
#[unsafe(no_mangle)]
unsafe extern "system" fn NameToGuid(name: *const u16, place: *mut GUID) -> i32 {
    // SAFETY: As is asked of the caller.
    result(unsafe { text::read(name) }.and_then(|name| {
        if name.is_empty() || place.is_null() {
            return Err(Failure::new(INVALID_ARGUMENT, "there is no name"));
        }
        let id = call("NameToGuid", &name, |_| Ok(id_of(&name)))?;
        // SAFETY: As is asked of the caller.
        unsafe { *place = GUID::from_u128(id) };
        Ok(())
    }))
}

/// # Safety
/// The path must be null or end with a zero.
#[unsafe(no_mangle)]
unsafe extern "system" fn ProcessBaseImage(path: *const u16) -> i32 {
    // SAFETY: As is asked of the caller.
    result(
        unsafe { text::read(path) }
            .and_then(|path| call("ProcessBaseImage", &path, |world| world.process_base(Path::new(&path)))),
    )
}

/// # Safety
/// The path must be null or end with a zero.
#[unsafe(no_mangle)]
unsafe extern "system" fn ProcessUtilityImage(path: *const u16) -> i32 {
    // SAFETY: As is asked of the caller.
    result(
        unsafe { text::read(path) }.and_then(|path| {
            call("ProcessUtilityImage", &path, |_| World::process_utility_vm(Path::new(&path)))
        }),
    )
}

/// # Safety
/// Every text must be null or end with a zero, and the count must be that of the descriptors.
#[unsafe(no_mangle)]
unsafe extern "system" fn ImportLayer(
    driver: *const Driver,
    layer: *const u16,
    from: *const u16,
    below: *const Descriptor,
    count: usize,
) -> i32 {
    // SAFETY: As is asked of the caller.
    let given = unsafe { (text::read(from), described(below, count)) };
    // SAFETY: As above.
    result(unsafe {
        on("ImportLayer", driver, layer, |world, layer| world.import(layer, Path::new(&given.0?), &given.1?))
    })
}

/// # Safety
/// As [`ImportLayer`].
#[unsafe(no_mangle)]
unsafe extern "system" fn ExportLayer(
    driver: *const Driver,
    layer: *const u16,
    to: *const u16,
    below: *const Descriptor,
    count: usize,
) -> i32 {
    // SAFETY: As is asked of the caller.
    let given = unsafe { (text::read(to), described(below, count)) };
    // SAFETY: As above.
    result(unsafe {
        on("ExportLayer", driver, layer, |world, layer| world.export(layer, Path::new(&given.0?), &given.1?))
    })
}

/// # Safety
/// As [`ImportLayer`].
#[unsafe(no_mangle)]
unsafe extern "system" fn CreateSandboxLayer(
    driver: *const Driver,
    layer: *const u16,
    parent: usize,
    below: *const Descriptor,
    count: usize,
) -> i32 {
    if parent != 0 {
        return INVALID_ARGUMENT.cast_signed();
    }
    // SAFETY: As is asked of the caller.
    let below = unsafe { described(below, count) };
    // SAFETY: As above.
    result(unsafe {
        on("CreateSandboxLayer", driver, layer, |world, layer| world.create_scratch(layer, &below?))
    })
}

/// # Safety
/// As [`ImportLayer`].
#[unsafe(no_mangle)]
unsafe extern "system" fn ActivateLayer(driver: *const Driver, layer: *const u16) -> i32 {
    // SAFETY: As is asked of the caller.
    result(unsafe { on("ActivateLayer", driver, layer, World::activate) })
}

/// # Safety
/// As [`ImportLayer`].
#[unsafe(no_mangle)]
unsafe extern "system" fn PrepareLayer(
    driver: *const Driver,
    layer: *const u16,
    below: *const Descriptor,
    count: usize,
) -> i32 {
    // SAFETY: As is asked of the caller.
    let below = unsafe { described(below, count) };
    // SAFETY: As above.
    result(unsafe { on("PrepareLayer", driver, layer, |world, layer| world.prepare(layer, &below?)) })
}

/// # Safety
/// As [`ImportLayer`]; the length must be that of the place, if there is one.
#[unsafe(no_mangle)]
unsafe extern "system" fn GetLayerMountPath(
    driver: *const Driver,
    layer: *const u16,
    length: *mut usize,
    place: *mut u16,
) -> i32 {
    // SAFETY: As is asked of the caller.
    let path = unsafe { on("GetLayerMountPath", driver, layer, World::mount_path) };
    result(path.and_then(|path| {
        if length.is_null() {
            return Err(Failure::new(INVALID_ARGUMENT, "there is no length"));
        }
        let units = text::wide(&path);
        // SAFETY: As is asked of the caller; no more is written than the caller has place for.
        unsafe {
            if !place.is_null() {
                if *length < units.len() {
                    return Err(Failure::new(0x8007_007A, "there is not place enough"));
                }
                place.copy_from_nonoverlapping(units.as_ptr(), units.len());
            }
            *length = units.len();
        }
        Ok(())
    }))
}

/// # Safety
/// As [`ImportLayer`].
#[unsafe(no_mangle)]
unsafe extern "system" fn UnprepareLayer(driver: *const Driver, layer: *const u16) -> i32 {
    // SAFETY: As is asked of the caller.
    result(unsafe { on("UnprepareLayer", driver, layer, World::unprepare) })
}

/// # Safety
/// As [`ImportLayer`].
#[unsafe(no_mangle)]
unsafe extern "system" fn DeactivateLayer(driver: *const Driver, layer: *const u16) -> i32 {
    // SAFETY: As is asked of the caller.
    result(unsafe { on("DeactivateLayer", driver, layer, World::deactivate) })
}

/// # Safety
/// As [`ImportLayer`].
#[unsafe(no_mangle)]
unsafe extern "system" fn DestroyLayer(driver: *const Driver, layer: *const u16) -> i32 {
    // SAFETY: As is asked of the caller.
    result(unsafe { on("DestroyLayer", driver, layer, World::destroy) })
}

/// Does a call about a layer.
unsafe fn on<T>(
    name: &str,
    driver: *const Driver,
    layer: *const u16,
    body: impl FnOnce(&mut World, &Path) -> Outcome<T>,
) -> Outcome<T> {
    // SAFETY: As is asked of whoever calls this.
    let (driver, layer) = unsafe { (driver.as_ref(), text::read(layer)?) };
    // SAFETY: As above.
    let home = driver.and_then(|driver| unsafe { text::read_if_any(driver.home) });
    if driver.is_none_or(|driver| driver.flavour != 1) || home.as_deref() != Some("") {
        return Err(Failure::new(INVALID_ARGUMENT, "layers are named by whole paths, with a filter"));
    }
    call(name, &layer, |world| body(world, Path::new(&layer)))
}

/// Reads descriptors.
unsafe fn described(below: *const Descriptor, count: usize) -> Outcome<Vec<Below>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if below.is_null() {
        return Err(Failure::new(INVALID_ARGUMENT, "there are no descriptors"));
    }
    // SAFETY: As is asked of whoever calls this.
    let below = unsafe { std::slice::from_raw_parts(below, count) };
    below
        .iter()
        .map(|layer| {
            if layer.flags != 0 {
                return Err(Failure::new(INVALID_ARGUMENT, "nobody knows these flags"));
            }
            let id = guid(&layer.id);
            // SAFETY: As above.
            Ok(Below { id, path: unsafe { text::read(layer.path) }? })
        })
        .collect()
}
