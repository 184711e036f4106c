//! Keys: a hash of everything that decides a result.

use polyarch_actors::Digest;
use sha2::{Digest as _, Sha256};

/// Changes whenever the same step would give another result than in an older polyarch.
const GENERATION: &str = "1";

/// A key that is being made. Each field is hashed with its length, so no two lists of fields are alike.
#[derive(Clone, Debug)]
pub(super) struct Key(Sha256);

impl Key {
    /// Begins the key of one kind of result.
    pub(super) fn new(kind: &str) -> Self {
        Self(Sha256::new()).field(GENERATION).field(kind)
    }

    /// Adds a field.
    #[must_use]
    pub(super) fn field(mut self, value: impl AsRef<[u8]>) -> Self {
        self.add(value);
        self
    }

    /// Adds several fields as one, so that a list is not mistaken for what follows it.
    #[must_use]
    pub(super) fn list<V: AsRef<[u8]>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        let mut inner = Self::new("list");
        values.into_iter().for_each(|value| inner.add(value));
        self.add(inner.0.finalize());
        self
    }

    /// Adds a field that may be absent.
    #[must_use]
    pub(super) fn option(self, value: Option<impl AsRef<[u8]>>) -> Self {
        self.list(value)
    }

    pub(super) fn add(&mut self, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        self.0.update((value.len() as u64).to_le_bytes());
        self.0.update(value);
    }

    pub(super) fn end(self) -> Digest {
        Digest::from_sha256(&self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_never_run_into_each_other() {
        let keys = [
            Key::new("a").field("bc").field("d"),
            Key::new("a").field("b").field("cd"),
            Key::new("a").list(["bc", "d"]),
            Key::new("a").list(["bc"]).field("d"),
            Key::new("a").option(Some("bc")).option(None::<&str>),
            Key::new("a").option(None::<&str>).option(Some("bc")),
        ];
        let keys: std::collections::BTreeSet<String> =
            keys.into_iter().map(|key| key.end().to_string()).collect();
        assert_eq!(keys.len(), 6);
    }
}
