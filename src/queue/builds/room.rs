//! How many builds of each tenant wait, so that nobody fills the queue.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use polyarch_actors::queue::Tenant;

/// Counts what waits. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<Mutex<BTreeMap<Tenant, usize>>>);

/// The place of a build that waits, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    room: Room,
    tenant: Tenant,
}

impl Room {
    /// A place beside at most `most - 1` others of the tenant; nothing where there are more.
    pub(super) fn take(&self, tenant: &Tenant, most: usize) -> Option<Seat> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = taken.entry(tenant.clone()).or_default();
        if *of_tenant >= most {
            return None;
        }
        *of_tenant += 1;
        Some(Seat { room: self.clone(), tenant: tenant.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_tenant) = taken.get_mut(&self.tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
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
        let (room, tenant) = (Room::default(), Tenant::default());
        let first = room.take(&tenant, 2).expect("a place");
        let second = room.take(&tenant, 2).expect("a place");
        assert!(room.take(&tenant, 2).is_none());
        assert!(room.take(&"other".parse().expect("a tenant"), 1).is_some());
        drop(first);
        drop((room.take(&tenant, 2).expect("a place"), second));
        assert!(room.0.lock().expect("no panic").is_empty());
    }
}
