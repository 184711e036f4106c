//! Whose archive is read to its end next.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{AcquireError, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::service::tenants::TenantName;

/// How many archives are read at once.
const AT_ONCE: usize = 2;

/// Has few archives read at once, and of each tenant one, so that those of one tenant never keep another waiting for more
/// than the one before.
#[derive(Debug)]
pub(in crate::service) struct Turns {
    all: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantName, Arc<tokio::sync::Mutex<()>>>>,
}

/// An archive that is read, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _of_all: OwnedSemaphorePermit,
    _of_tenant: OwnedMutexGuard<()>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), tenants: Mutex::default() }
    }
}

impl Turns {
    /// Waits until it is the tenant's turn.
    pub(super) async fn take(&self, tenant: &TenantName) -> Result<Turn, AcquireError> {
        // First among the tenant's own, so that each tenant waits once among all.
        let of_tenant = self.of(tenant).lock_owned().await;
        let of_all = Arc::clone(&self.all).acquire_owned().await?;
        Ok(Turn { _of_all: of_all, _of_tenant: of_tenant })
    }

    fn of(&self, tenant: &TenantName) -> Arc<tokio::sync::Mutex<()>> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that neither wait nor read have nothing here.
        tenants.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(tenants.entry(tenant.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn a_tenant_with_many_archives_keeps_nobody_from_reading_one() {
        let (turns, many) = (Turns::default(), "many".parse().expect("a name"));
        let [one, other] = ["one", "other"].map(|name| name.parse().expect("a name"));
        let first = turns.take(&many).await.expect("a turn");
        let mut second = pin!(turns.take(&many));
        let mut third = pin!(turns.take(&many));
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        let of_one = turns.take(&one).await.expect("a turn");
        let mut of_other = pin!(turns.take(&other));
        assert!(poll!(&mut of_other).is_pending(), "no more at once than two");
        drop(first);
        assert!(poll!(&mut second).is_pending(), "the other came before");
        let of_other = of_other.await.expect("a turn");
        assert!(poll!(&mut second).is_pending());
        drop(of_one);
        let second = second.await.expect("a turn");
        drop(of_other);
        assert!(poll!(&mut third).is_pending(), "of each tenant one");
        drop(second);
        drop(third.await.expect("a turn"));
        drop(turns.take(&one).await.expect("a turn"));
        assert_eq!(turns.tenants.lock().expect("unpoisoned").len(), 1, "the others are forgotten");
    }
}
