//! What can be wrong with a definition, and where.

use std::{fmt, sync::Arc};

/// Where something stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line and the column, from 1 on, where they are known: what the command line says has none.
    pub position: Option<(usize, usize)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "{}:{line}:{column}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// Why a definition says nothing about what to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BakeError {
    /// Where, if it is anywhere in a file.
    pub place: Option<Place>,
    /// What.
    pub fault: BakeFault,
}

impl fmt::Display for BakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.fault),
            None => self.fault.fmt(f),
        }
    }
}

impl std::error::Error for BakeError {}

impl From<BakeFault> for BakeError {
    fn from(fault: BakeFault) -> Self {
        Self { place: None, fault }
    }
}

impl BakeError {
    /// The same error, at a place unless it has one.
    pub(crate) fn at(mut self, place: &Place) -> Self {
        self.place.get_or_insert_with(|| place.clone());
        self
    }

    /// The same error, at a place if there is one.
    pub(crate) fn maybe_at(self, place: Option<&Place>) -> Self {
        match place {
            Some(place) => self.at(place),
            None => self,
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BakeFault {
    /// The text cannot be read.
    #[error("{reason}")]
    Syntax {
        /// Why not.
        reason: String,
    },
    /// A name means nothing.
    #[error("there is no {what} {name:?}{}", meant(.nearest.as_deref()))]
    Unknown {
        /// What it should be the name of.
        what: &'static str,
        /// The name.
        name: String,
        /// A name that there is, and that is nearly the same.
        nearest: Option<String>,
    },
    /// Things need each other.
    #[error("{what} need each other: {}", .members.join(" -> "))]
    Cycle {
        /// What they are.
        what: &'static str,
        /// Their names, the first one again at the end.
        members: Vec<String>,
    },
    /// A value is none that can stand here.
    #[error("{what}: {reason}")]
    Value {
        /// What the value is of.
        what: String,
        /// Why it cannot be.
        reason: String,
    },
    /// A function cannot do what it is asked for.
    #[error("{function}(): {reason}")]
    Call {
        /// The function.
        function: String,
        /// Why not.
        reason: String,
    },
    /// A variable breaks a rule that the file gives.
    #[error("the variable {variable} is not valid: {message}")]
    Invalid {
        /// The variable.
        variable: String,
        /// What the file says about it.
        message: String,
    },
    /// The value of an expression is too large, or takes too long.
    #[error("the definition is too large to be worked out")]
    TooLarge,
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(" (did you mean {nearest:?}?)"))
}

impl BakeFault {
    pub(crate) fn value(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Value { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn unknown<'n>(
        what: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) -> Self {
        let nearest = crate::dockerfile::nearest(name, known).map(str::to_owned);
        Self::Unknown { what, name: name.to_owned(), nearest }
    }
}
