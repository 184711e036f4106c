//! What the tests of the session share: a store, layers made of busybox, and a way to run scripts.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use polyarch::{
    oci::{
        Store,
        layer::{EntryKind, Layer, LayerEntry, LayerOptions, LayerWriter},
    },
    session::{
        Ended, LinuxSession, Session as _, SessionError, SessionOptions, Step, StepLayer, StepOutcome,
    },
};
use tokio_util::sync::CancellationToken;

use super::{buildah::helper, tools};

/// What busybox is called in the images of the tests.
const NAMES: &str = "sh cat echo sleep true false uname id ls mkdir rm touch chmod chown stat ln mv test grep mount \
                     mknod ps kill env hostname head find readlink su dd wc sort setsid mkfifo nc sync tr cut sed ip umount xargs uniq unshare timeout";

/// A store, a session on it, and a base image.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) session: LinuxSession,
    pub(crate) base: Vec<StepLayer>,
}

impl Bench {
    /// A new one; `None` where busybox is missing.
    pub(crate) fn new() -> Option<Self> {
        Self::with(SessionOptions::default())
    }

    pub(crate) fn with(options: SessionOptions) -> Option<Self> {
        if !Path::new("/bin/busybox").is_file() && !tools::require("busybox") {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("polyarch-session").tempdir().expect("a folder");
        let store = folder.path().join("store");
        Some(Self::open(folder, &store, options))
    }

    /// One whose store is elsewhere, and stays.
    pub(crate) fn in_folder(path: &Path) -> Option<Self> {
        if !Path::new("/bin/busybox").is_file() && !tools::require("busybox") {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("polyarch-session").tempdir().expect("a folder");
        Some(Self::open(folder, &path.join("store"), SessionOptions::default()))
    }

    fn open(folder: tempfile::TempDir, store: &Path, options: SessionOptions) -> Self {
        let busybox = PathBuf::from("/bin/busybox");
        let store = Store::open(store).expect("a store");
        let options = SessionOptions { helper: Some(options.helper.unwrap_or_else(helper)), ..options };
        let session = LinuxSession::new(store.clone(), options);
        let program = fs::read(busybox).expect("busybox");
        let base = layer(&store, |layer| {
            for name in ["bin", "etc", "tmp", "root", "home"] {
                layer.directory(name, if name == "tmp" { 0o1777 } else { 0o755 });
            }
            layer.file("bin/busybox", &program, 0o755);
            for name in NAMES.split_whitespace() {
                layer.link(&format!("bin/{name}"), "busybox");
            }
            let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
            layer.file("etc/passwd", passwd.as_bytes(), 0o644);
            layer.file("etc/group", b"root:x:0:\napp:x:1000:\nweb:x:33:app\n", 0o644);
        });
        Self { folder, store, session, base: vec![base] }
    }

    /// A folder that goes with it.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A step that runs a script on top of the base image.
    pub(crate) fn step(&self, script: &str) -> Step {
        Step {
            layers: self.base.clone(),
            command: ["sh", "-c", script].map(Into::into).to_vec(),
            env: vec![("PATH".into(), "/bin".into())],
            workdir: "/".into(),
            ..Step::default()
        }
    }

    /// Runs a step and returns its outcome with everything that it printed.
    pub(crate) async fn run(&self, step: Step) -> (Result<StepOutcome, SessionError>, String) {
        let mut printed = Vec::new();
        let mut output = |_, bytes: &[u8]| printed.extend_from_slice(bytes);
        let outcome = self.session.run(step, &mut output, &CancellationToken::new()).await;
        (outcome, String::from_utf8_lossy(&printed).into_owned())
    }

    /// Runs a script that must succeed. Returns the layers with what it changed on top, and what it printed.
    pub(crate) async fn script(&self, layers: &[StepLayer], script: &str) -> (Vec<StepLayer>, String) {
        let (outcome, printed) = self.run(Step { layers: layers.to_vec(), ..self.step(script) }).await;
        let outcome = outcome.expect("an outcome");
        assert_eq!(outcome.ended, Ended::Code(0), "{script}: {printed}");
        (on_top(layers, &outcome), printed)
    }
}

/// Some layers with that of a step on top.
pub(crate) fn on_top(layers: &[StepLayer], outcome: &StepOutcome) -> Vec<StepLayer> {
    layers.iter().cloned().chain(outcome.layer.as_ref().map(reference)).collect()
}

/// A layer as steps name it.
pub(crate) fn reference(layer: &Layer) -> StepLayer {
    StepLayer { digest: layer.digest.clone(), diff_id: layer.diff_id.clone() }
}

/// The paths of a layer, deletions with an exclamation mark.
pub(crate) fn paths(outcome: &StepOutcome) -> Vec<String> {
    let show = |record: &polyarch::session::LayerRecord| {
        let mark = if record.kind == polyarch::session::RecordKind::Whiteout { "!" } else { "" };
        format!("{mark}{}", String::from_utf8_lossy(&record.path))
    };
    outcome.records.iter().map(show).collect()
}

/// A layer that is being made for a test.
pub(crate) struct Making(pub(crate) LayerWriter);

/// Makes a layer in the store.
pub(crate) fn layer(store: &Store, make: impl FnOnce(&mut Making)) -> StepLayer {
    let mut making = Making(LayerWriter::new(store, LayerOptions::default()).expect("a writer"));
    make(&mut making);
    reference(&making.0.finish().expect("a layer"))
}

impl Making {
    pub(crate) fn put(&mut self, name: &str, kind: EntryKind<'_>, mode: u32, content: impl io::Read) {
        let name = name.as_bytes();
        let entry = LayerEntry { name, kind, mode, uid: 0, gid: 0, mtime: 1_000_000_000, xattrs: &[] };
        self.0.append(&entry, content).expect("appended");
    }

    pub(crate) fn directory(&mut self, name: &str, mode: u32) {
        self.put(name, EntryKind::Directory, mode, io::empty());
    }

    pub(crate) fn file(&mut self, name: &str, content: &[u8], mode: u32) {
        self.put(name, EntryKind::File { size: content.len() as u64 }, mode, content);
    }

    pub(crate) fn link(&mut self, name: &str, target: &str) {
        self.put(name, EntryKind::Symlink { target: target.as_bytes() }, 0o777, io::empty());
    }
}

/// The smallest program for riscv64: it exits with 42.
pub(crate) fn riscv_program() -> Vec<u8> {
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(16, 0);
    let (at, head, entry) = (0x1_0000_u64, 64_u64, 64 + 56_u64);
    // An executable for that CPU, whose only segment is the whole file.
    program.extend([2_u16, 243].map(u16::to_le_bytes).concat());
    program.extend(1_u32.to_le_bytes());
    program.extend([at + entry, head, 0].map(u64::to_le_bytes).concat());
    program.extend(4_u32.to_le_bytes());
    program.extend([64_u16, 56, 1, 64, 0, 0].map(u16::to_le_bytes).concat());
    program.extend([1_u32, 5].map(u32::to_le_bytes).concat());
    program.extend([0, at, at, entry + 12, entry + 12, 0x1000].map(u64::to_le_bytes).concat());
    // addi a0, zero, 42; addi a7, zero, 93; ecall
    program.extend([0x02a0_0513_u32, 0x05d0_0893, 0x0000_0073].map(u32::to_le_bytes).concat());
    program
}
