//! What all handlers share.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use axum::http::StatusCode;
use bytes::Bytes;
use futures::Future;
use polyarch_actors::Fetching;
use tokio::task::spawn_blocking;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    access::Access,
    contexts::{Shelf, Turns},
    desk::{Desk, DeskError},
    limits::ServiceLimits,
    metrics::Metrics,
    openapi,
    problem::Problem,
    tenants::{Tenant, TenantName},
};
use crate::{
    room::{Room, Seat},
    whole_file::write_whole,
};

/// The HTTP API over a desk. Cheap to clone; every clone means the same service.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

struct Inner {
    desk: Arc<dyn Desk>,
    access: RwLock<Arc<Access>>,
    limits: ServiceLimits,
    shelf: Shelf,
    no_credentials: PathBuf,
    metrics: Metrics,
    openapi: openapi::Texts,
    streams: Room<TenantName>,
    uploads: Room<TenantName>,
    documents: Room<TenantName>,
    turns: Turns,
    draining: CancellationToken,
}

/// Why a service cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The folder of its data cannot be used.
    #[error("cannot use the folder {}", path.display())]
    Data {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Service {
    /// Opens a service over a desk. Contexts that tenants send are kept in the folder `data`, which no other service
    /// uses.
    pub fn open(
        desk: Arc<dyn Desk>,
        access: Access,
        data: &Path,
        limits: ServiceLimits,
    ) -> Result<Self, ServiceError> {
        let unusable = |source| ServiceError::Data { path: data.to_owned(), source };
        // Builds that wait name their contexts, and the next process may be started elsewhere.
        let folder = std::path::absolute(data).map_err(unusable)?;
        let shelf = Shelf::open(&folder, limits.kept).map_err(unusable)?;
        let no_credentials = folder.join("no-credentials.json");
        write_whole(&no_credentials, b"{}\n").map_err(unusable)?;
        let counts = desk.counts();
        let inner = Inner {
            desk,
            access: RwLock::new(Arc::new(access)),
            limits,
            shelf,
            no_credentials,
            metrics: Metrics::new(counts.as_ref()),
            openapi: openapi::Texts::new(),
            streams: Room::default(),
            uploads: Room::default(),
            documents: Room::default(),
            turns: Turns::default(),
            draining: CancellationToken::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// From now on others may ask. What is under way goes on.
    pub fn let_in(&self, access: Access) {
        *self.inner.access.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(access);
    }

    /// Takes no more builds, says so in `/readyz`, and ends all streams, which their readers can take up elsewhere.
    pub fn drain(&self) {
        self.inner.draining.cancel();
    }

    /// Removes contexts that nobody has used for a while and that no build needs. To be called every few minutes, which
    /// [`serve`](super::serve()) does.
    pub async fn sweep(&self) -> Result<usize, DeskError> {
        let in_use = self.inner.desk.archives().await?;
        let shelf = self.inner.shelf.clone();
        let swept = spawn_blocking(move || shelf.sweep(&in_use, SystemTime::now())).await;
        let swept = swept.map_err(io::Error::other).and_then(|swept| swept);
        swept.map_err(|error| DeskError::Host { reason: format!("cannot remove old contexts: {error}") })
    }

    pub(super) fn desk(&self) -> &dyn Desk {
        &*self.inner.desk
    }

    pub(super) fn access(&self) -> Arc<Access> {
        Arc::clone(&self.inner.access.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The registry credentials of a tenant's builds. Those of the user that this process runs as are for whoever is that
    /// user anyway.
    pub(super) fn authfile(&self, tenant: &Tenant) -> Option<PathBuf> {
        let is_own = matches!(*self.access(), Access::ThisMachine(_));
        let none = || (!is_own).then(|| self.inner.no_credentials.clone());
        tenant.authfile.clone().or_else(none)
    }

    /// On whose behalf a tenant's builds fetch. Whoever needs no token is the user of this machine.
    pub(super) fn fetching(&self, tenant: &Tenant) -> Fetching {
        match *self.access() {
            Access::ThisMachine(_) => Fetching::Own,
            _ if tenant.fetch_private => Fetching::Anywhere,
            _ => Fetching::Public,
        }
    }

    pub(super) fn limits(&self) -> &ServiceLimits {
        &self.inner.limits
    }

    pub(super) fn shelf(&self) -> &Shelf {
        &self.inner.shelf
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub(super) fn openapi(&self) -> Bytes {
        let texts = &self.inner.openapi;
        let text = if matches!(*self.access(), Access::Tokens(_)) {
            &texts.with_tokens
        } else {
            &texts.without_tokens
        };
        text.clone()
    }

    pub(super) fn streams(&self) -> &Room<TenantName> {
        &self.inner.streams
    }

    pub(super) fn uploads(&self) -> &Room<TenantName> {
        &self.inner.uploads
    }

    /// A place for one more document of a tenant.
    pub(super) fn document(&self, tenant: &TenantName) -> Result<Seat<TenantName>, Problem> {
        let most = self.inner.limits.documents;
        self.inner.documents.take(tenant, most).ok_or_else(|| {
            let detail = format!("the tenant sends {most} documents already");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(1)
        })
    }

    pub(super) fn turns(&self) -> &Turns {
        &self.inner.turns
    }

    pub(super) fn is_draining(&self) -> bool {
        self.inner.draining.is_cancelled()
    }

    /// Ends when the service drains.
    pub(super) fn draining(&self) -> WaitForCancellationFutureOwned {
        self.inner.draining.clone().cancelled_owned()
    }

    /// What a future gives, unless the service drains before.
    pub(super) async fn until_draining<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.inner.draining.run_until_cancelled(future).await
    }

    /// A place for one more stream of a tenant.
    pub(super) fn stream(&self, tenant: &TenantName) -> Result<Seat<TenantName>, Problem> {
        let most = self.inner.limits.streams;
        self.inner.streams.take(tenant, most).ok_or_else(|| {
            let detail = format!("the tenant reads {most} streams already");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(5)
        })
    }
}
