//! What this Windows refuses: each rule is broken once.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    codes::{ALREADY_EXISTS, BUSY, FILE_EXISTS, INVALID_ARGUMENT, INVALID_DATA, NO_SUCH_USER, WRONG_STATE},
    files,
    systems::layer_below,
    world::FakeWindows,
};
use crate::backend::hcs::{
    api::{ComputeSystem, FileAttributes, HcsApi as _, HcsResult, LayerBelow},
    document::{Container, Disk},
    fault::code,
    process_document::Process,
};

const FILE: FileAttributes =
    FileAttributes { attributes: 32, created: 1, accessed: 2, written: 3, changed: 4 };
const DIRECTORY: FileAttributes = FileAttributes { attributes: 16, ..FILE };

/// A Windows with a base and a layer on it.
struct Place {
    folder: tempfile::TempDir,
    windows: FakeWindows,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("a folder"),
            windows: FakeWindows::new("10.0.20348.1"),
        };
        place.base("base");
        place.staging("staged");
        place.import("layer", "staged", &["base"]).expect("imported");
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn below(&self, names: &[&str]) -> Vec<LayerBelow> {
        names.iter().map(|name| layer_below(&self.at(name))).collect()
    }

    fn write(&self, path: &Path, attributes: &FileAttributes, content: &[u8]) {
        let stream = if attributes.is_directory() { Vec::new() } else { files::data(content) };
        self.windows.write_backup(path, attributes, &mut stream.as_slice()).expect("written");
    }

    fn base(&self, name: &str) {
        let base = self.at(name);
        for folder in ["", "Files", "Files/app", "UtilityVM", "UtilityVM/Files"] {
            self.write(&base.join(folder), &DIRECTORY, b"");
        }
        self.write(&base.join("Files/app/x.txt"), &FILE, b"text");
        self.windows.process_base(&base).expect("a base");
        self.windows.process_utility_vm(&base.join("UtilityVM")).expect("bootable");
    }

    /// A folder in the form of an export, with one directory and one file.
    fn staging(&self, name: &str) -> PathBuf {
        let staging = self.at(name);
        fs::create_dir_all(staging.join("Files/new")).expect("folders");
        fs::write(staging.join("Files/new.$wcidirs$"), 16_u32.to_le_bytes()).expect("a file");
        let file = [32_u32.to_le_bytes().as_slice(), &files::data(b"new")].concat();
        fs::write(staging.join("Files/new/y.txt"), file).expect("a file");
        staging
    }

    fn import(&self, layer: &str, staging: &str, below: &[&str]) -> HcsResult<()> {
        self.windows.import_layer(&self.at(layer), &self.at(staging), &self.below(below))
    }

    fn scratch(&self, name: &str) -> PathBuf {
        let scratch = self.at(name);
        self.windows.create_scratch(&scratch, &self.all()).expect("a scratch");
        scratch
    }

    fn mounted(&self, name: &str) -> PathBuf {
        let scratch = self.scratch(name);
        self.windows.activate_layer(&scratch).expect("active");
        self.windows.prepare_layer(&scratch, &self.all()).expect("prepared");
        scratch
    }

    fn all(&self) -> Vec<LayerBelow> {
        self.below(&["layer", "base"])
    }

    fn document(&self, disk: Disk<'_>, id: &str) -> String {
        let below = self.all();
        let container = Container {
            owner: "tests",
            id,
            disk,
            below: &below,
            network: None,
            memory: None,
            processor: None,
        };
        container.document()
    }

    fn system(&self, scratch: &Path) -> Arc<dyn ComputeSystem> {
        let volume = self.windows.mount_path(scratch).expect("a volume");
        let document = self.document(Disk::Volume(&volume), "one");
        Arc::from(self.windows.create_system("one", &document).expect("a container"))
    }
}

#[track_caller]
fn refuses<T: std::fmt::Debug>(answer: HcsResult<T>, code: u32) {
    let error = answer.expect_err("it cannot be");
    assert_eq!(error.code, code, "{error}");
}

#[test]
fn a_base_has_files_with_their_rights_and_is_one_once() {
    let place = Place::new();
    refuses(place.windows.process_base(&place.at("base")), ALREADY_EXISTS);
    refuses(place.windows.process_base(&place.at("nothing")), code::PATH_NOT_FOUND);
    fs::create_dir_all(place.at("plain/Files/app")).expect("folders");
    refuses(place.windows.process_base(&place.at("plain")), INVALID_DATA);
    refuses(place.windows.process_utility_vm(&place.at("layer/UtilityVM")), code::PATH_NOT_FOUND);
    fs::create_dir_all(place.at("none/UtilityVM/Files")).expect("folders");
    refuses(place.windows.process_utility_vm(&place.at("none/UtilityVM")), code::PATH_NOT_FOUND);
}

#[test]
fn layers_below_are_whole_chains_with_their_ids_topmost_first() {
    let place = Place::new();
    refuses(place.import("other", "staged", &[]), INVALID_ARGUMENT);
    refuses(place.import("other", "staged", &["base", "layer"]), code::INVALID_LAYER);
    refuses(place.import("other", "staged", &["layer"]), code::INVALID_LAYER);
    refuses(place.import("other", "staged", &["nothing"]), code::PATH_NOT_FOUND);
    let mut renamed = place.all();
    renamed[0].id = renamed[1].id;
    refuses(place.windows.create_scratch(&place.at("scratch"), &renamed), INVALID_ARGUMENT);
    let scratch = place.scratch("scratch");
    let on_scratch = [layer_below(&scratch), layer_below(&place.at("base"))];
    refuses(place.windows.create_scratch(&place.at("another"), &on_scratch), code::INVALID_LAYER);
}

#[test]
fn what_is_imported_has_the_form_of_an_export() {
    let place = Place::new();
    refuses(place.import("layer", "staged", &["base"]), ALREADY_EXISTS);
    refuses(place.import("other", "nothing", &["base"]), code::PATH_NOT_FOUND);
    let break_it = |name: &str, broken: &dyn Fn(&Path)| {
        broken(&place.staging(name));
        refuses(place.import(&format!("of-{name}"), name, &["base"]), INVALID_DATA);
    };
    break_it("no-streams-of-a-directory", &|staging| {
        fs::remove_file(staging.join("Files/new.$wcidirs$")).expect("removed");
    });
    break_it("streams-of-no-directory", &|staging| {
        fs::write(staging.join("Files/gone.$wcidirs$"), 16_u32.to_le_bytes()).expect("written");
    });
    break_it("no-attributes", &|staging| fs::write(staging.join("Files/z"), b"x").expect("written"));
    break_it("no-streams", &|staging| {
        fs::write(
            staging.join("Files/z"),
            [32_u32.to_le_bytes().as_slice(), b"plain text, no stream"].concat(),
        )
        .expect("written");
    });
    break_it("a-file-as-a-directory", &|staging| {
        fs::write(staging.join("Files/z"), 16_u32.to_le_bytes()).expect("written");
    });
}

#[test]
fn a_disk_is_activated_then_prepared_and_undone_in_the_other_order() {
    let place = Place::new();
    let windows = &place.windows;
    let scratch = place.scratch("scratch");
    refuses(windows.create_scratch(&scratch, &place.all()), ALREADY_EXISTS);
    refuses(windows.activate_layer(&place.at("nothing")), code::PATH_NOT_FOUND);
    refuses(windows.activate_layer(&place.at("base")), WRONG_STATE);
    refuses(windows.prepare_layer(&scratch, &place.all()), WRONG_STATE);
    refuses(windows.deactivate_layer(&scratch), WRONG_STATE);
    refuses(windows.unprepare_layer(&scratch), WRONG_STATE);
    refuses(windows.export_layer(&scratch, &place.at("out"), &place.all()), WRONG_STATE);
    windows.activate_layer(&scratch).expect("active");
    refuses(windows.activate_layer(&scratch), WRONG_STATE);
    refuses(windows.prepare_layer(&scratch, &place.below(&["base"])), INVALID_ARGUMENT);
    refuses(windows.mount_path(&scratch), code::NOT_READY);
    windows.prepare_layer(&scratch, &place.all()).expect("prepared");
    refuses(windows.prepare_layer(&scratch, &place.all()), WRONG_STATE);
    refuses(windows.deactivate_layer(&scratch), WRONG_STATE);
    refuses(windows.destroy_layer(&scratch), code::SHARING_VIOLATION);
    refuses(windows.export_layer(&scratch, &place.at("out"), &place.all()), WRONG_STATE);
    windows.unprepare_layer(&scratch).expect("unprepared");
    refuses(windows.export_layer(&scratch, &place.at("out"), &place.below(&["base"])), INVALID_ARGUMENT);
    refuses(windows.export_layer(&scratch, &place.at("base"), &place.all()), FILE_EXISTS);
    windows.export_layer(&scratch, &place.at("out"), &place.all()).expect("exported");
    refuses(windows.destroy_layer(&scratch), code::SHARING_VIOLATION);
    windows.deactivate_layer(&scratch).expect("inactive");
    refuses(windows.destroy_layer(&place.at("base")), code::SHARING_VIOLATION);
    windows.destroy_layer(&scratch).expect("destroyed");
    refuses(windows.destroy_layer(&scratch), code::PATH_NOT_FOUND);
}

#[test]
fn two_disks_are_not_prepared_at_the_same_time() {
    let place = Place::new();
    let disks = [place.scratch("one"), place.scratch("two")];
    for disk in &disks {
        place.windows.activate_layer(disk).expect("active");
    }
    place.windows.hold("PrepareLayer");
    std::thread::scope(|scope| {
        scope.spawn(|| place.windows.prepare_layer(&disks[0], &place.all()).expect("prepared"));
        place.windows.wait_for("PrepareLayer");
        refuses(place.windows.prepare_layer(&disks[1], &place.all()), BUSY);
        place.windows.release();
    });
}

#[test]
fn a_container_is_described_exactly() {
    let place = Place::new();
    let scratch = place.mounted("scratch");
    let volume = place.windows.mount_path(&scratch).expect("a volume");
    let good = place.document(Disk::Volume(&volume), "one");
    let broken = |from: &str, to: &str, code| {
        assert!(good.contains(from), "{good}");
        refuses(place.windows.create_system("one", &good.replace(from, to)), code);
    };
    broken("\"Owner\"", "\"Color\":1,\"Owner\"", code::INVALID_JSON);
    broken("\"Minor\":1", "\"Minor\":7", code::INVALID_JSON);
    broken("Closed\":true", "Closed\":false", code::INVALID_JSON);
    broken("\"tests\"", "\"\"", code::INVALID_JSON);
    broken("\"HostName\":\"polyarch\"", "\"HostName\":\"\"", code::INVALID_JSON);
    broken(&place.all()[0].id.to_string(), "01234567-89ab-cdef-0123-456789abcdef", code::INVALID_LAYER);
    let path = serde_json::to_string(&volume).expect("json");
    let folder = serde_json::to_string(&scratch).expect("json");
    broken(&path, &folder, code::PATH_NOT_FOUND);
    refuses(place.windows.create_system("one", "{"), code::INVALID_JSON);
    place.windows.create_system("one", &good).expect("a container");
    refuses(place.windows.create_system("one", &good), code::SYSTEM_EXISTS);
    refuses(place.windows.create_system("two", &good), code::SHARING_VIOLATION);
    refuses(place.windows.unprepare_layer(&scratch), code::SHARING_VIOLATION);
    refuses(place.windows.open_system("two"), code::SYSTEM_NOT_FOUND);
    assert_eq!(place.windows.systems("tests").expect("ids"), ["one"]);
    assert!(place.windows.systems("others").expect("ids").is_empty());
}

#[test]
fn a_virtual_machine_has_the_disk_for_itself_and_begins_with_the_base() {
    let place = Place::new();
    let mounted = place.mounted("mounted");
    let document = |disk: &Path| place.document(Disk::Folder(disk), "one");
    refuses(place.windows.create_system("one", &document(&mounted)), code::SHARING_VIOLATION);
    refuses(place.windows.create_system("one", &document(&place.at("base"))), code::PATH_NOT_FOUND);
    let scratch = place.scratch("scratch");
    let good = document(&scratch);
    for (from, to, code) in [
        ("UtilityVM", "Other", code::PATH_NOT_FOUND),
        ("\"HvPartition\":true", "\"HvPartition\":false", code::INVALID_JSON),
        ("\"Name\":\"one\"", "\"Name\":\"two\"", code::INVALID_JSON),
        ("\"SystemType\":\"Container\"", "\"SystemType\":\"VirtualMachine\"", code::INVALID_JSON),
        ("\"HvPartition\"", "\"Color\":1,\"HvPartition\"", code::INVALID_JSON),
    ] {
        assert!(good.contains(from), "{good}");
        refuses(place.windows.create_system("one", &good.replace(from, to)), code);
    }
    place.windows.create_system("one", &good).expect("a container");
    refuses(place.windows.activate_layer(&scratch), code::SHARING_VIOLATION);
    refuses(place.windows.destroy_layer(&scratch), code::SHARING_VIOLATION);
}

#[test]
fn a_process_is_started_in_a_container_that_has_started() {
    let place = Place::new();
    let system = place.system(&place.mounted("scratch"));
    let process = Process { command_line: "echo x".into(), directory: "C:\\".into(), ..Process::default() };
    let good = process.document();
    refuses(system.create_process(&good), code::INVALID_STATE);
    refuses(system.shut_down(), code::INVALID_STATE);
    system.start().expect("started");
    refuses(system.start(), code::INVALID_STATE);
    for (from, to, code) in [
        ("\"CommandLine\"", "\"Color\":1,\"CommandLine\"", code::INVALID_JSON),
        ("echo x", "", INVALID_ARGUMENT),
        ("EmulateConsole\":false", "EmulateConsole\":true", INVALID_ARGUMENT),
        ("StdErrPipe\":true", "StdErrPipe\":false", INVALID_ARGUMENT),
        ("C:\\\\", "C:\\\\nowhere", code::NO_DIRECTORY),
        ("C:\\\\", "/app", code::NO_DIRECTORY),
    ] {
        assert!(good.contains(from), "{good}");
        refuses(system.create_process(&good.replace(from, to)), code);
    }
    let stranger = Process { user: "root".into(), ..process.clone() };
    refuses(system.create_process(&stranger.document()), NO_SUCH_USER);
    let inside = Process { directory: "C:\\APP".into(), ..process };
    system.create_process(&inside.document()).expect("started").process.wait().expect("ended");
    system.terminate().expect("ended");
    system.terminate().expect("ended already");
    refuses(system.create_process(&good), code::SYSTEM_NOT_FOUND);
    refuses(system.start(), code::TERMINATED_DURING_START);
}
