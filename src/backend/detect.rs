//! The only list of backends, in order of preference. A backend that does not exist for a host is not listed.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use polyarch_actors::{ImageOs, SharedBackend};

use super::sandbox::{SandboxBackend, SandboxOptions};
use crate::oci::Store;

/// What the backends of this machine are started with.
#[derive(Clone, Debug, Default)]
pub struct DetectOptions {
    /// The program that guards builds; this one if it has called [`init`](crate::init).
    pub helper: Option<PathBuf>,
    /// How many builds each backend runs at once; its own choice if absent.
    pub slots: Option<usize>,
}

/// The backends of this kind of host, usable or not, in the order in which they are preferred.
pub fn detect(store: &Store, options: DetectOptions) -> Vec<SharedBackend> {
    let DetectOptions { helper, slots } = options;
    let sandbox = SandboxOptions { slots, helper: helper.clone(), ..SandboxOptions::default() };
    let sandbox: SharedBackend = Arc::new(SandboxBackend::new(store.clone(), sandbox));
    #[cfg(target_os = "linux")]
    {
        use super::buildah::{BuildahBackend, BuildahOptions};
        let buildah = BuildahOptions { helper, slots, ..BuildahOptions::default() };
        vec![sandbox, Arc::new(BuildahBackend::new(store.clone(), buildah))]
    }
    #[cfg(windows)]
    {
        use super::hcs::{Dlls, HcsBackend, HcsOptions};
        let hcs = HcsBackend::new(Arc::new(Dlls::new()), store.clone(), HcsOptions::default(), slots);
        vec![sandbox, Arc::new(hcs)]
    }
    #[cfg(not(any(target_os = "linux", windows)))]
    vec![sandbox]
}

/// What a person can do whose image of that OS no backend here can build.
pub fn ways_out() -> BTreeMap<ImageOs, Vec<String>> {
    BTreeMap::from([
        (
            ImageOs::Linux,
            vec![
                "use a machine with that CPU, or register an emulator for it here (Debian: apt-get install \
                  qemu-user-static binfmt-support)"
                    .into(),
            ],
        ),
        (
            ImageOs::Windows,
            vec![
                "do what RUN does in a stage that begins with FROM --platform=$BUILDPLATFORM and take its files with \
                  COPY --from: Windows images without RUN are put together here"
                    .into(),
                "or build the image on Windows, push it, and put it into an index with polyarch index create".into(),
            ],
        ),
    ])
}
