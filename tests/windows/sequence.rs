//! From a base to what a command has changed, and on top of that again.

use std::fs;

use polyarch::backend::hcs::HcsApi as _;

use super::scene::{alone, command, run};

#[test]
fn what_a_command_changes_is_exported_and_is_there_for_the_next_one() {
    alone(
        concat!(module_path!(), "::what_a_command_changes_is_exported_and_is_there_for_the_next_one"),
        |scene| {
            let base = scene.base("base");
            let below = [base.clone()];
            let (layer, volume) = scene.prepared("first", &below);
            let system = scene.running("one", &volume, &below);
            let line = "echo out& echo err>&2& echo %GIVEN%>new.txt& del gone.txt& rd /s /q old& echo x>sub\\more.txt& exit 7";
            let ended = run(&*system, &command(line)).expect("a process");
            assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("out\r\n", "err\r\n"));
            assert_eq!((&ended.status["Exited"], &ended.status["ExitCode"]), (&true.into(), &7.into()));
            assert_eq!(scene.api.systems("polyarch"), Ok(vec!["one".to_owned()]));
            assert_eq!(scene.api.systems("somebody else"), Ok(Vec::new()));
            system.terminate().expect("an end");
            drop(system);

            scene.api.unprepare_layer(&layer).expect("an unprepared layer");
            let staging = scene.folder.join("export");
            scene.api.export_layer(&layer, &staging, &below).expect("an export");
            let files = staging.join("Files");
            for path in ["new.txt", r"sub\more.txt", "sub.$wcidirs$"] {
                assert!(files.join(path).is_file(), "{path}");
            }
            for path in ["keep.txt", "change.txt", r"sub\inner.txt"] {
                assert!(!files.join(path).exists(), "{path}");
            }
            let tombstones = fs::read(staging.join("tombstones.txt")).expect("tombstones");
            assert_eq!(
                String::from_utf8_lossy(&tombstones),
                "\u{FEFF}Version 1.0\r\n\\gone.txt\r\n\\old\r\n"
            );
            scene.api.deactivate_layer(&layer).expect("an inactive layer");
            scene.api.destroy_layer(&layer).expect("a destroyed layer");

            scene.api.import_layer(&scene.folder.join("second"), &staging, &below).expect("a layer");
            let below = [scene.below("second"), base];
            let (layer, volume) = scene.prepared("third", &below);
            let system = scene.running("two", &volume, &below);
            let ended = run(&*system, &command("type new.txt& type keep.txt& if exist gone.txt echo still"))
                .expect("a process");
            assert_eq!(ended.stdout, "a value\r\nkept");
            system.terminate().expect("an end");
            drop(system);
            scene.destroy(&layer);
        },
    );
}

#[test]
fn an_exit_code_of_zero_is_left_out_of_the_status() {
    alone(concat!(module_path!(), "::an_exit_code_of_zero_is_left_out_of_the_status"), |scene| {
        let below = [scene.base("base")];
        let (layer, volume) = scene.prepared("scratch", &below);
        let system = scene.running("one", &volume, &below);
        let ended = run(&*system, &command("exit 0")).expect("a process");
        assert_eq!(ended.status["Exited"], true);
        assert_eq!(ended.status.get("ExitCode"), None);
        drop(system);
        scene.destroy(&layer);
    });
}

#[test]
fn both_pipes_are_read_to_their_end_however_much_is_in_them() {
    alone(concat!(module_path!(), "::both_pipes_are_read_to_their_end_however_much_is_in_them"), |scene| {
        let below = [scene.base("base")];
        let (layer, volume) = scene.prepared("scratch", &below);
        // More than any pipe holds.
        let inside = scene
            .state
            .join("volumes")
            .join(volume.trim_start_matches(r"\\?\Volume{").trim_end_matches(r"}\"));
        fs::write(inside.join("large.txt"), "0123456789abcde\n".repeat(40_000)).expect("a file");
        let system = scene.running("one", &volume, &below);
        let ended = run(&*system, &command("type large.txt& type large.txt 1>&2")).expect("a process");
        assert_eq!((ended.stdout.len(), ended.stderr.len()), (640_000, 640_000));
        drop(system);
        scene.destroy(&layer);
    });
}

#[test]
fn a_process_works_in_its_directory_and_one_that_is_missing_is_told() {
    alone(
        concat!(module_path!(), "::a_process_works_in_its_directory_and_one_that_is_missing_is_told"),
        |scene| {
            let below = [scene.base("base")];
            let (layer, volume) = scene.prepared("scratch", &below);
            let system = scene.running("one", &volume, &below);
            let mut inside = command("type inner.txt");
            inside["WorkingDirectory"] = r"C:\sub".into();
            assert_eq!(run(&*system, &inside).expect("a process").stdout, "in");
            inside["WorkingDirectory"] = r"C:\nowhere".into();
            let error = run(&*system, &inside).expect_err("no directory");
            assert_eq!((error.call, error.code), ("HcsCreateProcess", 0x8007_010B));
            let mut absent = command("");
            absent["CommandLine"] = "no-such-program.exe".into();
            let error = run(&*system, &absent).expect_err("no program");
            assert_eq!((error.call, error.code), ("HcsCreateProcess", 0x8007_0002));
            drop(system);
            scene.destroy(&layer);
        },
    );
}

#[test]
fn a_host_has_a_version_and_what_is_needed() {
    alone(concat!(module_path!(), "::a_host_has_a_version_and_what_is_needed"), |scene| {
        assert_eq!(scene.api.available(), Ok(()));
        // ci/wine says so to the registry.
        assert_eq!(
            scene.api.host_version().map(|version| version.to_string()),
            Ok("10.0.20348.2402".to_owned())
        );
        assert_eq!(scene.left(), Vec::<String>::new());
    });
}
