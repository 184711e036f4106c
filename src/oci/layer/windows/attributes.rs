//! What Windows knows of a file beside its streams, and how it counts time.

/// `FILE_ATTRIBUTE_DIRECTORY`.
pub const DIRECTORY: u32 = 0x10;
/// `FILE_ATTRIBUTE_REPARSE_POINT`.
pub const REPARSE_POINT: u32 = 0x400;

/// From 1601, where Windows begins to count, to 1970, in seconds.
const TO_1970: i64 = 11_644_473_600;
/// Steps of 100 ns in a second.
const STEPS: i64 = 10_000_000;

/// What Windows knows of a file beside its streams.
///
/// Source: `FILE_BASIC_INFO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileAttributes {
    /// `FILE_ATTRIBUTE_…`.
    pub attributes: u32,
    /// When it was made, in steps of 100 ns since 1601.
    pub created: i64,
    /// When it was used.
    pub accessed: i64,
    /// When its content changed.
    pub written: i64,
    /// When anything of it changed.
    pub changed: i64,
}

impl FileAttributes {
    /// Whether it is a directory, or a link that Windows takes for one.
    pub fn is_directory(&self) -> bool {
        self.attributes & DIRECTORY != 0
    }
}

/// A time in seconds since 1970, with nanoseconds beyond them, as Windows counts it. What is out of its range becomes
/// the nearest time that is not.
pub fn file_time(seconds: i64, nanoseconds: u32) -> i64 {
    let steps = seconds.saturating_add(TO_1970).saturating_mul(STEPS);
    steps.saturating_add(i64::from(nanoseconds / 100)).max(0)
}

/// A time of Windows in seconds since 1970, and nanoseconds beyond them.
pub fn unix_time(time: i64) -> (i64, u32) {
    let nanoseconds = u32::try_from(time.rem_euclid(STEPS) * 100).unwrap_or_default();
    (time.div_euclid(STEPS) - TO_1970, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_counts_from_1601() {
        // [MS-DTYP] 2.3.3; the second number is that of RFC 4122's example of 1970.
        assert_eq!(file_time(-TO_1970, 0), 0);
        assert_eq!(file_time(0, 0), 0x019D_B1DE_D53E_8000);
        assert_eq!(file_time(1, 999_999_999), 116_444_736_019_999_999);
        assert_eq!(unix_time(116_444_736_019_999_999), (1, 999_999_900));
        assert_eq!(unix_time(0), (-TO_1970, 0));
        assert_eq!(file_time(i64::MAX, 0), i64::MAX);
        assert_eq!(file_time(i64::MIN, 0), 0, "there is no time before 1601");
    }
}
