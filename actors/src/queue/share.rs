//! Whose work it is and how much it matters to them.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Somebody whose builds share a machine with those of others.
///
/// 1 to 64 letters of `a` to `z`, digits, dots, underscores and hyphens, of which the first is a letter or a digit:
/// it can be part of a path, of a label and of an address as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(Arc<str>);

/// Why a text is no tenant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid tenant {0:?} (expected 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit)"
)]
pub struct TenantError(pub String);

impl Tenant {
    /// The most letters of a name.
    const LONGEST: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Tenant {
    /// The tenant of whoever names none.
    fn default() -> Self {
        Self("default".into())
    }
}

impl FromStr for Tenant {
    type Err = TenantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let begins = text.bytes().next().is_some_and(plain);
        let goes_on = text.bytes().all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'));
        if begins && goes_on && text.len() <= Self::LONGEST {
            Ok(Self(text.into()))
        } else {
            Err(TenantError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Tenant {
    type Error = TenantError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.as_str().to_owned()
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What goes first within a tenant: -100 to 100, the higher first, 0 where nobody says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Priority(i8);

/// Why a number is no priority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid priority {0} (expected -100 to 100)")]
pub struct PriorityError(pub String);

impl Priority {
    /// The last to go.
    pub const LOWEST: Self = Self(-100);
    /// The first to go.
    pub const HIGHEST: Self = Self(100);

    /// The number.
    pub fn get(self) -> i8 {
        self.0
    }
}

impl TryFrom<i64> for Priority {
    type Error = PriorityError;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        let priority = i8::try_from(number).ok().map(Self);
        let known = priority.filter(|priority| (Self::LOWEST..=Self::HIGHEST).contains(priority));
        known.ok_or_else(|| PriorityError(number.to_string()))
    }
}

impl From<Priority> for i64 {
    fn from(priority: Priority) -> Self {
        priority.0.into()
    }
}

impl FromStr for Priority {
    type Err = PriorityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PriorityError(text.to_owned());
        text.parse::<i64>().map_err(|_| wrong())?.try_into().map_err(|_| wrong())
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whose build it is, how much it matters to them, and since when it waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Whose build it is.
    pub tenant: Tenant,
    /// What goes first of that tenant.
    pub priority: Priority,
    /// When it was asked for. It does not change when a build is tried again, or taken up after a restart.
    pub submitted: Timestamp,
}

impl Default for Share {
    /// A build of which nothing is said, asked for at this moment.
    fn default() -> Self {
        Self { tenant: Tenant::default(), priority: Priority::default(), submitted: Timestamp::now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_a_name_that_fits_everywhere() {
        for good in ["a", "0", "team-a.web_2", &"x".repeat(64)] {
            assert_eq!(good.parse::<Tenant>().expect(good).as_str(), good);
        }
        for bad in ["", "-a", ".a", "_a", "A", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert_eq!(bad.parse::<Tenant>(), Err(TenantError(bad.to_owned())));
        }
        assert_eq!(Tenant::default(), "default".parse().expect("a tenant"));
        assert!(serde_json::from_str::<Tenant>("\"../up\"").is_err());
    }

    #[test]
    fn a_priority_is_a_number_from_minus_100_to_100() {
        for good in [-100, 0, 100] {
            assert_eq!(good.to_string().parse::<Priority>().map(i64::from), Ok(good));
            assert_eq!(
                serde_json::from_str::<Priority>(&good.to_string()).expect("read").to_string(),
                good.to_string()
            );
        }
        for bad in ["101", "-101", "300", "", "high", "1.5"] {
            assert_eq!(bad.parse::<Priority>(), Err(PriorityError(bad.to_owned())));
            assert!(serde_json::from_str::<Priority>(bad).is_err());
        }
    }
}
