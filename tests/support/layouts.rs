//! OCI layouts that are written and read without polyarch, on any system.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The version that `ci/wine` lets Wine have.
const VERSION: &str = "10.0.20348.2402";

/// The files of a layer: their names and what is in them.
pub(crate) type Files = Vec<(String, String)>;

/// What a command of polyarch did.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// All that it said.
    pub(crate) said: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
        Self { code: output.status.code(), said: said.replace("\r\n", "\n") }
    }
}

impl Ended {
    /// What it said, if it went well.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.said);
        self.said
    }
}

/// The command, in a folder.
pub(crate) fn polyarch(folder: &Path) -> Command {
    // Where the compiler has put it, in the words of this system.
    let program = std::path::absolute(env!("CARGO_BIN_EXE_polyarch")).expect("a path");
    let mut command = Command::new(program);
    command.current_dir(folder).env_remove("POLYARCH_STORE");
    command
}

/// The digest of bytes, in hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |digest, byte| digest + &format!("{byte:02x}"))
}

/// Puts a blob into a layout. Returns its descriptor.
fn blob(layout: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest = digest(bytes);
    fs::write(layout.join("blobs/sha256").join(&digest), bytes).expect("a blob");
    json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() })
}

/// A layer of Windows with the folders that each has, and a file.
fn windows_layer(file: &str) -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    for (name, attributes, kind) in [
        ("Files", "16", tar::EntryType::Directory),
        (file, "32", tar::EntryType::Regular),
        ("Hives", "16", tar::EntryType::Directory),
    ] {
        layer.append_pax_extensions([("MSWINDOWS.fileattr", attributes.as_bytes())]).expect("a header");
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(0);
        layer.append_data(&mut header, name, std::io::empty()).expect("a member");
    }
    layer.into_inner().expect("an archive")
}

/// Makes a layout with an image of these layers.
pub(crate) fn image(layout: &Path, platform: &Value, layers: &[Vec<u8>]) {
    fs::create_dir_all(layout.join("blobs/sha256")).expect("a folder");
    let put = |layer: &Vec<u8>| blob(layout, "application/vnd.oci.image.layer.v1.tar", layer);
    let layers: Vec<Value> = layers.iter().map(put).collect();
    let diff_ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
    let mut config = platform.clone();
    config["config"] = json!({});
    config["history"] = layers.iter().map(|_| json!({ "created_by": "a test" })).collect();
    config["rootfs"] = json!({ "type": "layers", "diff_ids": diff_ids });
    let config = blob(layout, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers });
    let mut manifest = blob(layout, media_type, manifest.to_string().as_bytes());
    manifest["platform"] = platform.clone();
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), index.to_string()).expect("an index");
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a layout");
}

/// Makes a base of Windows in a folder: two layers, so that one is put on another.
pub(crate) fn windows_base(layout: &Path) {
    let platform = json!({ "os": "windows", "architecture": "amd64", "os.version": VERSION });
    image(layout, &platform, &["Files/base.txt", "Files/update.txt"].map(windows_layer));
}

/// A layout.
#[derive(Debug)]
pub(crate) struct Layout(pub(crate) PathBuf);

impl Layout {
    /// The index of the only name in it, and its digest.
    pub(crate) fn index(&self) -> (Value, String) {
        let text = fs::read(self.0.join("index.json")).expect("an index");
        let outer: Value = serde_json::from_slice(&text).expect("json");
        let root = &outer["manifests"][0];
        (self.document(root), root["digest"].as_str().expect("a digest").to_owned())
    }

    fn blob(&self, descriptor: &Value) -> Vec<u8> {
        let name = descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
        let name = name.expect("a digest");
        let blob = fs::read(self.0.join("blobs/sha256").join(name)).expect("a blob");
        assert_eq!(digest(&blob), name);
        blob
    }

    fn document(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(&self.blob(descriptor)).expect("json")
    }

    /// The files in the layers of the first image, the lowest layer first.
    pub(crate) fn layers(&self) -> Vec<Files> {
        let manifest = self.document(&self.index().0["manifests"][0]);
        let layers = manifest["layers"].as_array().expect("layers");
        layers.iter().map(|layer| files(&self.blob(layer))).collect()
    }
}

/// The files in a layer, in the order of their names.
fn files(layer: &[u8]) -> Files {
    let bytes: Box<dyn std::io::Read> = match layer {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(layer)),
        _ => Box::new(layer),
    };
    let mut archive = tar::Archive::new(bytes);
    let mut files = Vec::new();
    for entry in archive.entries().expect("members") {
        let mut entry = entry.expect("a member");
        if entry.header().entry_type().is_file() {
            let name = String::from_utf8(entry.path_bytes().into_owned()).expect("a name");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("content");
            files.push((name, String::from_utf8_lossy(&bytes).replace("\r\n", "\n")));
        }
    }
    files.sort();
    files
}
