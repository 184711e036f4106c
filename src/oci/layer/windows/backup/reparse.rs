//! Where links lead: `REPARSE_DATA_BUFFER`.
//!
//! Sources: [MS-FSCC] 2.1.2.4 and 2.1.2.5; go-winio, `reparse.go`, for how targets are written in archives.

use super::reader::text;

/// `IO_REPARSE_TAG_MOUNT_POINT`.
const MOUNT_POINT: u32 = 0xA000_0003;
/// `IO_REPARSE_TAG_SYMLINK`.
const SYMLINK: u32 = 0xA000_000C;
/// `SYMLINK_FLAG_RELATIVE`.
const RELATIVE: u32 = 1;
/// The tag, the length and what is reserved.
const HEAD: usize = 8;
/// The most bytes behind the head.
///
/// Source: [MS-FSCC] 2.1.2, which allows 16 KiB.
const MOST: usize = (16 << 10) - HEAD;
/// How the kernel writes a path from the top, and one of another machine.
const NT: &str = r"\??\";
const NT_UNC: &str = r"\??\UNC\";

/// A symbolic link or a mount point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReparsePoint {
    /// Whether it is a mount point.
    pub is_mount_point: bool,
    /// Whether it leads on from where it is, as only symbolic links do.
    pub is_relative: bool,
    /// Where it leads, as the kernel writes it.
    pub substitute: String,
    /// Where it leads, as people read it.
    pub print: String,
}

/// What is wrong with a reparse point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReparseError {
    /// It is cut off, or its parts are outside of it.
    #[error("a reparse point is malformed")]
    Malformed,
    /// Neither a symbolic link nor a mount point.
    #[error("a reparse point has the tag 0x{0:08X}, and layers keep symbolic links and mount points only")]
    Tag(u32),
    /// A name is no text, is empty, or holds a NUL.
    #[error("the target of a reparse point is no text")]
    Target,
    /// A mount point without a whole path.
    #[error("a mount point leads to a whole path only")]
    RelativeMountPoint,
    /// The names take more than Windows takes.
    #[error("the target of a reparse point is longer than Windows takes it")]
    TooLong,
}

impl ReparsePoint {
    /// What leads to `target`, written as in archives: `C:\x`, `\\machine\share`, `..\x`; slashes count as backslashes.
    pub fn to_target(target: &str, is_mount_point: bool) -> Result<Self, ReparseError> {
        if target.is_empty() || target.contains('\0') {
            return Err(ReparseError::Target);
        }
        let print = target.replace('/', "\\");
        let (substitute, is_relative) = if print.starts_with(NT) {
            (print.clone(), false)
        } else if let Some(rest) = print.strip_prefix(r"\\?\") {
            (format!("{NT}{rest}"), false)
        } else if let Some(rest) = print.strip_prefix(r"\\") {
            (format!("{NT_UNC}{rest}"), false)
        } else if has_drive(&print) {
            (format!("{NT}{print}"), false)
        } else {
            (print.clone(), true)
        };
        if is_mount_point && is_relative {
            return Err(ReparseError::RelativeMountPoint);
        }
        Ok(Self { is_mount_point, is_relative, substitute, print })
    }

    /// Where it leads, written as in archives.
    pub fn target(&self) -> String {
        let Some(rest) = self.substitute.strip_prefix(NT) else { return self.substitute.clone() };
        if let Some(rest) = self.substitute.strip_prefix(NT_UNC) {
            format!(r"\\{rest}")
        } else if has_drive(rest) {
            rest.to_owned()
        } else {
            format!(r"\\?\{rest}")
        }
    }

    /// Reads the bytes of a stream.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReparseError> {
        let head = bytes.first_chunk::<HEAD>().ok_or(ReparseError::Malformed)?;
        let tag = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let is_mount_point = match tag {
            MOUNT_POINT => true,
            SYMLINK => false,
            tag => return Err(ReparseError::Tag(tag)),
        };
        let length = usize::from(u16::from_le_bytes([head[4], head[5]]));
        let body = bytes[HEAD..].get(..length).ok_or(ReparseError::Malformed)?;
        let word =
            |at: usize| body.get(at..at + 2).map(|word| usize::from(u16::from_le_bytes([word[0], word[1]])));
        let begin = if is_mount_point { 8 } else { 12 };
        let flags = if is_mount_point { Some(0) } else { word(8) }.ok_or(ReparseError::Malformed)?;
        let name = |at: usize| {
            let (offset, length) = word(at).zip(word(at + 2)).ok_or(ReparseError::Malformed)?;
            let bytes = body.get(begin + offset..begin + offset + length).ok_or(ReparseError::Malformed)?;
            let whole = length.is_multiple_of(2).then_some(bytes).and_then(text);
            whole.filter(|name| !name.contains('\0')).ok_or(ReparseError::Target)
        };
        let (substitute, print) = (name(0)?, name(4)?);
        if substitute.is_empty() {
            return Err(ReparseError::Target);
        }
        let is_relative = flags & RELATIVE as usize != 0;
        Ok(Self { is_mount_point, is_relative, substitute, print })
    }

    /// The bytes of a stream. Both names end with a NUL, which counts for neither.
    pub fn encode(&self) -> Result<Vec<u8>, ReparseError> {
        let units = |name: &str| -> Vec<u8> { name.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let (substitute, print) = (units(&self.substitute), units(&self.print));
        let fixed = if self.is_mount_point { 8 } else { 12 };
        let length = fixed + substitute.len() + print.len() + 4;
        if length > MOST {
            return Err(ReparseError::TooLong);
        }
        let word =
            |number: usize| u16::try_from(number).map(u16::to_le_bytes).map_err(|_| ReparseError::TooLong);
        let tag = if self.is_mount_point { MOUNT_POINT } else { SYMLINK };
        let mut bytes = tag.to_le_bytes().to_vec();
        bytes.extend(word(length)?);
        bytes.extend([0, 0]);
        for number in [0, substitute.len(), substitute.len() + 2, print.len()] {
            bytes.extend(word(number)?);
        }
        if !self.is_mount_point {
            bytes.extend(if self.is_relative { RELATIVE } else { 0 }.to_le_bytes());
        }
        for name in [substitute, print] {
            bytes.extend(name);
            bytes.extend([0, 0]);
        }
        Ok(bytes)
    }
}

/// Whether a path begins with a drive: `C:\x`.
fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [drive, b':', ..] if drive.is_ascii_alphabetic())
}
