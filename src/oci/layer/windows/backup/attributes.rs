//! Extended attributes as Windows lists them: `FILE_FULL_EA_INFORMATION`.
//!
//! Source: [MS-FSCC] 2.4.15.

/// The length of an entry without its name and value.
const FIXED: usize = 8;
/// Where entries begin.
const ALIGNED: usize = 4;

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedAttribute {
    /// `FILE_NEED_EA`, or nothing.
    pub flags: u8,
    /// ASCII, without NUL and without `=`, so that archives can say it.
    pub name: String,
    /// At most 65,535 bytes.
    pub value: Vec<u8>,
}

/// What is wrong with a list of extended attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// An entry is longer than the list.
    #[error("a list of extended attributes is cut off")]
    CutOff,
    /// The next entry is in the middle of one, or not where entries begin.
    #[error("an extended attribute says that the next one is {0} bytes on")]
    Next(u32),
    /// A name is no name.
    #[error("the name of an extended attribute is empty, or no plain ASCII")]
    Name,
    /// Two entries have one name.
    #[error("two extended attributes have one name")]
    Twice,
    /// A name or a value is longer than an entry can say.
    #[error("an extended attribute is longer than Windows takes it")]
    TooLong,
}

impl ExtendedAttribute {
    /// Reads a list, which may be empty.
    pub fn decode(mut list: &[u8]) -> Result<Vec<Self>, AttributeError> {
        let mut found: Vec<Self> = Vec::new();
        while !list.is_empty() {
            let fixed = list.first_chunk::<FIXED>().ok_or(AttributeError::CutOff)?;
            let next = u32::from_le_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]);
            let (flags, name_end) = (fixed[4], FIXED + usize::from(fixed[5]));
            let value_end = name_end + 1 + usize::from(u16::from_le_bytes([fixed[6], fixed[7]]));
            let entry = list.get(..value_end).ok_or(AttributeError::CutOff)?;
            let name = name(&entry[FIXED..name_end]).filter(|_| entry[name_end] == 0);
            let name = name.ok_or(AttributeError::Name)?;
            if found.iter().any(|known| known.name.eq_ignore_ascii_case(&name)) {
                return Err(AttributeError::Twice);
            }
            found.push(Self { flags, name, value: entry[name_end + 1..].to_vec() });
            let step = next as usize;
            list = match step {
                0 => &[],
                step if step < value_end || !step.is_multiple_of(ALIGNED) || step >= list.len() => {
                    return Err(AttributeError::Next(next));
                }
                step => &list[step..],
            };
        }
        Ok(found)
    }

    /// Writes a list.
    pub fn encode(attributes: &[Self]) -> Result<Vec<u8>, AttributeError> {
        let mut list: Vec<u8> = Vec::new();
        let mut last = None;
        for attribute in attributes {
            let at = list.len().next_multiple_of(ALIGNED);
            if let Some(last) = last.replace(at) {
                let step = u32::try_from(at - last).map_err(|_| AttributeError::TooLong)?;
                list[last..last + 4].copy_from_slice(&step.to_le_bytes());
            }
            list.resize(at, 0);
            name(attribute.name.as_bytes()).ok_or(AttributeError::Name)?;
            let name = u8::try_from(attribute.name.len()).map_err(|_| AttributeError::TooLong)?;
            let value = u16::try_from(attribute.value.len()).map_err(|_| AttributeError::TooLong)?;
            list.extend([0, 0, 0, 0, attribute.flags, name]);
            list.extend(value.to_le_bytes());
            list.extend(attribute.name.as_bytes());
            list.push(0);
            list.extend(&attribute.value);
        }
        Ok(list)
    }
}

fn name(bytes: &[u8]) -> Option<String> {
    let fits = !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'=');
    std::str::from_utf8(bytes).ok().filter(|_| fits).map(str::to_owned)
}
