//! What members of layers for Windows mean in the file system of the image.

/// A path below `Files/`; absent for whatever else a layer holds, and for further streams of files.
pub(crate) fn file_of(path: &[u8]) -> Option<Vec<u8>> {
    let slash = path.iter().position(|byte| *byte == b'/')?;
    let (top, rest) = (&path[..slash], &path[slash + 1..]);
    let is_file = top.eq_ignore_ascii_case(b"Files") && !rest.contains(&b':');
    is_file.then(|| rest.to_vec())
}

/// Where a link of Windows leads, with slashes: `\\??\C:\x` is `/x`.
pub(crate) fn target_of(target: &[u8]) -> Vec<u8> {
    let slashed: Vec<u8> = target.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
    let device = [b"/??/".as_slice(), b"//?/"].iter().find_map(|prefix| slashed.strip_prefix(*prefix));
    let path = device.unwrap_or(&slashed);
    match path {
        [drive, b':', rest @ ..] if drive.is_ascii_alphabetic() => rest.to_vec(),
        path => path.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_windows_lead_where_windows_would_go() {
        for (target, led_to) in [
            (r"C:\ProgramData", "/ProgramData"),
            (r"\??\C:\ProgramData", "/ProgramData"),
            (r"\\?\c:\Users\x", "/Users/x"),
            (r"..\Public", "../Public"),
            ("Public", "Public"),
        ] {
            assert_eq!(target_of(target.as_bytes()), led_to.as_bytes(), "{target}");
        }
    }

    #[test]
    fn only_files_count_and_not_their_further_streams() {
        for (path, found) in [
            ("Files/a/b", Some("a/b")),
            ("files/a", Some("a")),
            ("Files", None),
            ("Hives/System_Delta", None),
            ("UtilityVM/Files/x", None),
            ("Files/a:Zone.Identifier", None),
        ] {
            assert_eq!(file_of(path.as_bytes()), found.map(|found| found.as_bytes().to_vec()), "{path}");
        }
    }
}
