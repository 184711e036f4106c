//! The backend as the core sees it.

use std::path::PathBuf;

use futures::{FutureExt as _, future::BoxFuture};
use polyarch_actors::{BackendId, BuildBackend, BuildCx, BuildError, BuildRequest, BuiltImage, Capabilities};

use crate::{
    archive::Limits,
    backend::native::Native,
    engine::{Commands, EngineOptions},
    oci::Store,
    session::of_host,
};

/// How the sandbox backend works; the defaults suit a machine of one's own.
#[derive(Clone, Debug, Default)]
pub struct SandboxOptions {
    /// How many builds go on at once; at least 16 if absent.
    pub slots: Option<usize>,
    /// A program that calls [`init`](crate::init) first; this one if absent.
    pub helper: Option<PathBuf>,
    /// How much one layer, or one archive of ADD, may hold. A service that knows what its users build may take less
    /// than the usual.
    pub limits: Limits,
    /// How many commands run at once.
    pub commands: Commands,
}

/// Builds Linux images, and puts Windows images together whose steps run nothing.
#[derive(Clone, Debug)]
pub struct SandboxBackend {
    native: Native,
}

impl SandboxBackend {
    const NAME: &str = "sandbox";

    /// A backend that puts its images into `store`.
    pub fn new(store: Store, options: SandboxOptions) -> Self {
        let SandboxOptions { slots, helper, limits, commands } = options;
        let session = of_host(&store, helper.clone(), limits);
        let engine = EngineOptions { helper, commands, limits };
        Self { native: Native::new(Self::NAME, store, session, engine, slots) }
    }
}

impl BuildBackend for SandboxBackend {
    fn id(&self) -> BackendId {
        self.native.id()
    }

    fn probe(&self) -> BoxFuture<'_, Capabilities> {
        self.native.capabilities().boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.native.session.close().boxed()
    }

    fn build(&self, request: BuildRequest, cx: BuildCx) -> BoxFuture<'_, Result<BuiltImage, BuildError>> {
        self.native.build(request, cx).boxed()
    }
}
