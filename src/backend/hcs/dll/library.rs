//! Libraries of Windows that are loaded when they are first called, because not every Windows has them.
//!
//! JUSTIFICATION: only the loader of Windows can say where a function is that the linker must not ask for, and only a
//! cast makes an address a function that can be called.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{ffi::CStr, sync::OnceLock};

use windows_sys::Win32::{
    Foundation::{FARPROC, HMODULE},
    System::LibraryLoader::{GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW},
};

use super::{failure, text::wide};
use crate::backend::hcs::{HcsError, HcsResult};

/// What a function is until its type is known.
pub(super) type Address = unsafe extern "system" fn() -> isize;

/// A library in the system's own folder. Once loaded it stays loaded.
#[derive(Debug)]
pub(super) struct Library {
    name: &'static str,
    module: OnceLock<HcsResult<Module>>,
}

#[derive(Clone, Copy, Debug)]
struct Module(HMODULE);

// SAFETY: A module is named by its address, which is the same for all threads, and it is never unloaded.
unsafe impl Send for Module {}
// SAFETY: As above.
unsafe impl Sync for Module {}

impl Library {
    /// The library of this file name. Nothing is loaded yet.
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, module: OnceLock::new() }
    }

    /// Where a function is. A library that is absent is `0x8007007E`, a function that it does not have is
    /// `0x8007007F`.
    pub(super) fn function(&self, call: &'static str, symbol: &CStr) -> HcsResult<Address> {
        let module = self.module.get_or_init(|| self.load()).clone()?;
        // SAFETY: The module is loaded, and the symbol ends with a zero.
        let address: FARPROC = unsafe { GetProcAddress(module.0, symbol.as_ptr().cast()) };
        address.ok_or_else(|| {
            let HcsError { code, .. } = failure::last(call);
            HcsError { call, code, detail: Some(format!("{} does not have this function", self.name)) }
        })
    }

    fn load(&self) -> HcsResult<Module> {
        let name = wide("LoadLibraryExW", self.name.as_ref())?;
        // SAFETY: The name ends with a zero. Only the system's own folder is looked into, so that nobody else's code
        // is started by it.
        let module =
            unsafe { LoadLibraryExW(name.as_ptr(), std::ptr::null_mut(), LOAD_LIBRARY_SEARCH_SYSTEM32) };
        if module.is_null() {
            let HcsError { call, code, .. } = failure::last("LoadLibraryExW");
            return Err(HcsError { call, code, detail: Some(format!("{} cannot be loaded", self.name)) });
        }
        Ok(Module(module))
    }
}

/// Makes a table of the functions of a library, each with the type that its documentation gives it.
macro_rules! functions {
    ($(#[$documentation:meta])* $visibility:vis struct $table:ident {
        $($name:literal fn $method:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)?;)*
    }) => {
        $(#[$documentation])*
        #[derive(Debug)]
        $visibility struct $table($crate::backend::hcs::dll::library::Library);

        impl $table {
            /// The functions in the library of this file name.
            $visibility const fn of(library: &'static str) -> Self {
                Self($crate::backend::hcs::dll::library::Library::new(library))
            }

            /// Whether the library is here and has every one of them.
            $visibility fn complete(&self) -> $crate::backend::hcs::HcsResult<()> {
                $(self.0.function($name.to_str().unwrap_or_default(), $name)?;)*
                Ok(())
            }

            $(
                /// Calls the function of that name.
                $visibility unsafe fn $method(
                    &self, $($argument: $kind),*
                ) -> $crate::backend::hcs::HcsResult<functions!(@result $($result)?)> {
                    type Function = unsafe extern "system" fn($($kind),*) $(-> $result)?;
                    let address = self.0.function($name.to_str().unwrap_or_default(), $name)?;
                    // SAFETY: The type is the one that the function of this name is documented with.
                    let function = unsafe {
                        std::mem::transmute::<$crate::backend::hcs::dll::library::Address, Function>(address)
                    };
                    // SAFETY: Whoever calls this answers for the arguments.
                    Ok(unsafe { function($($argument),*) })
                }
            )*
        }
    };
    (@result) => { () };
    (@result $result:ty) => { $result };
}
pub(super) use functions;

#[cfg(test)]
mod tests {
    use super::Library;

    #[test]
    fn an_absent_library_and_an_absent_function_have_codes_of_their_own() {
        let absent = Library::new("polyarch-has-no-such-library.dll");
        let error = absent.function("Nothing", c"Nothing").expect_err("no library");
        assert_eq!((error.call, error.code), ("LoadLibraryExW", 0x8007_007E));
        assert!(error.detail.is_some_and(|detail| detail.contains("polyarch-has-no-such-library.dll")));

        let present = Library::new("kernel32.dll");
        let error = present.function("NoSuchFunction", c"NoSuchFunction").expect_err("no function");
        assert_eq!((error.call, error.code), ("NoSuchFunction", 0x8007_007F));
        assert!(present.function("GetLastError", c"GetLastError").is_ok());
    }
}
