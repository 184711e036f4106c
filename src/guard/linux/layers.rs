//! Removes layers that nothing refers to from a storage of containers/storage.
//!
//! buildah makes a layer first, and the image or container that it is for later. Where the disk becomes full in
//! between, or buildah is killed, the layer stays, as large as it is, and buildah itself never looks for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use serde::Deserialize;

use super::{
    cleanup::{empty, or_gone},
    protocol::{Emptied, Layers},
};

/// What is read of an entry in the list of layers.
#[derive(Deserialize)]
struct Layer {
    id: String,
    #[serde(default)]
    parent: Option<String>,
}

/// What is read of an image or a container.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    #[serde(default)]
    layer: Option<String>,
    #[serde(default)]
    mapped_layers: Vec<String>,
}

/// Removes the layers that no image and no container rests on. Returns what could not be done.
pub(super) fn remove_unused(layers: &Layers) -> Result<(), String> {
    remove(layers).map_err(|error| format!("{} has layers of no use: {error}", layers.folder.display()))
}

fn remove(layers: &Layers) -> io::Result<()> {
    let Some(list) = read::<Vec<serde_json::Value>>(&layers.list)? else { return Ok(()) };
    let known: Vec<Layer> = list.iter().map(Layer::deserialize).collect::<Result<_, _>>()?;
    let used = used(layers, &known)?;
    let unused: Vec<&str> =
        known.iter().map(|layer| layer.id.as_str()).filter(|id| !used.contains(*id)).collect();
    if unused.is_empty() {
        return Ok(());
    }
    for id in &unused {
        remove_one(layers, id)?;
    }
    // Only now: on a full disk nothing could be written before. Whoever is killed in between has left layers that are
    // still of no use, and the next one begins again.
    let kept: Vec<&serde_json::Value> = list
        .iter()
        .zip(&known)
        .filter(|(_, layer)| used.contains(&layer.id))
        .map(|(entry, _)| entry)
        .collect();
    let new = layers.list.with_extension("new");
    let written = fs::write(&new, serde_json::to_vec(&kept)?).and_then(|()| fs::rename(&new, &layers.list));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

/// The layers of images and containers, and all below those.
fn used(layers: &Layers, known: &[Layer]) -> io::Result<BTreeSet<String>> {
    let parents: BTreeMap<&str, &str> =
        known.iter().filter_map(|layer| Some((layer.id.as_str(), layer.parent.as_deref()?))).collect();
    let mut used = BTreeSet::new();
    for list in &layers.users {
        let users: Vec<User> = read(list)?.unwrap_or_default();
        for top in users.iter().flat_map(|user| user.layer.iter().chain(&user.mapped_layers)) {
            let mut next = Some(top.as_str());
            while let Some(id) = next.filter(|id| used.insert((*id).to_owned())) {
                next = parents.get(id).copied();
            }
        }
    }
    Ok(used)
}

/// Removes what is kept of one layer: its folder, the short name for that, and what stands beside the list.
fn remove_one(layers: &Layers, id: &str) -> io::Result<()> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(io::Error::other(format!("{id:?} is no id of a layer")));
    }
    let folder = layers.folder.join(id);
    if let Ok(short) = fs::read_to_string(folder.join("link"))
        && short.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        or_gone(fs::remove_file(layers.folder.join("l").join(short)))?;
    }
    let emptied = Emptied { folder: folder.clone(), keep_prefix: None, only_after_kill: false };
    empty(&emptied).map_err(io::Error::other)?;
    or_gone(fs::remove_dir(folder))?;
    or_gone(fs::remove_file(layers.list.with_file_name(format!("{id}.tar-split.gz"))))
}

/// A list in a file. There is none where the storage never had an entry of the kind.
fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        // An empty list may stand as `null`.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A storage with layers, each as its id and its parent.
    struct Scene {
        folder: tempfile::TempDir,
        layers: Layers,
    }

    impl Scene {
        fn new(layers: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = |text: &str| folder.path().join(text);
            fs::create_dir_all(path("overlay/l")).expect("made");
            fs::create_dir(path("overlay-layers")).expect("made");
            let entry = |(id, parent): &(&str, &str)| {
                let layer = path("overlay").join(id);
                fs::create_dir_all(layer.join("diff")).expect("made");
                fs::write(layer.join("diff/large"), "x").expect("written");
                fs::write(layer.join("link"), format!("SHORT{id}")).expect("written");
                std::os::unix::fs::symlink(layer, path("overlay/l").join(format!("SHORT{id}")))
                    .expect("linked");
                fs::write(path("overlay-layers").join(format!("{id}.tar-split.gz")), "x").expect("written");
                serde_json::json!({"id": id, "parent": parent, "diff-size": u64::MAX})
            };
            let list: Vec<_> = layers.iter().map(entry).collect();
            fs::write(path("overlay-layers/layers.json"), serde_json::json!(list).to_string())
                .expect("written");
            let layers = Layers {
                list: path("overlay-layers/layers.json"),
                users: vec![path("images.json"), path("containers.json")],
                folder: path("overlay"),
            };
            Self { folder, layers }
        }

        fn path(&self, text: &str) -> PathBuf {
            self.folder.path().join(text)
        }

        fn write(&self, file: &str, text: &str) {
            fs::write(self.path(file), text).expect("written");
        }

        /// The ids in the list.
        fn listed(&self) -> Vec<String> {
            let known: Vec<Layer> = read(&self.layers.list).expect("read").expect("a list");
            known.into_iter().map(|layer| layer.id).collect()
        }

        /// What is there of a layer, besides its entry.
        fn parts(&self, id: &str) -> Vec<PathBuf> {
            let parts = [
                format!("overlay/{id}"),
                format!("overlay/l/SHORT{id}"),
                format!("overlay-layers/{id}.tar-split.gz"),
            ];
            parts.iter().map(|part| self.path(part)).filter(|part| part.symlink_metadata().is_ok()).collect()
        }
    }

    #[test]
    fn what_images_and_containers_rest_on_stays_and_the_rest_goes() {
        let scene =
            Scene::new(&[("a1", ""), ("a2", "a1"), ("b1", "a1"), ("b2", "b1"), ("c1", ""), ("d1", "e0")]);
        scene.write(
            "images.json",
            r#"[{"id": "i", "layer": "a2", "mapped-layers": ["c1"]}, {"id": "scratch"}]"#,
        );
        scene.write("containers.json", r#"[{"id": "c", "layer": "d1"}]"#);
        remove_unused(&scene.layers).expect("removed");
        assert_eq!(scene.listed(), ["a1", "a2", "c1", "d1"]);
        for gone in ["b1", "b2"] {
            assert_eq!(scene.parts(gone), Vec::<PathBuf>::new());
        }
        assert_eq!(scene.parts("a1").len(), 3);
        let list = fs::read_to_string(&scene.layers.list).expect("a list");
        assert!(list.contains(&u64::MAX.to_string()), "{list}");
    }

    #[test]
    fn a_storage_without_images_uses_none_of_its_layers() {
        let scene = Scene::new(&[("a1", "")]);
        scene.write("containers.json", "null");
        remove_unused(&scene.layers).expect("removed");
        assert_eq!(scene.listed(), [""; 0]);
        assert_eq!(scene.parts("a1"), Vec::<PathBuf>::new());
        // Half of it may be gone already.
        scene.write("overlay-layers/layers.json", r#"[{"id": "a1"}]"#);
        remove_unused(&scene.layers).expect("removed");
        assert_eq!(scene.listed(), [""; 0]);
    }

    #[test]
    fn nothing_goes_where_a_list_cannot_be_understood() {
        let scene = Scene::new(&[("a1", "")]);
        for (file, text) in [
            ("images.json", "[{"),
            ("containers.json", "{}"),
            ("overlay-layers/layers.json", "[{\"id\": 1}]"),
        ] {
            let before = fs::read(scene.path(file)).unwrap_or(b"[]".to_vec());
            scene.write(file, text);
            remove_unused(&scene.layers).expect_err(file);
            assert_eq!(scene.parts("a1").len(), 3, "{file}");
            fs::write(scene.path(file), before).expect("written");
        }
        scene.write("overlay-layers/layers.json", r#"[{"id": "../overlay"}]"#);
        remove_unused(&scene.layers).expect_err("no id");
        assert!(scene.path("overlay/a1").is_dir());
        fs::remove_file(&scene.layers.list).expect("removed");
        remove_unused(&scene.layers).expect("nothing to do");
    }
}
