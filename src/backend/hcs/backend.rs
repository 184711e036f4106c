//! The backend as the core sees it.

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};
use polyarch_actors::{BackendId, BuildBackend, BuildCx, BuildError, BuildRequest, BuiltImage, Capabilities};

use super::{api::HcsApi, machine::HcsOptions, session::HcsSession};
use crate::{backend::native::Native, engine::EngineOptions, oci::Store};

/// Builds Windows images whose steps run in containers of Windows, and puts together what runs nothing.
#[derive(Clone, Debug)]
pub struct HcsBackend {
    native: Native,
}

impl HcsBackend {
    const NAME: &str = "hcs";

    /// A backend that puts its images into `store` and asks `api` for containers. `slots` is how many builds go on at
    /// once; at least 16 if absent.
    pub fn new(api: Arc<dyn HcsApi>, store: Store, options: HcsOptions, slots: Option<usize>) -> Self {
        let engine =
            EngineOptions { helper: None, commands: options.commands.clone(), limits: options.limits };
        let session = Arc::new(HcsSession::new(api, store.clone(), options));
        Self { native: Native::new(Self::NAME, store, session, engine, slots) }
    }
}

impl BuildBackend for HcsBackend {
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
