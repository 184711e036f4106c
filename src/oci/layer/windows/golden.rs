//! Bytes as people write them down.

/// The bytes of a text of hexadecimal digits; what stands behind `#` is a comment.
pub(super) fn bytes_of(hex: &str) -> Vec<u8> {
    let lines = hex.lines().map(|line| line.split('#').next().unwrap_or_default());
    let pairs = lines.flat_map(str::split_whitespace);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")).collect()
}
