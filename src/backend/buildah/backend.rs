//! The backend as the core sees it.

use std::{num::NonZero, path::PathBuf, sync::Arc};

use futures::{FutureExt as _, future::BoxFuture};
use polyarch_actors::{BackendId, BuildBackend, BuildCx, BuildError, BuildRequest, BuiltImage, Capabilities};
use tokio::sync::OnceCell;

use super::{
    build::Builder,
    layout::Layout,
    machine::{self, Machine, Unusable},
    probe,
    trial::{self, Trial},
    version::BuildahVersion,
};
use crate::oci::Store;

/// How the buildah backend works; the defaults suit a machine of one's own.
#[derive(Clone, Debug, Default)]
pub struct BuildahOptions {
    /// The program; `buildah` in `PATH` if absent.
    pub program: Option<PathBuf>,
    /// How many builds run at once; twice the number of CPUs if absent.
    ///
    /// With a storage root for each build, throughput still grows up to four per CPU while each build gets slower
    /// from two on (2 CPUs, seconds for N builds: 1: 2.9, 2: 5.3, 4: 8.5, 8: 13–18, 16: 26–38).
    pub slots: Option<usize>,
    /// A program that calls [`init`](crate::init) first; this one if absent.
    pub helper: Option<PathBuf>,
    /// Where caches are kept; a folder of the store if absent. Best on the store's device.
    pub folder: Option<PathBuf>,
}

/// Builds Linux images with buildah.
#[derive(Clone, Debug)]
pub struct BuildahBackend {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    layout: Layout,
    options: BuildahOptions,
    found: OnceCell<Result<(Machine, Trial), Unusable>>,
}

impl BuildahBackend {
    /// A backend that puts its images into `store`. Nothing is looked for or started yet.
    pub fn new(store: Store, options: BuildahOptions) -> Self {
        let folder = options.folder.clone().unwrap_or_else(|| store.root().join("backends/buildah"));
        let inner = Inner { store, layout: Layout::new(folder), options, found: OnceCell::new() };
        Self { inner: Arc::new(inner) }
    }

    /// The version of buildah, if it can be used here.
    pub async fn version(&self) -> Option<BuildahVersion> {
        self.inner.found().await.ok().map(|(machine, _)| machine.version)
    }
}

impl Inner {
    async fn found(&self) -> Result<(&Machine, &Trial), &Unusable> {
        let look = || async {
            let machine = machine::find(&self.options).await?;
            let trial = trial::run(&machine, &self.layout).await?;
            Ok((machine, trial))
        };
        self.found.get_or_init(look).await.as_ref().map(|(machine, trial)| (machine, trial))
    }

    fn slots(&self) -> usize {
        let cpus = || std::thread::available_parallelism().map_or(1, NonZero::get);
        self.options.slots.unwrap_or_else(|| cpus() * 2).max(1)
    }

    async fn build(&self, request: &BuildRequest, cx: &BuildCx) -> Result<BuiltImage, BuildError> {
        let (machine, trial) = self.found().await.map_err(|unusable| BuildError::Host {
            reason: format!("buildah {}", unusable.reason),
            retryable: false,
        })?;
        let id = BackendId::new(BuildahBackend::NAME);
        Builder { id, store: &self.store, layout: &self.layout, machine, trial }.build(request, cx).await
    }
}

impl BuildahBackend {
    const NAME: &str = "buildah";
}

impl BuildBackend for BuildahBackend {
    fn id(&self) -> BackendId {
        BackendId::new(Self::NAME)
    }

    fn probe(&self) -> BoxFuture<'_, Capabilities> {
        async { probe::capabilities(self.inner.found().await, self.inner.slots()) }.boxed()
    }

    fn build(&self, request: BuildRequest, cx: BuildCx) -> BoxFuture<'_, Result<BuiltImage, BuildError>> {
        async move { self.inner.build(&request, &cx).await }.boxed()
    }
}
