//! Registers an emulator for the programs of another CPU, in a user namespace alone.
//!
//! Since Linux 6.7 each user namespace may have formats of its own, so nothing else on the machine notices.
//!
//! Source: Linux, `Documentation/admin-guide/binfmt-misc.rst`.

use std::{fs, os::unix::ffi::OsStrExt, path::Path};

use nix::mount::{MsFlags, mount};

use crate::{
    machine::binfmt,
    session::{error::Failure, step::Emulator},
};

/// Registers it until this process's namespaces end.
pub(super) fn register(folder: &Path, emulator: &Emulator) -> Result<(), Failure> {
    let refused =
        |reason: String| Failure::Execute { program: emulator.program.display().to_string(), reason };
    let (magic, mask) = binfmt::head(&emulator.architecture)
        .ok_or_else(|| refused(format!("no emulator is known for {}", emulator.architecture)))?;
    let folder = folder.join("binfmt");
    fs::create_dir_all(&folder).map_err(Failure::system("make a directory"))?;
    mount(Some("binfmt_misc"), &folder, Some("binfmt_misc"), MsFlags::empty(), None::<&str>).map_err(|error| {
        refused(format!(
            "its format cannot be registered ({error}): that needs Linux 6.7 or newer. As root, register it for all \
             with the flag F (Debian: apt-get install qemu-user-static binfmt-support)"
        ))
    })?;
    let name = format!("polyarch-{}", emulator.architecture.replace('/', "-"));
    if folder.join(&name).exists() {
        return Ok(());
    }
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("\\x{byte:02x}"));
    let mut line = format!(":{name}:M::{}:{}:", hex(&magic), hex(&mask)).into_bytes();
    line.extend_from_slice(emulator.program.as_os_str().as_bytes());
    line.extend_from_slice(b":F");
    fs::write(folder.join("register"), line)
        .map_err(|error| refused(format!("it cannot be registered: {error}")))
}
