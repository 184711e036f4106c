//! Whole builds in which Windows refuses something.

use super::{
    scene::alone,
    whole::{DOCKERFILE, build, prepare},
};
use crate::support::layouts::{Ended, polyarch};

#[test]
fn each_kind_of_refusal_has_its_sentence_and_exit_code_and_leaves_nothing() {
    alone(
        concat!(module_path!(), "::each_kind_of_refusal_has_its_sentence_and_exit_code_and_leaves_nothing"),
        |scene| {
            prepare(scene, DOCKERFILE);
            for (call, number, code, sentence) in [
                ("ProcessBaseImage", "0x80070005", 1, "Run the command as an administrator"),
                ("ImportLayer", "0x80070070", 9, "no space"),
                ("CreateSandboxLayer", "0x80370112", 1, "Remove backends\\hcs\\layers in the store"),
                ("ActivateLayer", "0x80070522", 1, "may not write files with their rights"),
                ("PrepareLayer", "0x8007048F", 1, "the disk of a layer is not connected yet"),
                ("HcnEnumerateNetworks", "0x803B0020", 1, "the service for networks of containers stops"),
                ("HcnCreateEndpoint", "0x803B0001", 1, "the network for containers is not there any more"),
                ("HcnModifyNamespace", "0x803B002E", 1, "could not be connected with its network"),
                ("HcsCreateComputeSystem", "0xC0370101", 1, "does not fit that of this Windows"),
                ("HcsCreateComputeSystem", "0x80370102", 1, "because Hyper-V is off"),
                ("HcsCreateComputeSystem", "0x8037010D", 1, "does not understand the description"),
                ("HcsStartComputeSystem", "0x80370100", 1, "the container ended before its command did"),
                ("HcsStartComputeSystem", "0x800705AA", 1, "not enough memory"),
                ("HcsCreateProcess", "0x80070002", 3, "a file or program is not there"),
                ("HcsCreateProcess", "0x8007010B", 3, "Make it with WORKDIR"),
                ("HcsCreateProcess", "0x800706BA", 1, "the service for containers has stopped"),
                ("ExportLayer", "0x80070020", 1, "another program uses the file or the layer"),
                ("ExportLayer", "0x8037ABCD", 1, "ExportLayer failed with 0x8037ABCD"),
            ] {
                scene.fail(call, &format!("* {number}"));
                let Ended { code: exit, said } = build(scene);
                assert_eq!(exit, Some(code), "{call} {number}: {said}");
                assert!(said.contains(sentence), "{call} {number}: {said}");
                assert_eq!(scene.left(), Vec::<String>::new(), "{call} {number}");
                scene.fail(call, "");
            }
            build(scene).ok();
        },
    );
}

#[test]
fn a_host_without_the_feature_is_told_what_to_enable() {
    alone(concat!(module_path!(), "::a_host_without_the_feature_is_told_what_to_enable"), |scene| {
        prepare(scene, DOCKERFILE);
        scene.fail("HcsEnumerateComputeSystems", "* at-once 0x80370114");
        let Ended { code, said } = build(scene);
        assert_eq!(code, Some(5), "{said}");
        assert!(said.contains("hint: polyarch backends shows"), "{said}");
        let mut backends = polyarch(&scene.folder);
        backends.args(["backends", "--store", "store"]);
        let said = Ended::from(backends.output().expect("the program")).ok();
        assert!(said.contains("Enable-WindowsOptionalFeature"), "{said}");
    });
}
