//! What stands before the bytes of a stream.

use super::error::BackupError;

/// `STREAM_SPARSE_ATTRIBUTE`: what the stream says is in the sparse blocks behind it.
pub const SPARSE: u32 = 8;
/// The length of a header without a name.
pub(super) const LENGTH: usize = 20;
/// How much a sparse block says before its bytes: where in the file they go.
pub(super) const PLACE: u64 = 8;
/// The longest name in bytes: `:name:$DATA`, of at most 255 letters.
pub(super) const LONGEST_NAME: u32 = 2 * (255 + 7);

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// `BACKUP_DATA`: the content of the file.
    Data,
    /// `BACKUP_EA_DATA`: extended attributes.
    ExtendedAttributes,
    /// `BACKUP_SECURITY_DATA`: a self-relative security descriptor.
    Security,
    /// `BACKUP_ALTERNATE_DATA`: a further stream of the file, which has a name.
    Alternate,
    /// `BACKUP_LINK`: the other names of the file.
    Link,
    /// `BACKUP_PROPERTY_DATA`.
    Property,
    /// `BACKUP_OBJECT_ID`.
    ObjectId,
    /// `BACKUP_REPARSE_DATA`: where the file leads.
    ReparsePoint,
    /// `BACKUP_SPARSE_BLOCK`: a part of the stream before it.
    SparseBlock,
    /// `BACKUP_TXFS_DATA`.
    Transaction,
}

impl StreamKind {
    /// All kinds, from number 1 on.
    pub const ALL: [Self; 10] = [
        Self::Data,
        Self::ExtendedAttributes,
        Self::Security,
        Self::Alternate,
        Self::Link,
        Self::Property,
        Self::ObjectId,
        Self::ReparsePoint,
        Self::SparseBlock,
        Self::Transaction,
    ];

    /// The kind of a number.
    pub fn of(number: u32) -> Option<Self> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        Self::ALL.get(index).copied()
    }

    /// Its number.
    pub fn number(self) -> u32 {
        match self {
            Self::Data => 1,
            Self::ExtendedAttributes => 2,
            Self::Security => 3,
            Self::Alternate => 4,
            Self::Link => 5,
            Self::Property => 6,
            Self::ObjectId => 7,
            Self::ReparsePoint => 8,
            Self::SparseBlock => 9,
            Self::Transaction => 10,
        }
    }
}

/// What stands before the bytes of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamHeader {
    /// What it is.
    pub kind: StreamKind,
    /// `STREAM_…_ATTRIBUTE`.
    pub attributes: u32,
    /// How many bytes follow.
    pub size: u64,
    /// Where in the file they go; only of sparse blocks.
    pub offset: u64,
    /// `:name:$DATA`; empty but for alternate streams.
    pub name: String,
}

impl StreamHeader {
    /// The header of a stream without a name.
    pub fn new(kind: StreamKind, size: u64) -> Self {
        Self { kind, attributes: 0, size, offset: 0, name: String::new() }
    }

    /// The header of an alternate stream by its name alone.
    pub fn alternate(name: &str, size: u64) -> Self {
        Self { name: format!(":{name}:$DATA"), ..Self::new(StreamKind::Alternate, size) }
    }

    /// The name of an alternate stream without what stands around it.
    pub fn stream_name(&self) -> &str {
        let name = self.name.strip_prefix(':').unwrap_or(&self.name);
        name.strip_suffix(":$DATA").unwrap_or(name)
    }

    /// Its bytes. What no header can say is refused.
    pub fn encode(&self) -> Result<Vec<u8>, BackupError> {
        let is_block = self.kind == StreamKind::SparseBlock;
        let name: Vec<u8> = self.name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
        if length > LONGEST_NAME {
            return Err(BackupError::NameLength(length));
        }
        self.check()?;
        let size = if is_block { self.size + PLACE } else { self.size };
        let mut bytes = Vec::with_capacity(LENGTH + name.len() + 8);
        bytes.extend(self.kind.number().to_le_bytes());
        bytes.extend(self.attributes.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(name);
        if is_block {
            bytes.extend(self.offset.to_le_bytes());
        }
        Ok(bytes)
    }

    /// Refuses what no stream of Windows can be.
    pub(super) fn check(&self) -> Result<(), BackupError> {
        if !self.name.is_empty() && self.kind != StreamKind::Alternate {
            return Err(BackupError::Named(self.kind));
        }
        let end = self.offset.checked_add(self.size).and_then(|end| end.checked_add(PLACE));
        if end.is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(BackupError::Size(self.size));
        }
        Ok(())
    }
}
