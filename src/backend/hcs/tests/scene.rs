//! A store with a base in it, a Windows, and builds.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::StreamExt as _;
use polyarch_actors::{
    BuildBackend as _, BuildCx, BuildError, BuildId, BuildRequest, BuiltImage, ContextSource, Descriptor,
    Digest, DockerfileSource, EventKind, EventSink, NamedContext,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    backend::hcs::{HcsBackend, HcsOptions, fake::FakeWindows},
    oci::{Store, media_type},
};

/// The version of Windows that there is.
pub(super) const HOST: &str = "10.0.20348.2402";

/// A store, a context and a Windows.
pub(super) struct Scene {
    pub(super) windows: FakeWindows,
    pub(super) folder: PathBuf,
    pub(super) store: Store,
    base: Descriptor,
    _temporary: Option<tempfile::TempDir>,
}

/// How a build went.
pub(super) struct Built {
    pub(super) result: Result<BuiltImage, BuildError>,
    /// What its steps printed.
    pub(super) printed: String,
    /// How many steps were cached.
    pub(super) cached: usize,
}

impl Scene {
    /// A new one, with a base that is of the same version as the machine.
    pub(super) fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a folder");
        let scene = Self::at(temporary.path(), FakeWindows::new(HOST), HOST);
        Self { _temporary: Some(temporary), ..scene }
    }

    /// One in a folder, with a base of a version.
    pub(super) fn at(folder: &Path, windows: FakeWindows, version: &str) -> Self {
        let context = folder.join("context");
        fs::create_dir_all(&context).expect("a context");
        fs::write(context.join("file.txt"), "from the context").expect("a file");
        let store = Store::open(folder.join("store")).expect("a store");
        let base = base(&store, version);
        // What has a name is not pruned.
        let name = "base:1".parse().expect("a name");
        store.lock_names().expect("names").set(&name, &base).expect("named");
        Self { windows, folder: folder.to_owned(), store, base, _temporary: None }
    }

    /// A backend of its own process, as it were.
    pub(super) fn backend(&self) -> HcsBackend {
        let options = HcsOptions { pause: Duration::from_millis(1), ..HcsOptions::default() };
        HcsBackend::new(self.windows.api(), self.store.clone(), options, None)
    }

    /// What is asked of a backend.
    pub(super) fn request(&self, dockerfile: &str) -> BuildRequest {
        let platform = "windows/amd64".parse().expect("a platform");
        let file = DockerfileSource::new("Dockerfile", dockerfile);
        let context = ContextSource::Directory(self.folder.join("context"));
        let mut request = BuildRequest::new(BuildId::generate(), platform, file, context);
        request.build_contexts.insert("base".into(), NamedContext::Stored(self.base.clone()));
        request
    }

    /// Builds with a new backend.
    pub(super) async fn build(&self, dockerfile: &str) -> Built {
        self.build_in(&self.backend(), self.request(dockerfile), CancellationToken::new()).await
    }

    pub(super) async fn build_in(
        &self,
        backend: &HcsBackend,
        request: BuildRequest,
        cancel: CancellationToken,
    ) -> Built {
        let events = EventSink::new(request.build.clone());
        let cx = BuildCx { events: events.clone(), cancel, emulated: false };
        let result = backend.build(request, cx).await;
        let (mut printed, mut cached) = (String::new(), 0);
        events.emit(EventKind::Finished { error: None });
        for event in events.subscribe().collect::<Vec<_>>().await {
            match &event.kind {
                EventKind::StepOutput { data, .. } => printed += &String::from_utf8_lossy(&data.0),
                EventKind::StepFinished { cached: true, .. } => cached += 1,
                _ => {}
            }
        }
        Built { result, printed, cached }
    }

    /// Fails if anything is left of any build but images and layers of images.
    pub(super) fn assert_clean(&self) {
        assert_eq!(self.windows.left(), Vec::<String>::new());
        let root = self.store.root().join("backends/hcs");
        for folder in ["tmp", "scratch"] {
            assert_eq!(names(&root.join(folder)), Vec::<String>::new(), "in {folder}");
        }
        for folder in names(&root.join("journal")) {
            let path = root.join("journal").join(&folder);
            assert!(!path.is_dir() || names(&path).is_empty(), "notes of {folder}");
        }
        let layers = root.join("layers");
        for name in names(&layers).iter().filter(|name| !name.contains('.')) {
            assert!(layers.join(format!("{name}.complete")).exists(), "half a layer is left");
        }
    }

    /// The members of the layers that an image has beside those of the base, by name.
    pub(super) fn made(&self, image: &BuiltImage) -> Vec<BTreeMap<String, String>> {
        let manifest = self.document(&image.manifest);
        let layers = manifest["layers"].as_array().expect("layers").iter().skip(2);
        layers.map(|layer| self.members(layer)).collect()
    }

    /// The layers of the base, bottom first.
    pub(super) fn base_layers(&self) -> Vec<Digest> {
        let manifest = self.document(&self.base);
        let layers = manifest["layers"].as_array().expect("layers").iter();
        layers.map(|layer| serde_json::from_value(layer["digest"].clone()).expect("a digest")).collect()
    }

    pub(super) fn config(&self, image: &BuiltImage) -> Value {
        serde_json::from_slice(&self.store.read_document(&image.config).expect("a config")).expect("json")
    }

    fn document(&self, descriptor: &Descriptor) -> Value {
        let bytes = self.store.read_document(&descriptor.digest).expect("a document");
        serde_json::from_slice(&bytes).expect("json")
    }

    fn members(&self, layer: &Value) -> BTreeMap<String, String> {
        let digest: Digest = serde_json::from_value(layer["digest"].clone()).expect("a digest");
        let blob = self.store.open_blob(&digest).expect("a blob");
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(blob));
        let members = archive.entries().expect("members").map(|member| {
            let mut member = member.expect("a member");
            let name = member.path().expect("a name").display().to_string();
            let mut text = String::new();
            member.read_to_string(&mut text).expect("text");
            (name, text)
        });
        members.collect()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Puts a base of two layers into the store.
fn base(store: &Store, version: &str) -> Descriptor {
    let system = archive(&[
        ("Files", None),
        ("Files/Windows", None),
        ("Files/Windows/net.exe", Some("MZ net")),
        ("Files/old.txt", Some("from the base")),
        ("Hives", None),
        ("Hives/System_Base", Some("regf")),
        ("UtilityVM", None),
        ("UtilityVM/Files", None),
        ("UtilityVM/Files/boot.efi", Some("MZ boot")),
    ]);
    let update = archive(&[("Files", None), ("Files/License.txt", Some("of the update")), ("Hives", None)]);
    let mut layers = Vec::new();
    for bytes in [system, update] {
        layers.push(put(store, "application/vnd.oci.image.layer.v1.tar", &bytes));
    }
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest.clone()).collect();
    let config = json!({
        "os": "windows", "os.version": version, "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "config": {"Env": ["BASE=yes"], "User": "ContainerUser"},
    });
    let config = put(store, media_type::CONFIG, &serde_json::to_vec(&config).expect("json"));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::MANIFEST, "config": config, "layers": layers,
    });
    put(store, media_type::MANIFEST, &serde_json::to_vec(&manifest).expect("json"))
}

fn put(store: &Store, media_type: &str, bytes: &[u8]) -> Descriptor {
    let digest = store.put(bytes).expect("a blob");
    let (size, media_type) = (bytes.len() as u64, media_type.to_owned());
    Descriptor { media_type, digest, size, annotations: BTreeMap::new() }
}

/// An archive of directories, and files with their text.
fn archive(members: &[(&str, Option<&str>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in members {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_entry_type(if text.is_some() {
            tar::EntryType::Regular
        } else {
            tar::EntryType::Directory
        });
        let text = text.unwrap_or_default();
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, name, text.as_bytes()).expect("a member");
    }
    archive.into_inner().expect("an archive")
}
