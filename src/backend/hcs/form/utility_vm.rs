//! The system that a container's virtual machine begins with, from one layer to the next.
//!
//! Source: hcsshim, `internal/wclayer/legacy.go` (`cloneTree`, `mutatedUtilityVMFiles`).

use std::{fs, io, path::Path};

use crate::backend::hcs::{api::HcsApi, error::HcsError};

/// The folder of it in a layer.
const FOLDER: &str = "UtilityVM";
/// What the machine itself changes, below `Files`, so that no layer shares it with another.
const CHANGED: [&str; 4] = ["BCD", "BCD.LOG", "BCD.LOG1", "BCD.LOG2"];
/// Where that is.
const BOOT: [&str; 4] = ["Files", "EFI", "Microsoft", "Boot"];

/// Why it cannot be cloned.
#[derive(Debug)]
pub(super) enum CloneError {
    /// Windows refused.
    Call(HcsError),
    /// The file system did.
    Io(io::Error),
}

impl From<HcsError> for CloneError {
    fn from(error: HcsError) -> Self {
        Self::Call(error)
    }
}

impl From<io::Error> for CloneError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Makes the folder of one layer in another: files as further names of the same files.
pub(super) fn clone<A: HcsApi + ?Sized>(api: &A, from: &Path, to: &Path) -> Result<(), CloneError> {
    let mut left = vec![(from.join(FOLDER), to.join(FOLDER), Vec::<String>::new())];
    while let Some((from, to, names)) = left.pop() {
        if fs::symlink_metadata(&from)?.is_dir() {
            copy(api, &from, &to)?;
            for entry in fs::read_dir(&from)? {
                let name = entry?.file_name();
                let below = names.iter().cloned().chain([name.to_string_lossy().into_owned()]).collect();
                left.push((from.join(&name), to.join(&name), below));
            }
        } else if is_changed(&names) {
            copy(api, &from, &to)?;
        } else {
            fs::hard_link(&from, &to)?;
        }
    }
    Ok(())
}

fn copy<A: HcsApi + ?Sized>(api: &A, from: &Path, to: &Path) -> Result<(), HcsError> {
    let (attributes, mut stream) = api.read_backup(from)?;
    api.write_backup(to, &attributes, &mut *stream)
}

fn is_changed(names: &[String]) -> bool {
    let Some((last, folder)) = names.split_last() else { return false };
    let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
    folder.len() == BOOT.len()
        && folder.iter().zip(BOOT).all(|(name, known)| same(name, known))
        && CHANGED.iter().any(|known| same(known, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_machine_itself_changes_is_copied() {
        for (path, found) in [
            ("Files/EFI/Microsoft/Boot/BCD", true),
            ("files/efi/microsoft/boot/bcd.log2", true),
            ("Files/EFI/Microsoft/Boot/bootmgfw.efi", false),
            ("Files/Windows/BCD", false),
            ("", false),
        ] {
            let names: Vec<String> = path.split('/').map(str::to_owned).collect();
            assert_eq!(is_changed(&names), found, "{path}");
        }
    }
}
