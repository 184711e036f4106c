//! Cases with images for Windows: their base, and what is in their layers, read without polyarch.

use std::path::Path;

use polyarch::oci::Store;
use serde_json::Value;

use super::describe;
use crate::support::windows::{self, Layout, Member, RIGHTS};

/// How many layers the base has.
const BASE: usize = 2;

/// Makes the base that cases call `windows`, in `folder`: two builds of Windows. Returns where it is, as
/// `--build-context` takes it.
pub(super) fn base(folder: &Path) -> String {
    let store = Store::open(folder.join("windows")).expect("a store");
    let root = windows::base(&store, false);
    format!("oci-layout://{}@{}", store.root().display(), root.digest)
}

/// Everything that is compared of a layout in which an image is for Windows: the images of the index, whatever system
/// they are for, each line with the place of its image in front.
pub(super) fn describe(layout: &Path) -> Vec<String> {
    let layout = Layout(layout);
    let index = layout.index();
    let entries = index["manifests"].as_array().expect("entries");
    let lines = entries.iter().enumerate().flat_map(|(at, entry)| {
        let mut lines = vec![format!("platform {}", platform(&entry["platform"]))];
        lines.extend(image(&layout, entry));
        lines.into_iter().map(move |line| format!("{} {line}", at + 1)).collect::<Vec<_>>()
    });
    lines.collect()
}

/// An entry's platform: all that a host chooses by.
fn platform(platform: &Value) -> String {
    let text = |key: &str| platform[key].as_str().unwrap_or_default();
    let name = format!("{}/{}", text("os"), text("architecture"));
    let features = platform["os.features"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let parts = [name.as_str()].into_iter().chain(platform["os.version"].as_str()).chain(features);
    parts.collect::<Vec<_>>().join(" ")
}

fn image(layout: &Layout<'_>, entry: &Value) -> Vec<String> {
    let manifest = layout.document(entry);
    let config = layout.document(&manifest["config"]);
    assert_eq!(platform(&config), platform(&entry["platform"]), "the config says what the index says");
    let mut lines = describe::config(&config["config"]);
    lines.sort();
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!(Some(layers.len()), config["rootfs"]["diff_ids"].as_array().map(Vec::len));
    let below = if config["os"] == "windows" { BASE } else { 0 };
    lines.push(format!("layers {}", layers.len() - below));
    for (at, layer) in layers[below..].iter().enumerate() {
        let mut members = windows::members(&layout.blob(layer).expect("a layer"));
        if below == BASE {
            // Each layer for Windows begins with the two folders that Windows looks for.
            let begin = members.drain(..2).map(|member| member.name).collect::<Vec<_>>();
            assert_eq!(begin, ["Files/", "Hives/"]);
        }
        lines.extend(members.iter().map(|each| format!("layer {} {}", at + 1, member(each))));
    }
    lines
}

/// `folder NAME` or `file NAME SIZE "TEXT"`, then its attributes on Windows and whose its rights are, else its mode.
fn member(member: &Member) -> String {
    let what = match member.name.strip_suffix('/') {
        Some(name) => format!("folder {name}"),
        None => format!("file {} {} {:?}", member.name, member.text.len(), member.text),
    };
    let record = |key: &str| member.records.get(key).map(String::as_str);
    let Some(attributes) = record("MSWINDOWS.fileattr") else {
        return format!("{what} mode {:o}", member.mode);
    };
    let rights = match record("MSWINDOWS.rawsd") {
        Some(RIGHTS) => " rights of the base",
        Some(_) => "",
        None => " no rights",
    };
    format!("{what} attributes {attributes}{rights}")
}
