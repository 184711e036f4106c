//! What `wsl.exe` says itself, which it says in UTF-16 on its standard output.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

/// Says it, and ends as the real one does.
pub(crate) fn refuse(words: &str) -> ExitCode {
    let wide: Vec<u8> = format!("{words}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    // Nobody may be listening.
    let _ = io::stdout().write_all(&wide);
    ExitCode::from(255)
}
