//! Whole builds by the command, with the containers of Windows that the calls make.

use std::fs;

use super::{
    scene::{Scene, alone},
    whole::{DOCKERFILE, begin, build, calls, prepare, stored},
};
use crate::support::layouts::{Ended, Files};

/// The files that the image has above its base. What its registry is made of is not looked at.
fn made(scene: &Scene) -> Vec<Files> {
    let mut layers = stored(scene).layers().split_off(2);
    for layer in &mut layers {
        layer.retain(|(name, _)| !name.starts_with("Hives/"));
    }
    layers
}

#[test]
fn a_dockerfile_is_built_in_containers_that_are_gone_afterwards() {
    alone(
        concat!(module_path!(), "::a_dockerfile_is_built_in_containers_that_are_gone_afterwards"),
        |scene| {
            prepare(scene, DOCKERFILE);
            let said = build(scene).ok();
            assert!(said.contains("hello there") && said.contains("first"), "{said}");
            assert_eq!(scene.left(), Vec::<String>::new());
            assert_eq!(calls(scene, "HcsCreateProcess"), 2);
            let taken = ("Files/taken/one.txt".to_owned(), "first\n".to_owned());
            assert_eq!(made(scene), [[taken]]);
        },
    );
}

#[test]
fn what_commands_write_and_delete_is_in_the_layers_of_the_image() {
    alone(
        concat!(module_path!(), "::what_commands_write_and_delete_is_in_the_layers_of_the_image"),
        |scene| {
            let (stage, _) = DOCKERFILE.rsplit_once("FROM").expect("two stages");
            prepare(scene, stage);
            build(scene).ok();
            let layers = made(scene);
            let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
            assert!(layers.contains(&vec![file("Files/app/hello.txt", "hello there\n")]), "{layers:?}");
            let [.., first, second] = &layers[..] else { panic!("{layers:?}") };
            assert_eq!(*first, [file("Files/app/one.txt", "first\n")]);
            assert_eq!(*second, [file("Files/app/.wh.hello.txt", "")]);
        },
    );
}

#[test]
fn a_second_build_runs_nothing() {
    alone(concat!(module_path!(), "::a_second_build_runs_nothing"), |scene| {
        prepare(scene, DOCKERFILE);
        build(scene).ok();
        let (image, systems) = (stored(scene).index(), calls(scene, "HcsCreateComputeSystem"));
        assert_eq!(systems, 2);
        let said = build(scene).ok();
        assert_eq!(calls(scene, "HcsCreateComputeSystem"), systems, "{said}");
        assert!(said.to_lowercase().contains("cached") && !said.contains("hello there"), "{said}");
        assert_eq!(stored(scene).index(), image);
        // What is before a change is still known.
        fs::write(scene.folder.join("context/Dockerfile"), DOCKERFILE.replace("del", "echo gone & del"))
            .expect("written");
        build(scene).ok();
        assert_eq!(calls(scene, "HcsCreateComputeSystem"), systems + 1);
    });
}

#[test]
fn a_command_that_fails_is_told_with_its_code_and_its_last_words() {
    alone(
        concat!(module_path!(), "::a_command_that_fails_is_told_with_its_code_and_its_last_words"),
        |scene| {
            prepare(scene, "FROM base\nRUN echo all is lost & exit 7\n");
            let Ended { code, said } = build(scene);
            assert_eq!(code, Some(4), "{said}");
            let (_, error) = said.rsplit_once("error:").expect("an error");
            assert!(error.contains('7') && error.contains("│ all is lost"), "{said}");
            assert!(error.contains("RUN echo all is lost & exit 7"), "{said}");
            assert_eq!(scene.left(), Vec::<String>::new());
            assert_eq!(calls(scene, "ExportLayer"), 0);
        },
    );
}

#[test]
fn two_builds_at_once_import_each_layer_once() {
    alone(concat!(module_path!(), "::two_builds_at_once_import_each_layer_once"), |scene| {
        prepare(scene, DOCKERFILE);
        let children = [begin(scene), begin(scene)];
        let ended = children.map(|child| Ended::from(child.wait_with_output().expect("an end")));
        for ended in ended {
            ended.ok();
        }
        assert_eq!(scene.left(), Vec::<String>::new());
        assert_eq!(calls(scene, "ProcessBaseImage"), 1);
        assert_eq!(made(scene), [[("Files/taken/one.txt".to_owned(), "first\n".to_owned())]]);
    });
}

#[test]
fn what_a_killed_build_leaves_goes_with_the_next_one() {
    alone(concat!(module_path!(), "::what_a_killed_build_leaves_goes_with_the_next_one"), |scene| {
        prepare(scene, DOCKERFILE);
        // What there is then beside the files of layers: the disk, which may be active and prepared, and what connects
        // the container with its network.
        for (call, things) in [
            ("BackupWrite", 0),
            ("ProcessBaseImage", 0),
            ("ImportLayer", 0),
            ("CreateSandboxLayer", 1),
            ("ActivateLayer", 2),
            ("PrepareLayer", 3),
            ("HcnCreateNamespace", 4),
            ("HcnModifyNamespace", 5),
            ("HcnCreateEndpoint", 5),
            ("HcsCreateComputeSystem", 5),
            ("HcsStartComputeSystem", 5),
            ("HcsCreateProcess", 5),
            ("HcnDeleteEndpoint", 4),
            ("HcnDeleteNamespace", 3),
            ("ExportLayer", 2),
            ("DestroyLayer", 0),
        ] {
            let number = calls(scene, call) + 1;
            scene.fail(call, &format!("{number} die-after"));
            let Ended { code, said } = build(scene);
            assert_ne!(code, Some(0), "{call}: {said}");
            assert_eq!(calls(scene, call), number, "{call}: {said}");
            // A container ends with who had it.
            let left = scene.left();
            assert_eq!(left.len(), things, "{call}: {left:?}");
        }
        build(scene).ok();
        assert_eq!(scene.left(), Vec::<String>::new());
        let hcs = scene.folder.join("store/backends/hcs");
        for kind in ["tmp", "scratch"] {
            let left: Vec<_> = fs::read_dir(hcs.join(kind)).into_iter().flatten().flatten().collect();
            assert!(left.is_empty(), "{left:?}");
        }
    });
}
