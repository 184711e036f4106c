//! Compute systems of the older schema, which are those in a virtual machine: other functions of another library.

use std::{fs, path::Path};

use polyarch::backend::hcs::{HcsApi as _, LayerBelow};
use serde_json::{Value, json};

use super::scene::{Scene, alone, command, run};

const CALL: &str = "HcsCreateComputeSystem";

/// The document of a system in a virtual machine.
pub(crate) fn document(scratch: &Path, below: &[LayerBelow]) -> Value {
    let layers: Vec<Value> =
        below.iter().map(|layer| json!({ "ID": layer.id.to_string(), "Path": layer.path })).collect();
    let base = &below.last().expect("a base").path;
    json!({
        "SystemType": "Container",
        "Name": "one",
        "Owner": "polyarch",
        "TerminateOnLastHandleClosed": true,
        "LayerFolderPath": scratch,
        "Layers": layers,
        "HvPartition": true,
        "HvRuntime": { "ImagePath": base.join("UtilityVM") },
    })
}

/// A base with a utility VM, and a scratch that nobody has mounted.
pub(crate) fn scratch(scene: &Scene) -> (std::path::PathBuf, [LayerBelow; 1]) {
    let base = scene.base("base");
    let utility_vm = base.path.join("UtilityVM");
    fs::create_dir_all(utility_vm.join("Files")).expect("a folder");
    scene.api.process_utility_vm(&utility_vm).expect("an image");
    let below = [base];
    let layer = scene.folder.join("scratch");
    scene.api.create_scratch(&layer, &below).expect("a scratch");
    (layer, below)
}

#[test]
fn a_virtual_machine_runs_commands_until_it_is_shut_down() {
    alone(concat!(module_path!(), "::a_virtual_machine_runs_commands_until_it_is_shut_down"), |scene| {
        let (layer, below) = scratch(scene);
        let system = scene.api.create_system("one", &document(&layer, &below).to_string()).expect("a system");
        system.start().expect("a start");
        let ended = run(&*system, &command("type keep.txt& echo x>new.txt& exit 3")).expect("a process");
        assert_eq!((ended.stdout.as_str(), &ended.status["ExitCode"]), ("kept", &3.into()));
        assert_eq!(scene.api.systems("polyarch"), Ok(vec!["one".to_owned()]));
        system.shut_down().expect("an end");
        // Once is enough.
        assert_eq!(system.shut_down(), Ok(()));
        assert_eq!(system.terminate(), Ok(()));
        drop(system);
        let staging = scene.folder.join("export");
        scene.api.export_layer(&layer, &staging, &below).expect("an export");
        assert!(staging.join(r"Files\new.txt").is_file());
        scene.api.destroy_layer(&layer).expect("a destroyed layer");
    });
}

#[test]
fn a_virtual_machine_needs_its_image_and_a_disk_that_the_host_does_not_have() {
    alone(
        concat!(module_path!(), "::a_virtual_machine_needs_its_image_and_a_disk_that_the_host_does_not_have"),
        |scene| {
            let (layer, below) = scratch(scene);
            let document = document(&layer, &below);
            let create = |document: &Value| {
                scene
                    .api
                    .create_system("one", &document.to_string())
                    .map_err(|error| (error.call, error.code))
            };
            let mut elsewhere = document.clone();
            elsewhere["HvRuntime"]["ImagePath"] = scene.folder.join("UtilityVM").to_string_lossy().into();
            assert_eq!(create(&elsewhere).map(drop), Err((CALL, 0x8007_0003)), "there is no image");
            scene.api.activate_layer(&layer).expect("an active layer");
            assert_eq!(create(&document).map(drop), Err((CALL, 0x8007_0020)), "the host has the disk");
            scene.api.deactivate_layer(&layer).expect("an inactive layer");
            drop(create(&document).expect("a system"));
            scene.api.destroy_layer(&layer).expect("a destroyed layer");
        },
    );
}

#[test]
fn what_fails_later_arrives_with_its_code_and_what_was_said() {
    alone(concat!(module_path!(), "::what_fails_later_arrives_with_its_code_and_what_was_said"), |scene| {
        let (layer, below) = scratch(scene);
        let document = document(&layer, &below).to_string();
        for at_once in ["", "at-once "] {
            let fault = format!("* {at_once}0x80370102 the reason for this");
            scene.fail("HcsCreateComputeSystem", &fault);
            let error = scene.api.create_system("one", &document).map(drop).expect_err("no system");
            assert_eq!((error.code, error.detail.as_deref()), (0x8037_0102, Some("the reason for this")));
            scene.fail("HcsCreateComputeSystem", "");

            let system = scene.api.create_system("one", &document).expect("a system");
            scene.fail("HcsStartComputeSystem", &fault);
            let error = system.start().expect_err("no start");
            assert_eq!((error.call, error.code), ("HcsStartComputeSystem", 0x8037_0102));
            assert_eq!(error.detail.as_deref(), Some("the reason for this"));
            scene.fail("HcsStartComputeSystem", "");
            system.start().expect("a start");

            for call in ["HcsCreateProcess", "HcsRegisterProcessCallback", "HcsGetProcessProperties"] {
                scene.fail(call, &fault);
                let error = run(&*system, &command("exit 0")).expect_err(call);
                assert_eq!((error.call, error.code), (call, 0x8037_0102));
                scene.fail(call, "");
            }
            scene.fail("HcsTerminateComputeSystem", &fault);
            let error = system.terminate().expect_err("no end");
            assert_eq!((error.call, error.code), ("HcsTerminateComputeSystem", 0x8037_0102));
            scene.fail("HcsTerminateComputeSystem", "");
            system.terminate().expect("an end");
        }
        scene.api.destroy_layer(&layer).expect("a destroyed layer");
    });
}

#[test]
fn a_virtual_machine_ends_with_whoever_has_it() {
    alone(concat!(module_path!(), "::a_virtual_machine_ends_with_whoever_has_it"), |scene| {
        let (layer, below) = scratch(scene);
        let system = scene.api.create_system("one", &document(&layer, &below).to_string()).expect("a system");
        system.start().expect("a start");
        let started = system.create_process(&command("pause").to_string()).expect("a process");
        started.process.terminate().expect("an end");
        started.process.wait().expect("a status");
        assert_eq!(started.process.terminate(), Ok(()));
        drop(system);
        assert_eq!(scene.left(), ["scratch scratch"]);
        scene.api.destroy_layer(&layer).expect("a destroyed layer");
    });
}
