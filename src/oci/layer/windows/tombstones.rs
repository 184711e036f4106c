//! `tombstones.txt`: what a layer deletes, as Windows exports it.
//!
//! UTF-8 with a mark at its beginning; the first line is `Version 1.0`, and each further one a path from the root of the
//! image with a backslash before each name. Lines end with a line feed, perhaps with a carriage return before it.
//!
//! Source: hcsshim, `internal/wclayer/legacy.go`, `readTombstones`.

use std::io::{self, Read, Write};

use super::path::{LayerPath, UnfitPath};

/// The name of the file, at the top of an export.
pub const TOMBSTONES: &str = "tombstones.txt";

const MARK: &[u8] = b"\xEF\xBB\xBF";
const VERSION: &[u8] = b"Version 1.0";
/// The most bytes of the file: hundreds of thousands of long names.
const MOST: u64 = 64 << 20;

/// What is wrong with a list of deletions.
#[derive(Debug, thiserror::Error)]
pub enum TombstonesError {
    /// It cannot be read.
    #[error("cannot read {TOMBSTONES}")]
    Read(#[from] io::Error),
    /// It is longer than any.
    #[error("{TOMBSTONES} has more than {MOST} bytes")]
    TooLong,
    /// It is of another version, or another file.
    #[error("{TOMBSTONES} does not begin with a mark and \"Version 1.0\"")]
    Version,
    /// A line is no path from the root.
    #[error("line {0} of {TOMBSTONES} does not begin with a backslash")]
    Line(usize),
    /// A path that cannot be.
    #[error("line {line} of {TOMBSTONES}")]
    Path {
        /// Which line it is, from 1 on.
        line: usize,
        /// What is wrong with it.
        source: UnfitPath,
    },
}

/// Reads the paths, from the root of the image. Those in `skipped` directories at the top are left out.
pub fn read_tombstones(file: impl Read, skipped: &[&[u8]]) -> Result<Vec<LayerPath>, TombstonesError> {
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(TombstonesError::TooLong);
    }
    let text = bytes.strip_prefix(MARK).ok_or(TombstonesError::Version)?;
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    if lines.next() != Some(VERSION) {
        return Err(TombstonesError::Version);
    }
    let mut paths = Vec::new();
    for (line, text) in (2..).zip(lines) {
        if text.is_empty() {
            continue;
        }
        let text = text.strip_prefix(b"\\").ok_or(TombstonesError::Line(line))?;
        let top = text.split(|byte| *byte == b'\\').next().unwrap_or(text);
        if skipped.iter().any(|skipped| skipped.eq_ignore_ascii_case(top)) {
            continue;
        }
        // A slash is in no name, but would part two here.
        if text.contains(&b'/') {
            let path = String::from_utf8_lossy(text).into_owned();
            let source = UnfitPath { path, reason: "names on Windows hold no slash" };
            return Err(TombstonesError::Path { line, source });
        }
        let slashed: Vec<u8> = text.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
        let path = LayerPath::parse(&slashed).map_err(|source| TombstonesError::Path { line, source })?;
        paths.push(path);
    }
    Ok(paths)
}

/// Writes paths from the root of the image.
pub fn write_tombstones(paths: &[LayerPath], mut file: impl Write) -> io::Result<()> {
    file.write_all(MARK)?;
    file.write_all(VERSION)?;
    file.write_all(b"\r\n")?;
    for path in paths {
        write!(file, "\\{path}\r\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand.
    const FILE: &[u8] =
        b"\xEF\xBB\xBFVersion 1.0\n\\app\\old.exe\r\n\\$Recycle.Bin\\\xFF\n\\Stra\xC3\x9Fe\n\n";

    #[test]
    fn deletions_are_read_as_windows_writes_them() {
        let paths = read_tombstones(FILE, &[b"$RECYCLE.BIN"]).expect("read");
        assert_eq!(paths.iter().map(LayerPath::as_str).collect::<Vec<_>>(), ["app/old.exe", "Straße"]);
        let mut written = Vec::new();
        write_tombstones(&paths, &mut written).expect("written");
        assert_eq!(written, b"\xEF\xBB\xBFVersion 1.0\r\n\\app\\old.exe\r\n\\Stra\xC3\x9Fe\r\n");
    }

    #[test]
    fn what_is_no_list_of_deletions_is_refused() {
        let begun = |rest: &[u8]| [MARK, VERSION, b"\n", rest].concat();
        for (file, words) in [
            (b"".to_vec(), "does not begin with a mark"),
            (b"Version 1.0\n".to_vec(), "does not begin with a mark"),
            (b"\xEF\xBB\xBFVersion 2.0\n".to_vec(), "does not begin with a mark"),
            (b"\xEF\xBB\xBFVersion 1.0 \n".to_vec(), "does not begin with a mark"),
            (begun(b"app\n"), "line 2"),
            (begun(b"\\a\n\\..\\..\\x\n"), "line 3"),
            (begun(b"\\\n"), "line 2"),
            (begun(b"\\a\\\n"), "line 2"),
            (begun(b"\\a/b\n"), "line 2"),
            (begun(b"\\nul\n"), "line 2"),
            (begun(b"\\\xFF\n"), "line 2"),
        ] {
            let error = read_tombstones(&file[..], &[]).expect_err("refused").to_string();
            assert!(error.contains(words), "{file:?}: {error}");
        }
    }

    #[test]
    fn a_list_without_an_end_is_given_up() {
        let begun = [MARK, VERSION, b"\n"].concat();
        let endless = begun.as_slice().chain(io::repeat(b'\n'));
        assert!(matches!(read_tombstones(endless, &[]), Err(TombstonesError::TooLong)));
    }
}
