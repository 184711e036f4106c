//! Text on its way into a shell, and out of `wsl.exe`.

/// A text as one word of a shell: nothing in it means anything to the shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What `wsl.exe` itself wrote: UTF-8 where it knows `WSL_UTF8`, and UTF-16 (little endian) before, with or without a
/// byte order mark.
pub(super) fn decoded(bytes: &[u8]) -> String {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        // No text has a NUL in it, and every line that `wsl.exe` writes has a character of Latin script or a line end.
        bytes if bytes.contains(&0) => wide(bytes),
        bytes => String::from_utf8_lossy(bytes).into_owned(),
    };
    text.replace('\r', "").trim_matches(['\0', '\n', ' ']).to_owned()
}

fn wide(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_every_encoding() {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let text = "Ubuntu\r\nDébian 12\r\n";
        for bytes in [
            text.as_bytes().to_vec(),
            [&[0xef, 0xbb, 0xbf], text.as_bytes()].concat(),
            wide(text),
            [vec![0xff, 0xfe], wide(text)].concat(),
        ] {
            assert_eq!(decoded(&bytes), "Ubuntu\nDébian 12");
        }
        assert_eq!(decoded(b""), "");
        assert_eq!(decoded(&[0xff, 0xfe, b'a']), "");
    }

    #[test]
    #[cfg(unix)]
    fn a_shell_gets_every_text_as_it_is() {
        for text in ["", "a b", "it's", "''", "$(touch x)`y`\"\\", "a\nb\t*?[", "--help", "é\u{1b}[0m"] {
            let script = format!("printf %s {}", quoted(text));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("a shell");
            assert_eq!(String::from_utf8_lossy(&output.stdout), text);
        }
    }
}
