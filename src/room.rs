//! How many things of a kind each tenant, or whoever else, has under way.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Counts what each has under way, up to a limit. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Room<K> {
    taken: Arc<Mutex<BTreeMap<K, usize>>>,
}

/// One thing that is under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct Seat<K: Ord> {
    room: Room<K>,
    whose: K,
}

impl<K> Default for Room<K> {
    fn default() -> Self {
        Self { taken: Arc::default() }
    }
}

impl<K: Ord + Clone> Room<K> {
    /// A place beside at most `most - 1` others of the same; nothing where there are more.
    pub(crate) fn take(&self, whose: &K, most: usize) -> Option<Seat<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(whose.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Seat { room: self.clone(), whose: whose.clone() })
    }

    /// How many there are of all.
    pub(crate) fn count(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

impl<K: Ord> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_left() {
        let room = Room::default();
        let first = room.take(&'a', 1).expect("a place");
        assert!(room.take(&'a', 1).is_none());
        let other = room.take(&'b', 1);
        assert_eq!((other.is_some(), room.count()), (true, 2));
        drop(first);
        assert!(room.take(&'a', 1).is_some());
        drop(other);
        assert_eq!((room.count(), room.taken.lock().expect("unpoisoned").len()), (0, 0));
    }
}
