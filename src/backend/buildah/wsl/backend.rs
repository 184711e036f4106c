//! The backend as the core sees it.

use std::{num::NonZero, sync::Arc};

use futures::{FutureExt as _, future::BoxFuture};
use polyarch_actors::{BackendId, BuildBackend, BuildCx, BuildError, BuildRequest, BuiltImage, Capabilities};
use tokio::sync::OnceCell;

use super::{
    build::Builder,
    found::{self, Found},
    probe::{self, Unusable},
    transport::LinuxTransport,
};
use crate::oci::Store;

/// How the backend works; the defaults suit a machine of one's own.
#[derive(Clone, Debug, Default)]
pub struct WslOptions {
    /// The distribution; the user's default one if absent.
    pub distribution: Option<String>,
    /// How many builds run at once; the number of CPUs if absent.
    pub slots: Option<usize>,
}

/// Builds Linux images with buildah in another Linux: a distribution of WSL 2.
///
/// Each build has a storage of its own there, which goes with it: nothing stays, and no step is taken from a build before.
#[derive(Clone, Debug)]
pub struct WslBackend {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    transport: Box<dyn LinuxTransport>,
    options: WslOptions,
    found: OnceCell<Result<Found, Unusable>>,
}

impl WslBackend {
    /// The name of the backend.
    pub const NAME: &str = "buildah-wsl";

    /// A backend that puts its images into `store`. Nothing is looked for or started yet.
    pub fn new(store: Store, transport: impl LinuxTransport + 'static, options: WslOptions) -> Self {
        let inner = Inner { store, transport: Box::new(transport), options, found: OnceCell::new() };
        Self { inner: Arc::new(inner) }
    }
}

impl Inner {
    async fn found(&self) -> Result<&Found, &Unusable> {
        let look = || probe::find(&*self.transport, self.options.distribution.as_deref());
        self.found.get_or_init(look).await.as_ref()
    }

    fn slots(&self) -> usize {
        let cpus = || std::thread::available_parallelism().map_or(1, NonZero::get);
        self.options.slots.unwrap_or_else(cpus).max(1)
    }

    async fn build(&self, request: &BuildRequest, cx: &BuildCx) -> Result<BuiltImage, BuildError> {
        let found = self.found().await.map_err(|unusable| BuildError::Host {
            reason: format!("buildah {}", unusable.reason),
            retryable: false,
        })?;
        let id = BackendId::new(WslBackend::NAME);
        Builder { id, store: &self.store, transport: &*self.transport, found }.build(request, cx).await
    }
}

impl BuildBackend for WslBackend {
    fn id(&self) -> BackendId {
        BackendId::new(Self::NAME)
    }

    fn probe(&self) -> BoxFuture<'_, Capabilities> {
        async { found::capabilities(self.inner.found().await, self.inner.slots()) }.boxed()
    }

    fn build(&self, request: BuildRequest, cx: BuildCx) -> BoxFuture<'_, Result<BuiltImage, BuildError>> {
        async move { self.inner.build(&request, &cx).await }.boxed()
    }
}
