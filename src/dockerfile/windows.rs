//! Paths as Dockerfiles write them for Windows images.
//!
//! Source: BuildKit, `util/system/path.go` (`NormalizePath`, `CheckSystemDriveAndRemoveDriveLetter`).

/// The command that runs a shell form on Windows where SHELL says nothing else.
///
/// Source: BuildKit, `frontend/dockerfile/dockerfile2llb/defaultshell.go`.
pub const WINDOWS_SHELL: [&str; 3] = ["cmd", "/S", "/C"];

/// Why a text is no path of a Windows image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowsPathError {
    /// A drive and nothing on it.
    #[error("{0:?} names a drive and nothing on it: its root is C:\\")]
    DriveAlone(String),
    /// A drive that images do not have.
    #[error("{0:?} is not on drive C:, the only one that an image has")]
    OtherDrive(String),
    /// A path of the network or of the system's own.
    #[error(
        "{0:?} begins with two slashes, as paths of networks and devices do: write C:\\ and what follows"
    )]
    Network(String),
    /// A colon that belongs to no drive.
    #[error("{0:?} has a colon that belongs to no drive: on Windows it would name a stream of a file")]
    Stream(String),
}

/// A path with slashes and without its drive: `C:\app\` is `/app/`. A path that is relative stays so, and `C:app` is
/// `app`, since nobody knows a current directory of the drive.
pub fn windows_path(text: &str) -> Result<String, WindowsPathError> {
    let slashed = text.replace('\\', "/");
    if slashed.starts_with("//") {
        return Err(WindowsPathError::Network(text.to_owned()));
    }
    let Some((drive, path)) = slashed.split_once(':') else { return Ok(slashed) };
    if path.contains(':') || drive.chars().count() != 1 || !drive.chars().all(char::is_alphabetic) {
        return Err(WindowsPathError::Stream(text.to_owned()));
    }
    if !drive.eq_ignore_ascii_case("c") {
        return Err(WindowsPathError::OtherDrive(text.to_owned()));
    }
    match path {
        "" => Err(WindowsPathError::DriveAlone(text.to_owned())),
        path if path.starts_with("//") => Err(WindowsPathError::Network(text.to_owned())),
        path => Ok(path.to_owned()),
    }
}

/// An absolute path with slashes as the config of a Windows image writes it: `\app`.
pub fn windows_workdir(path: &str) -> String {
    path.replace('/', "\\")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_lose_their_drive_and_keep_what_they_mean() {
        for (text, path) in [
            (r"C:\app", "/app"),
            (r"c:\app\", "/app/"),
            ("C:/app/x.exe", "/app/x.exe"),
            (r"\app\..\x", "/app/../x"),
            (r"app\bin", "app/bin"),
            ("C:app", "app"),
            (r"C:\", "/"),
            ("/", "/"),
            (".", "."),
            (r".\x", "./x"),
            (r"C:\Program Files\x", "/Program Files/x"),
        ] {
            assert_eq!(windows_path(text).as_deref(), Ok(path), "{text}");
        }
    }

    #[test]
    fn paths_that_no_image_has_are_refused_with_the_reason() {
        for (text, reason) in [
            ("C:", "names a drive and nothing on it"),
            (r"D:\data", "is not on drive C:"),
            ("d:x", "is not on drive C:"),
            (r"\\server\share", "begins with two slashes"),
            (r"\\?\C:\x", "begins with two slashes"),
            (r"//./pipe/x", "begins with two slashes"),
            (r"C:\\server", "begins with two slashes"),
            (r"C:\x.txt:stream", "has a colon that belongs to no drive"),
            ("x.txt:stream", "has a colon that belongs to no drive"),
            ("cc:/x", "has a colon that belongs to no drive"),
            (":/x", "has a colon that belongs to no drive"),
        ] {
            let error = windows_path(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_path_keeps_a_drive_a_stream_or_a_network(text in r"[cCdD:/\\.?a ]{0,12}") {
            if let Ok(path) = windows_path(&text) {
                prop_assert!(!path.contains([':', '\\']) && !path.starts_with("//"), "{}", path);
            }
        }
    }
}
