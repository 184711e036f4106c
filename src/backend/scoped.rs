//! A backend whose builds of different scopes have nothing in common: each scope has its own store, and a backend on it.

use std::sync::Arc;

use dashmap::DashMap;
use futures::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use polyarch_actors::{
    BackendId, BuildBackend, BuildCx, BuildError, BuildRequest, BuiltImage, Capabilities, SharedBackend,
    queue::Tenant,
};

use crate::{images::blocking, oci::Store};

/// How the backend of a store is made. It looks for nothing and starts nothing.
type Make = dyn Fn(Store) -> SharedBackend + Send + Sync;

/// Gives each request to the backend of its scope.
struct Scoped {
    store: Store,
    make: Box<Make>,
    /// That of builds without a scope, which says what the machine can do.
    shared: SharedBackend,
    scopes: DashMap<Tenant, SharedBackend>,
}

/// The backend that `make` makes for each store: for `store`, and for those of its scopes when they are needed.
pub(super) fn scoped<B: BuildBackend + 'static>(
    store: &Store,
    make: impl Fn(Store) -> B + Send + Sync + 'static,
) -> SharedBackend {
    let make: Box<Make> = Box::new(move |store| Arc::new(make(store)));
    let shared = make(store.clone());
    Arc::new(Scoped { store: store.clone(), make, shared, scopes: DashMap::new() })
}

impl Scoped {
    async fn of(&self, scope: Option<&Tenant>) -> Result<SharedBackend, BuildError> {
        let Some(scope) = scope else { return Ok(Arc::clone(&self.shared)) };
        let (store, name) = (self.store.clone(), scope.clone());
        let opened = blocking(move || Ok(store.scope(&name)?)).await;
        let store =
            opened.map_err(|error| BuildError::Host { reason: error.to_string(), retryable: false })?;
        let backend = self.scopes.entry(scope.clone()).or_insert_with(|| (self.make)(store));
        Ok(Arc::clone(&backend))
    }
}

impl BuildBackend for Scoped {
    fn id(&self) -> BackendId {
        self.shared.id()
    }

    fn probe(&self) -> BoxFuture<'_, Capabilities> {
        self.shared.probe()
    }

    fn build(&self, request: BuildRequest, cx: BuildCx) -> BoxFuture<'_, Result<BuiltImage, BuildError>> {
        async move { self.of(request.scope.as_ref()).await?.build(request, cx).await }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            let scoped: Vec<SharedBackend> = self.scopes.iter().map(|backend| Arc::clone(&backend)).collect();
            join_all(scoped.iter().chain([&self.shared]).map(|backend| backend.close())).await;
        }
        .boxed()
    }
}
