//! Bases of Windows as registries have them, in small, and what an independent reader finds in images made of them.

use std::{collections::BTreeMap, fs, io::Read as _, path::Path};

use polyarch::oci::{
    Store,
    index::{Index, IndexEntry},
};
use polyarch_actors::{Descriptor, Platform};
use serde_json::{Value, json};

use super::images::{DIRECTORY, HARD_LINK, Layer, SYMLINK, Tar, image_with};

/// The builds of Windows that [`base`] has, the older one first.
pub(crate) const VERSIONS: [&str; 2] = ["10.0.17763.6414", "10.0.20348.2700"];

/// What [`base`] says of the rights of its folders, and nobody else.
pub(crate) const RIGHTS: &str = "AQAEgAAAAAAAAAAAAAAAAAAAAAA=";

/// Puts an index into the store with a base for each of [`VERSIONS`]. With `foreign`, its lowest layer is one that no
/// registry may keep, and that is nowhere.
pub(crate) fn base(store: &Store, foreign: bool) -> Descriptor {
    let mut index = Index::default();
    for version in VERSIONS {
        let platform: Platform = format!("windows({version})/amd64").parse().expect("a platform");
        index.add(IndexEntry::new(one(store, version, foreign), &platform)).expect("added");
    }
    let root = index.save(store).expect("saved");
    // Only a store in which something has a name is a layout with an index.
    store.lock_names().expect("a lock").set(&"base".parse().expect("a name"), &root).expect("named");
    root
}

fn one(store: &Store, version: &str, foreign: bool) -> Descriptor {
    let layers = [Layer::of(&system()), Layer::of(&update(version))];
    let config = |config: &mut Value| {
        config["os"] = "windows".into();
        config["os.version"] = version.into();
        config["os.features"] = json!(["win32k"]);
        config["config"] = json!({"Env": ["Path=C:\\Windows"], "Cmd": ["c:\\windows\\system32\\cmd.exe"]});
    };
    let manifest = |manifest: &mut Value| {
        if foreign {
            // Its bytes are nowhere: whoever wants them fails.
            let layer = &mut manifest["layers"][0];
            layer["digest"] = format!("sha256:{}", "5".repeat(64)).into();
            layer["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into();
            layer["urls"] = json!(["https://example.com/windows"]);
            layer["annotations"] = json!({"com.example.kept": "as it is"});
        }
    };
    image_with(store, &layers, config, manifest)
}

/// The lowest layer: a file that is in two places, and a junction.
fn system() -> Vec<u8> {
    Tar::new()
        .member(DIRECTORY, "Files", "", b"")
        .with(&[("MSWINDOWS.fileattr", "16"), ("MSWINDOWS.rawsd", RIGHTS)])
        .member(DIRECTORY, "Files/Windows", "", b"")
        .with(&[("MSWINDOWS.fileattr", "22"), ("MSWINDOWS.rawsd", RIGHTS)])
        .member(DIRECTORY, "Files/Windows/System32", "", b"")
        // Links stand before what they are links to.
        .member(HARD_LINK, "Files/Windows/System32/net.exe", "Files/Windows/net.exe", b"")
        .file("Files/Windows/net.exe", "MZ net")
        .file("Files/Windows/net.exe:Zone.Identifier", "[ZoneTransfer]")
        .with(&[("MSWINDOWS.fileattr", "17"), ("MSWINDOWS.rawsd", RIGHTS)])
        .member(DIRECTORY, "Files/Users", "", b"")
        .with(&[("MSWINDOWS.fileattr", "1040"), ("MSWINDOWS.mountpoint", "1")])
        .member(SYMLINK, "Files/Documents and Settings", "\\??\\C:\\Users", b"")
        .member(DIRECTORY, "Hives", "", b"")
        .file("Hives/System_Base", "regf")
        .member(DIRECTORY, "UtilityVM", "", b"")
        .file("UtilityVM/Files", "x")
        .end()
}

/// What an update changes.
fn update(version: &str) -> Vec<u8> {
    Tar::new()
        .member(DIRECTORY, "Files", "", b"")
        .file("Files/License.txt", &format!("Windows {version}"))
        .member(DIRECTORY, "Hives", "", b"")
        .end()
}

/// A member of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) mode: u32,
    /// Its PAX records.
    pub(crate) records: BTreeMap<String, String>,
    pub(crate) text: String,
}

/// An OCI layout with one index, read without polyarch.
pub(crate) struct Layout<'f>(pub(crate) &'f Path);

impl Layout<'_> {
    pub(crate) fn document(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(&self.blob(descriptor).expect("a document")).expect("json")
    }

    /// A blob, if the layout has it.
    pub(crate) fn blob(&self, descriptor: &Value) -> Option<Vec<u8>> {
        let digest =
            descriptor["digest"].as_str().expect("a digest").strip_prefix("sha256:").expect("a digest");
        fs::read(self.0.join("blobs/sha256").join(digest)).ok()
    }

    /// The index.
    pub(crate) fn index(&self) -> Value {
        let outer: Value =
            serde_json::from_slice(&fs::read(self.0.join("index.json")).expect("an index")).expect("json");
        self.document(&outer["manifests"][0])
    }

    /// The manifest and the config of the first image for Windows.
    pub(crate) fn windows(&self) -> (Value, Value) {
        let index = self.index();
        let entries = index["manifests"].as_array().expect("entries");
        let entry = entries.iter().find(|entry| entry["platform"]["os"] == "windows").expect("for Windows");
        let manifest = self.document(entry);
        let config = self.document(&manifest["config"]);
        (manifest, config)
    }

    /// What is in the layers that were put on the base.
    pub(crate) fn made(&self) -> Vec<Vec<Member>> {
        let (manifest, config) = self.windows();
        let layers = manifest["layers"].as_array().expect("layers");
        assert_eq!(layers.len(), config["rootfs"]["diff_ids"].as_array().expect("digests").len());
        layers.iter().skip(2).map(|layer| members(&self.blob(layer).expect("a layer"))).collect()
    }
}

/// What is in a layer.
pub(crate) fn members(blob: &[u8]) -> Vec<Member> {
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(blob));
    let members = archive.entries().expect("members").map(|member| {
        let mut member = member.expect("a member");
        let mut records = BTreeMap::new();
        for record in member.pax_extensions().expect("records").into_iter().flatten() {
            let record = record.expect("a record");
            records.insert(record.key().expect("text").to_owned(), record.value().expect("text").to_owned());
        }
        let name = member.path().expect("a name").display().to_string();
        let mode = member.header().mode().expect("a mode");
        let mut text = String::new();
        member.read_to_string(&mut text).expect("text");
        Member { name, mode, records, text }
    });
    members.collect()
}
