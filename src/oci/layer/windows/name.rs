//! Which names files can have on Windows.
//!
//! Source: Microsoft, "Naming Files, Paths, and Namespaces"
//! (<https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file>).

/// The longest name, in UTF-16 units.
const LONGEST: usize = 255;
/// Names that mean devices in every directory, with any extension.
const DEVICES: [&str; 7] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];

/// Why no file of a Windows image can have this name, one component of a path; `None` where it can.
///
/// What is refused would become another file on Windows than the archive says, a device, or part of a file.
pub(crate) fn unfit(name: &[u8]) -> Option<&'static str> {
    let Ok(text) = std::str::from_utf8(name) else {
        return Some("it is no UTF-8, and names on Windows are Unicode");
    };
    if matches!(text, "" | "." | "..") {
        return Some("it is no plain path from the root of the image");
    }
    if text.contains(':') {
        return Some("on Windows, what follows a colon names a stream of the file and no file");
    }
    if text.contains(|letter: char| r#"<>"|?*\/"#.contains(letter) || letter.is_control()) {
        return Some("names on Windows hold no control characters and none of < > \" | ? * \\");
    }
    if text.ends_with(['.', ' ']) {
        return Some("Windows drops dots and spaces at the end of names, so it would be another file there");
    }
    if is_device(text) {
        return Some("on Windows, this is the name of a device, whatever extension it has");
    }
    if text.encode_utf16().count() > LONGEST {
        return Some("names on Windows have at most 255 characters");
    }
    None
}

/// `NUL`, `nul.txt`, `COM1`, `LPT³`: the name counts up to its first dot, without the spaces before that.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ').to_ascii_uppercase();
    let is_port = |rest: &str| {
        let mut digits = rest.chars();
        digits.next().is_some_and(|digit| digit.is_ascii_digit() || "¹²³".contains(digit))
            && digits.next().is_none()
    };
    DEVICES.contains(&stem.as_str())
        || ["COM", "LPT"].iter().any(|port| stem.strip_prefix(port).is_some_and(is_port))
}
