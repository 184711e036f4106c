//! What the libraries tell by callbacks, for those who wait for it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Those who wait, by the number that a callback is given. The number of somebody who is gone leads nowhere, where a
/// pointer would lead to freed memory.
static LISTENERS: Mutex<BTreeMap<usize, Arc<Notices>>> = Mutex::new(BTreeMap::new());

/// What a callback was told.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    /// An HRESULT.
    pub(super) status: i32,
    /// A document.
    pub(super) document: Option<String>,
}

#[derive(Debug, Default)]
struct Notices {
    told: Mutex<BTreeMap<u32, Notice>>,
    changed: Condvar,
}

/// Somebody who waits for what is told to its number.
#[derive(Debug)]
pub(super) struct Listener {
    number: usize,
    notices: Arc<Notices>,
}

impl Listener {
    pub(super) fn new() -> Self {
        let notices = Arc::<Notices>::default();
        let mut listeners = lock(&LISTENERS);
        let number = listeners.last_key_value().map_or(1, |(last, _)| last + 1);
        listeners.insert(number, Arc::clone(&notices));
        Self { number, notices }
    }

    /// What the callback is to be given.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Waits for a notice of this kind, and takes it.
    pub(super) fn take(&self, kind: u32, longest: Duration) -> Option<Notice> {
        let told = lock(&self.notices.told);
        let waited = self.notices.changed.wait_timeout_while(told, longest, |told| !told.contains_key(&kind));
        waited.unwrap_or_else(PoisonError::into_inner).0.remove(&kind)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        lock(&LISTENERS).remove(&self.number);
    }
}

/// Tells the listener of a number, if there still is one.
pub(super) fn tell(number: usize, kind: u32, notice: Notice) {
    let listener = lock(&LISTENERS).get(&number).cloned();
    if let Some(notices) = listener {
        lock(&notices.told).insert(kind, notice);
        notices.changed.notify_all();
    }
}

/// Nothing that these hold is ever half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
