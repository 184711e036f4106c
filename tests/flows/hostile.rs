//! What images, contexts and commands that mean harm cannot do, in the native engine.

mod bombs;
mod contexts;
mod contradictions;
mod disk;
mod images;
mod layers;
mod memory;
mod ordinary;
mod output;
mod registries;
mod steps;

use std::path::Path;

use polyarch::{
    actors::{
        BuildBackend as _, BuildCx, BuildError, BuildRequest, BuiltImage, Descriptor, EventSink, NamedContext,
    },
    archive::{Archive, Limits, Member, decompress},
    backend::sandbox::{SandboxBackend, SandboxOptions},
    oci::Store,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::buildah::{self, helper};

/// A store, a backend on it, and a context with the file `a.txt`.
struct Yard {
    folder: tempfile::TempDir,
    store: Store,
    backend: SandboxBackend,
}

impl Yard {
    fn new() -> Self {
        Self::within(Limits::USUAL)
    }

    /// A yard where one archive may hold so much.
    fn within(limits: Limits) -> Self {
        let folder = tempfile::Builder::new().prefix("polyarch-hostile").tempdir().expect("a folder");
        let store = Store::open(folder.path().join("store")).expect("a store");
        let options = SandboxOptions { helper: Some(helper()), limits, ..SandboxOptions::default() };
        let backend = SandboxBackend::new(store.clone(), options);
        Self { folder, store, backend }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A request whose stages may begin from the image `evil`, or copy from it.
    fn request(&self, dockerfile: &str, evil: Option<&Descriptor>) -> BuildRequest {
        let mut request = buildah::request(self.path(), "linux/amd64", dockerfile);
        let evil = evil.map(|image| ("evil".to_owned(), NamedContext::Stored(image.clone())));
        request.build_contexts.extend(evil);
        request
    }

    async fn build(&self, request: BuildRequest) -> Result<BuiltImage, BuildError> {
        let (events, cancel) = (EventSink::new(request.build.clone()), CancellationToken::new());
        let cx = BuildCx { events: events.for_platform(&request.platform), cancel, emulated: false };
        self.backend.build(request, cx).await
    }

    /// Builds with the image `evil`.
    async fn with(&self, evil: &Descriptor, dockerfile: &str) -> Result<BuiltImage, BuildError> {
        self.build(self.request(dockerfile, Some(evil))).await
    }

    /// What the last layer of an image holds.
    fn top(&self, image: &BuiltImage) -> Vec<Member> {
        let manifest = self.store.read_document(&image.manifest.digest).expect("a manifest");
        let manifest: Value = serde_json::from_slice(&manifest).expect("json");
        let layer = manifest["layers"].as_array().and_then(|layers| layers.last()).expect("a layer");
        let digest = layer["digest"].as_str().expect("a digest").parse().expect("a digest");
        let blob = self.store.open_blob(&digest).expect("a blob");
        let mut archive = Archive::new(decompress(blob).expect("an archive"));
        let mut members = Vec::new();
        while let Some(member) = archive.next_member().expect("a member") {
            members.push(member);
        }
        members
    }
}
