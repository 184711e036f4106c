//! The only list of backends, in order of preference. A backend that does not exist for a host is not listed.

#[cfg(windows)]
use std::sync::Arc;
use std::{collections::BTreeMap, path::PathBuf};

use polyarch_actors::{ImageOs, SharedBackend};

use super::{
    sandbox::{SandboxBackend, SandboxOptions},
    scoped::scoped,
};
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
    let sandbox = scoped(store, move |store| SandboxBackend::new(store, sandbox.clone()));
    #[cfg(target_os = "linux")]
    {
        use super::buildah::{BuildahBackend, BuildahOptions};
        let buildah = BuildahOptions { helper, slots, ..BuildahOptions::default() };
        vec![sandbox, scoped(store, move |store| BuildahBackend::new(store, buildah.clone()))]
    }
    #[cfg(windows)]
    {
        use super::{
            buildah::wsl::{WslBackend, WslOptions, WslTransport},
            hcs::{Dlls, HcsBackend, HcsOptions},
        };
        let options = HcsOptions::default();
        let hcs =
            scoped(store, move |store| HcsBackend::new(Arc::new(Dlls::new()), store, options.clone(), slots));
        let distribution = std::env::var("POLYARCH_WSL_DISTRO").ok().filter(|name| !name.is_empty());
        let options = WslOptions { distribution, slots };
        let wsl = scoped(store, move |store| {
            let transport = WslTransport::of_windows(std::env::var_os("SystemRoot"));
            WslBackend::new(store, transport, options.clone())
        });
        vec![sandbox, hcs, wsl]
    }
    #[cfg(not(any(target_os = "linux", windows)))]
    vec![sandbox]
}

/// What a person can do whose image of that OS no backend here can build.
pub fn ways_out() -> BTreeMap<ImageOs, Vec<String>> {
    BTreeMap::from([
        (
            ImageOs::Linux,
            vec![linux_way_out().into()],
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

/// What makes this kind of host run steps of Linux images.
fn linux_way_out() -> &'static str {
    if cfg!(windows) {
        "give buildah a distribution of WSL 2 (wsl --install -d Debian, and in it as root: apt-get install buildah crun \
         qemu-user-static), or use a machine with Linux"
    } else if cfg!(target_os = "macos") {
        "build in a virtual machine with Linux (podman machine), use a machine with Linux, or do without RUN in that stage"
    } else {
        "use a machine with that CPU, or register an emulator for it here (Debian: apt-get install qemu-user-static \
         binfmt-support)"
    }
}
