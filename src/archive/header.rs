//! The fixed part of a tar member: 512 bytes of numbers and names.
//!
//! Source: POSIX.1-2017, `pax`, "ustar Interchange Format"; GNU tar's base-256 numbers.

/// The length of a block.
pub(super) const BLOCK: usize = 512;

/// A header whose checksum is right.
pub(super) struct Header<'b>(&'b [u8; BLOCK]);

impl<'b> Header<'b> {
    /// Reads a block; `None` where its checksum is wrong.
    pub(super) fn new(block: &'b [u8; BLOCK]) -> Option<Self> {
        let header = Self(block);
        let stated = header.number(148, 8)?;
        let sum = |value: fn(u8) -> i64| -> i64 {
            let bytes = block.iter().enumerate();
            bytes.map(|(at, byte)| if (148..156).contains(&at) { 32 } else { value(*byte) }).sum()
        };
        // Some old programs added up signed bytes.
        let signed = |byte: u8| i64::from(byte.cast_signed());
        let stated = i64::try_from(stated).ok()?;
        (stated == sum(i64::from) || stated == sum(signed)).then_some(header)
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[156]
    }

    /// The name, with its prefix where there is one.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        let prefix = text(&self.0[345..500]);
        if &self.0[257..263] != b"ustar\0" || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, name].join(&b'/')
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    pub(super) fn mode(&self) -> Option<u64> {
        self.number(100, 8)
    }

    pub(super) fn uid(&self) -> Option<u64> {
        self.number(108, 8)
    }

    pub(super) fn gid(&self) -> Option<u64> {
        self.number(116, 8)
    }

    pub(super) fn size(&self) -> Option<u64> {
        self.number(124, 12)
    }

    /// Times before 1970 count as 1970.
    pub(super) fn modified(&self) -> u64 {
        if self.0[136] == 0xFF { 0 } else { self.number(136, 12).unwrap_or(0) }
    }

    pub(super) fn device(&self) -> (u32, u32) {
        let part = |at| self.number(at, 8).and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        (part(329), part(337))
    }

    /// Octal digits, or a big-endian number after a byte of 0x80.
    fn number(&self, at: usize, length: usize) -> Option<u64> {
        let field = &self.0[at..at + length];
        if field[0] == 0x80 {
            let bytes = field[1..].iter();
            return bytes.copied().try_fold(0_u64, |number, byte| {
                number.checked_mul(256).and_then(|number| number.checked_add(byte.into()))
            });
        }
        let digits = text(field).trim_ascii();
        digits.iter().try_fold(0_u64, |number, digit| match digit {
            b'0'..=b'7' => number.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
            _ => None,
        })
    }
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}
