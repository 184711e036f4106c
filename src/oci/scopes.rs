//! The stores of scopes, which share nothing with each other.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

use polyarch_actors::queue::Tenant;

use super::{error::StoreError, store::Store};

/// Those that are open. A process must open a store once only, so that what it uses is noted in one place.
#[derive(Debug, Default)]
pub(super) struct Scopes(Mutex<BTreeMap<Tenant, Store>>);

impl Scopes {
    /// That of `name`, below the store in `root`. It blocks when it is asked for first.
    pub(super) fn of(&self, root: &Path, name: &Tenant) -> Result<Store, StoreError> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = open.get(name) {
            return Ok(known.clone());
        }
        let store = Store::open(root.join("scopes").join(name.as_str()))?;
        open.insert(name.clone(), store.clone());
        Ok(store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_one_store_for_all_and_holds_nothing_of_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let [one, other]: [Tenant; 2] = ["one", "other"].map(|name| name.parse().expect("a tenant"));
        let blob = store.scope(&one).expect("a store").put(b"secret").expect("stored");
        let again = store.clone().scope(&one).expect("a store");
        assert!(again.contains(&blob));
        let _lease = again.lease().expect("a lease");
        assert!(!store.contains(&blob) && !store.scope(&other).expect("a store").contains(&blob));
    }
}
