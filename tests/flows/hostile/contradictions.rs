//! Registries whose manifests, configs and layers contradict each other.

use std::path::PathBuf;

use polyarch::oci::digest_of;
use serde_json::{Value, json};

use super::registries::{all_refused, layer, path_of};
use crate::support::{
    command::Desk,
    images::{Layer, Tar, gzip},
    lies::{Answer, Liar},
    registry::{OCI_INDEX, OCI_MANIFEST},
};

#[test]
fn configs_and_layers_that_contradict_each_other_are_refused() {
    let liar = Liar::start();
    let put = |name: &str, layers: &[Layer], config: fn(&mut Value), manifest: fn(&mut Value)| {
        let mut image = liar.image(name, layers, config);
        manifest(&mut image);
        liar.manifest(name, &image);
    };
    let more = |config: &mut Value| {
        let first = config["rootfs"]["diff_ids"][0].clone();
        config["rootfs"]["diff_ids"].as_array_mut().expect("a list").push(first);
    };
    put("more", &[layer()], more, |_| {});
    put("fewer", &[layer()], |config| config["rootfs"]["diff_ids"] = json!([]), |_| {});
    put("platform", &[layer()], |config| config["architecture"] = json!("s390x"), |_| {});
    put("no-config", &[layer()], |config| *config = json!("text"), |_| {});
    put(
        "count",
        &[layer()],
        |_| {},
        |manifest| {
            manifest["layers"] = json!(vec![manifest["layers"][0].clone(); 40_000]);
        },
    );
    put("negative", &[layer()], |_| {}, |manifest| manifest["layers"][0]["size"] = json!(-1));
    put(
        "digest",
        &[layer()],
        |_| {},
        |manifest| manifest["layers"][0]["digest"] = json!("sha256:../../../etc"),
    );
    put("path", &[layer()], |_| {}, |manifest| manifest["config"]["digest"] = json!("../../x:00"));
    put("both", &[layer()], |_| {}, |manifest| manifest["manifests"] = json!([]));
    put("kind", &[layer()], |_| {}, |manifest| manifest["mediaType"] = json!(OCI_INDEX));
    put("config-size", &[layer()], |_| {}, |manifest| manifest["config"]["size"] = json!(9 << 20));
    all_refused(
        &liar,
        &[
            ("more", 6, &["its manifest has 1 layers and its config 2"]),
            ("fewer", 6, &["its manifest has 1 layers and its config 0"]),
            ("platform", 6, &["it is there for linux/s390x only"]),
            ("no-config", 6, &["its config is malformed"]),
            ("count", 6, &["it has 40000 layers, more than the 512"]),
            ("negative", 7, &["manifest"]),
            ("digest", 7, &["digest"]),
            ("path", 7, &["digest"]),
            ("both", 7, &["it is an image and an index at once"]),
            ("kind", 7, &["it says it is"]),
            ("config-size", 6, &["its config has 9437184 bytes, more than"]),
        ],
    );
}

#[test]
fn layers_that_are_not_what_the_config_says_are_not_looked_into() {
    let liar = Liar::start();
    let archive = Tar::new().file("file", "text").end();
    for (name, blob, kind) in [
        ("diff", gzip(&Tar::new().file("file", "evil").end()), "tar+gzip"),
        ("text", b"no archive at all ".repeat(99), "tar+gzip"),
        ("foreign", gzip(&archive), "foreign"),
    ] {
        let layer = Layer { blob, diff_id: digest_of(&archive) };
        let mut image = liar.image(name, &[layer], |_| {});
        if kind == "foreign" {
            let digest = path_of(name, &image["layers"][0]);
            let place = format!("http://{}/secret-of-the-intranet", liar.address);
            image["layers"][0]["mediaType"] =
                json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
            image["layers"][0]["urls"] = json!([place, "file:///etc/passwd", "gopher://x/"]);
            liar.put(&digest, Answer::missing());
        }
        liar.manifest(name, &image);
    }
    // A layer is what its bytes say, as everywhere else; only its digests count.
    let mut image = liar.image("plain", &[layer()], |_| {});
    image["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+zstd");
    liar.manifest("plain", &image);
    for (name, code, words) in [
        ("diff", 3, "its content has digest"),
        ("text", 3, "wrong checksum"),
        ("foreign", 7, "was not found"),
        ("plain", 0, ""),
    ] {
        let desk = Desk::new();
        let dockerfile = format!("FROM scratch\nCOPY --from={}/{name} /file /f\n", liar.address);
        let context = desk.context("app", dockerfile);
        let ended = desk.run(["build", "--backend", "sandbox", "-t", "app:1", &context]);
        if code == 0 {
            ended.success();
        } else {
            ended.fails(code, &[words]);
            assert_eq!(desk.names(), [""; 0], "{name}");
        }
        assert_eq!(desk.scratch(&desk.store()), Vec::<PathBuf>::new(), "{name}");
    }
    assert!(liar.asked().iter().all(|head| !head.contains("intranet")), "nobody's addresses are asked for");
}

#[test]
fn indexes_that_lead_to_themselves_end() {
    let liar = Liar::start();
    // Its own digest cannot be in it, but its own name can answer to the digest that it has in it.
    let entry = json!({
        "mediaType": OCI_INDEX, "digest": digest_of(b"no such index"), "size": 100,
        "platform": {"os": "linux", "architecture": "amd64"},
    });
    liar.index("itself", std::slice::from_ref(&entry));
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry.clone()]});
    let digest = entry["digest"].as_str().expect("a digest").to_owned();
    liar.put(&format!("/v2/itself/manifests/{digest}"), Answer::of(OCI_INDEX, index.to_string()));
    // The same, named as a manifest.
    let mut disguised = entry;
    disguised["mediaType"] = json!(OCI_MANIFEST);
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [disguised.clone()]});
    liar.index("disguised", &[disguised]);
    liar.put(&format!("/v2/disguised/manifests/{digest}"), Answer::of(OCI_INDEX, index.to_string()));
    // Ten deep, with an image at the bottom.
    let mut inner = liar.manifest("deep", &liar.image("deep", &[layer()], |_| {}));
    for _ in 0..10 {
        inner = liar.index("deep", &[inner]);
    }
    // A manifest of the wrong kind under an honest digest.
    let mut index = liar.index("index-as-image", &[]);
    index["mediaType"] = json!(OCI_MANIFEST);
    liar.index("index-as-image", &[index]);
    all_refused(
        &liar,
        &[
            ("itself", 6, &["it is there for other platforms only"]),
            ("disguised", 7, &["with digest"]),
            ("deep", 6, &["it is there for other platforms only"]),
            ("index-as-image", 7, &["its index gives it another length or media type"]),
        ],
    );
}
