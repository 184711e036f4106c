//! Where in a Dockerfile something is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of the Dockerfile that was built from.
///
/// The bytes are those of the text that the request carries, so whoever has the request can draw the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The name of the file, as the request gives it.
    pub file: String,
    /// The line; the first one is 1.
    pub line: usize,
    /// The byte of the text at which the part begins.
    pub start: usize,
    /// The byte after its last one.
    pub end: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
