//! What fails arrives with the function, its code and what was said of it.

use polyarch::backend::hcs::{Dlls, HcsApi as _, HcsError, HcsResult};

use super::scene::{DIRECTORY, alone, command, document, part, run, simulator_is_here};

/// What a call failed with.
fn failed<T>(result: HcsResult<T>) -> Option<HcsError> {
    result.err()
}

#[test]
fn each_call_that_fails_says_which_it_was_and_why() {
    alone(concat!(module_path!(), "::each_call_that_fails_says_which_it_was_and_why"), |scene| {
        let below = [scene.base("base")];
        let (layer, volume) = scene.prepared("scratch", &below);
        let document = document(&volume, &below).to_string();
        let created = scene.api.create_system("one", &document).expect("a system");
        let folder = scene.folder.join("new");
        let api = &scene.api;
        let calls: [(&str, &dyn Fn() -> Option<HcsError>); 18] = [
            ("NameToGuid", &|| failed(api.layer_id("a"))),
            ("ProcessBaseImage", &|| failed(api.process_base(&folder))),
            ("ProcessUtilityImage", &|| failed(api.process_utility_vm(&folder))),
            ("ImportLayer", &|| failed(api.import_layer(&folder, &folder, &below))),
            ("ExportLayer", &|| failed(api.export_layer(&layer, &folder, &below))),
            ("CreateSandboxLayer", &|| failed(api.create_scratch(&folder, &below))),
            ("ActivateLayer", &|| failed(api.activate_layer(&layer))),
            ("PrepareLayer", &|| failed(api.prepare_layer(&layer, &below))),
            ("GetLayerMountPath", &|| failed(api.mount_path(&layer))),
            ("UnprepareLayer", &|| failed(api.unprepare_layer(&layer))),
            ("DeactivateLayer", &|| failed(api.deactivate_layer(&layer))),
            ("DestroyLayer", &|| failed(api.destroy_layer(&layer))),
            ("HcsCreateComputeSystem", &|| failed(api.create_system("two", &document))),
            ("HcsOpenComputeSystem", &|| failed(api.open_system("one"))),
            ("HcsEnumerateComputeSystems", &|| failed(api.systems("polyarch"))),
            ("HcsStartComputeSystem", &|| failed(created.start())),
            ("HcsTerminateComputeSystem", &|| failed(created.terminate())),
            ("HcsShutDownComputeSystem", &|| failed(created.shut_down())),
        ];
        for (call, act) in calls {
            // A code of its own for each that no text of Windows goes with.
            scene.fail(call, "* 0x80370101 the reason for this");
            let error = act().unwrap_or_else(|| panic!("{call} did not fail"));
            assert_eq!((error.call, error.code), (call, 0x8037_0101));
            let of_operation = call.starts_with("Hcs") && call != "HcsOpenComputeSystem";
            assert_eq!(error.detail.as_deref() == Some("the reason for this"), of_operation, "{error}");
            scene.fail(call, "* at-once 0x80070005");
            let error = act().unwrap_or_else(|| panic!("{call} did not fail"));
            assert_eq!((error.call, error.code), (call, 0x8007_0005));
            assert!(error.detail.is_some(), "Windows has a text for this");
            scene.fail(call, "");
        }

        created.start().expect("a start");
        for call in ["HcsCreateProcess", "HcsSetProcessCallback", "HcsGetProcessProperties"] {
            scene.fail(call, "* 0x80370105 not now");
            let error = run(&*created, &command("exit 1")).expect_err(call);
            assert_eq!((error.call, error.code), (call, 0x8037_0105));
            scene.fail(call, "");
        }
        created.terminate().expect("an end");
        drop(created);
        scene.destroy(&layer);
    });
}

#[test]
fn nothing_is_available_where_the_service_does_not_run() {
    // Without a state the simulator is the library of a Windows whose feature is switched off.
    if simulator_is_here() {
        let error = Dlls::new().available().expect_err("no service");
        assert_eq!((error.call, error.code), ("HcsEnumerateComputeSystems", 0x8037_0114));
    }
}

#[test]
fn only_the_call_that_was_asked_for_fails() {
    alone(concat!(module_path!(), "::only_the_call_that_was_asked_for_fails"), |scene| {
        scene.fail("NameToGuid", "2 0x80070015");
        assert!(scene.api.layer_id("a").is_ok());
        assert_eq!(scene.api.layer_id("a").map_err(|error| error.code), Err(0x8007_0015));
        assert!(scene.api.layer_id("a").is_ok());
        assert_eq!(scene.left(), Vec::<String>::new());
    });
}

#[test]
fn files_that_cannot_be_written_or_read_say_why() {
    alone(concat!(module_path!(), "::files_that_cannot_be_written_or_read_say_why"), |scene| {
        let path = scene.folder.join("file");
        let write = |stream: &[u8]| {
            let mut stream = stream;
            scene.api.write_backup(&path, &super::scene::FILE, &mut stream)
        };
        scene.fail("BackupWrite", "1 0x80070070");
        let error = write(&super::scene::data(b"x")).expect_err("a full disk");
        assert_eq!((error.call, error.code), ("BackupWrite", 0x8007_0070));
        let error = write(&super::scene::data(b"x")).expect_err("it is there");
        assert_eq!((error.call, error.code), ("CreateFileW", 0x8007_0050));
        let error = scene.api.read_backup(&scene.folder.join("none")).map(drop).expect_err("it is not there");
        assert_eq!((error.call, error.code), ("CreateFileW", 0x8007_0002));
        let nowhere = scene.folder.join(r"none\sub");
        let error =
            scene.api.write_backup(&nowhere, &DIRECTORY, &mut std::io::empty()).expect_err("no parent");
        assert_eq!((error.call, error.code), ("CreateDirectoryW", 0x8007_0003));
        assert_eq!(scene.left(), Vec::<String>::new());
    });
}

#[test]
#[ignore = "is what another test starts to have something that dies"]
fn dies_after_a_call() {
    part(|scene| {
        let below = [scene.base("base")];
        scene.prepared("scratch", &below);
    });
}

#[test]
fn a_process_can_be_let_die_before_and_after_a_call() {
    alone(concat!(module_path!(), "::a_process_can_be_let_die_before_and_after_a_call"), |scene| {
        for (fault, left) in
            [("1 die", vec!["scratch scratch"]), ("2 die-after", vec!["scratch scratch", "active scratch"])]
        {
            scene.fail("ActivateLayer", fault);
            let died =
                scene.again(concat!(module_path!(), "::dies_after_a_call")).output().expect("this program");
            assert!(!died.status.success(), "{fault}");
            assert_eq!(scene.left(), left);
            if left.len() > 1 {
                scene.api.deactivate_layer(&scene.folder.join("scratch")).expect("an inactive layer");
            }
            for layer in ["scratch", "base"] {
                scene.api.destroy_layer(&scene.folder.join(layer)).expect("a destroyed layer");
            }
        }
    });
}
