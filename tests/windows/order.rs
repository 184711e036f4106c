//! Calls in a wrong order or about wrong things are refused, as Windows does.

use std::{
    fs,
    path::{Path, PathBuf},
};

use polyarch::backend::hcs::{HcsApi as _, HcsResult};
use serde_json::Value;

use super::scene::{Scene, alone, command, data, document, run};

/// The code that a call was refused with.
fn code<T>(result: HcsResult<T>) -> Option<u32> {
    result.err().map(|error| error.code)
}

const NOT_READY: Option<u32> = Some(0x8007_0015);
const IN_USE: Option<u32> = Some(0x8007_0020);
const WRONG: Option<u32> = Some(0x8007_0057);
const BROKEN: Option<u32> = Some(0x8007_000D);

#[test]
fn layers_are_refused_in_a_wrong_order() {
    alone(concat!(module_path!(), "::layers_are_refused_in_a_wrong_order"), |scene| {
        let base = scene.base("base");
        let below = [base.clone()];
        let api = &scene.api;
        let layer = scene.folder.join("scratch");
        assert_eq!(code(api.activate_layer(&layer)), Some(0x8007_0002), "it is not there");
        let mut unknown = base.clone();
        unknown.path = scene.folder.join("elsewhere").join("base");
        assert_eq!(code(api.create_scratch(&layer, &[unknown])), Some(0x8007_0002), "not a layer");
        let mut other_id = base.clone();
        other_id.id.0[0] ^= 1;
        assert_eq!(code(api.create_scratch(&layer, &[other_id])), WRONG, "not its id");
        assert_eq!(code(api.create_scratch(&layer, &[])), WRONG, "nothing below");
        assert_eq!(code(api.create_scratch(&layer, &[base.clone(), base])), WRONG, "twice");

        api.create_scratch(&layer, &below).expect("a scratch");
        assert_eq!(code(api.create_scratch(&layer, &below)), Some(0x8007_0050), "it is there");
        assert_eq!(code(api.prepare_layer(&layer, &below)), NOT_READY, "it is not active");
        assert_eq!(code(api.mount_path(&layer)), NOT_READY, "it is not prepared");
        api.activate_layer(&layer).expect("an active layer");
        assert_eq!(code(api.activate_layer(&layer)), IN_USE, "twice");
        assert_eq!(code(api.destroy_layer(&layer)), IN_USE, "it is active");
        api.prepare_layer(&layer, &below).expect("a prepared layer");
        assert_eq!(code(api.export_layer(&layer, &scene.folder.join("export"), &below)), IN_USE, "prepared");
        assert_eq!(code(api.deactivate_layer(&layer)), IN_USE, "it is prepared");
        assert_eq!(code(api.destroy_layer(&scene.folder.join("base"))), IN_USE, "there is one above");
        scene.destroy(&layer);
        assert_eq!(code(api.destroy_layer(&layer)), Some(0x8007_0003), "it is gone");
        assert_eq!(code(api.process_base(&scene.folder.join("base"))), Some(0x8007_0050), "twice");
    });
}

/// What makes a staging folder wrong.
type Damage<'a> = &'a dyn Fn(&Path);

/// A list of what is removed, with a name that leads out of the layer.
const ELSEWHERE: &[u8] = b"\xEF\xBB\xBFVersion 1.0\r\n\\..\\x\r\n";

fn remove(path: &Path) {
    fs::remove_file(path).expect("a file");
}

/// A staging folder that is right.
fn staging(scene: &Scene) -> PathBuf {
    let staging = scene.folder.join("staging");
    let _ = fs::remove_dir_all(&staging);
    fs::create_dir_all(staging.join(r"Files\dir")).expect("a folder");
    fs::create_dir_all(staging.join("Hives")).expect("a folder");
    let described = |attributes: u32, stream: &[u8]| [&attributes.to_le_bytes(), stream].concat();
    fs::write(staging.join(r"Files\dir.$wcidirs$"), described(0x10, &[])).expect("a file");
    fs::write(staging.join(r"Files\dir\file"), described(0x20, &data(b"new"))).expect("a file");
    staging
}

#[test]
fn only_the_form_of_an_export_is_imported() {
    alone(concat!(module_path!(), "::only_the_form_of_an_export_is_imported"), |scene| {
        let below = [scene.base("base")];
        let layer = scene.folder.join("imported");
        let write = |at: &Path, file: &str, bytes: &[u8]| fs::write(at.join(file), bytes).expect("a file");
        let half = [&[32, 0, 0, 0], &data(b"new")[..21]].concat();
        let breaks: [(&str, Damage<'_>); 9] = [
            ("no hives", &|at| fs::remove_dir_all(at.join("Hives")).expect("a folder")),
            ("a strange file", &|at| write(at, "strange", b"")),
            ("a directory without attributes", &|at| remove(&at.join(r"Files\dir.$wcidirs$"))),
            ("attributes without a directory", &|at| write(at, r"Files\no.$wcidirs$", &[16, 0, 0, 0])),
            ("no attributes", &|at| write(at, r"Files\dir\file", b"abc")),
            ("a file that says directory", &|at| write(at, r"Files\dir\file", &[16, 0, 0, 0])),
            ("half a record", &|at| write(at, r"Files\dir\file", &half)),
            ("tombstones without a mark", &|at| write(at, "tombstones.txt", b"Version 1.0\r\n")),
            ("a tombstone that leads elsewhere", &|at| write(at, "tombstones.txt", ELSEWHERE)),
        ];
        for (name, damage) in breaks {
            let staging = staging(scene);
            damage(&staging);
            assert_eq!(code(scene.api.import_layer(&layer, &staging, &below)), BROKEN, "{name}");
            fs::remove_dir_all(&layer).expect("a folder");
        }
        scene.api.import_layer(&layer, &staging(scene), &below).expect("a layer");
        assert_eq!(fs::read(layer.join(r"Files\dir\file")).ok().as_deref(), Some(&b"new"[..]));
        assert_eq!(scene.left(), Vec::<String>::new());
    });
}

#[test]
fn only_documents_that_fit_the_layers_make_a_system() {
    alone(concat!(module_path!(), "::only_documents_that_fit_the_layers_make_a_system"), |scene| {
        let below = [scene.base("base")];
        let (layer, volume) = scene.prepared("scratch", &below);
        let right = document(&volume, &below);
        let changes: [(&str, Value, Option<u32>); 8] = [
            ("/SchemaVersion/Major", 1.into(), WRONG),
            ("/Container/Storage/Path", r"C:\volume".into(), WRONG),
            ("/Container/Storage/Path", volume.trim_end_matches('\\').into(), WRONG),
            ("/Container/Storage/Layers", Value::Array(Vec::new()), WRONG),
            ("/Container/Storage/Layers/0/Id", "00000000-0000-0000-0000-000000000000".into(), WRONG),
            ("/Container/GuestOs/HostName", "no name".into(), WRONG),
            ("/Container/GuestOs", serde_json::json!({ "HostName": "b", "Unknown": 1 }), Some(0x8037_010D)),
            ("/Owner", Value::Null, Some(0x8037_010D)),
        ];
        for (place, value, refusal) in changes {
            let mut document = right.clone();
            *document.pointer_mut(place).expect(place) = value;
            assert_eq!(code(scene.api.create_system("one", &document.to_string())), refusal, "{place}");
        }
        assert_eq!(code(scene.api.create_system("one", "{")), Some(0x8037_010D));

        let system = scene.api.create_system("one", &right.to_string()).expect("a system");
        assert_eq!(
            code(scene.api.create_system("one", &right.to_string())),
            Some(0x8037_010F),
            "the same id"
        );
        assert_eq!(code(scene.api.create_system("two", &right.to_string())), IN_USE, "the same volume");
        assert_eq!(code(run(&*system, &command("exit 0"))), Some(0x8037_0105), "it has not started");
        system.start().expect("a start");
        assert_eq!(code(system.start()), Some(0x8037_0105), "twice");
        let mut unknown = command("exit 0");
        unknown["Unknown"] = 1.into();
        assert_eq!(code(run(&*system, &unknown)), Some(0x8037_010D));
        assert_eq!(code(scene.api.unprepare_layer(&layer)), IN_USE, "a system uses it");
        drop(system);
        scene.destroy(&layer);
    });
}
