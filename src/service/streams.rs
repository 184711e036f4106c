//! How many things of a kind each tenant has under way.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::tenants::TenantName;

/// Counts what each tenant has under way, up to a limit.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    taken: Arc<Mutex<HashMap<TenantName, usize>>>,
}

/// One thing that is under way, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    tenant: TenantName,
}

impl Places {
    /// A place for one more, if there is one.
    pub(super) fn take(&self, tenant: &TenantName, most: usize) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(tenant.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), tenant: tenant.clone() })
    }

    /// How many there are of all tenants.
    pub(super) fn count(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_left() {
        let (places, a, b) = (Places::default(), "a".parse().expect("a name"), "b".parse().expect("a name"));
        let first = places.take(&a, 1).expect("a place");
        assert!(places.take(&a, 1).is_none());
        let other = places.take(&b, 1);
        assert_eq!((other.is_some(), places.count()), (true, 2));
        drop(first);
        assert!(places.take(&a, 1).is_some());
        drop(other);
        assert_eq!((places.count(), places.taken.lock().expect("unpoisoned").len()), (0, 0));
    }
}
