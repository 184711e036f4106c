//! The documents as they are written.

use std::path::Path;

use super::{
    api::LayerBelow,
    document::{Container, Disk},
    guid::Guid,
    process_document::{Process, ProcessStatus, command_line},
};

fn below() -> Vec<LayerBelow> {
    let layer = |byte: u8, name: &str| LayerBelow {
        id: Guid([byte; 16]),
        path: format!(r"C:\polyarch\backends\hcs\layers\{name}").into(),
    };
    vec![layer(0x22, "upper"), layer(0x11, "base")]
}

const VOLUME: Disk<'_> = Disk::Volume(r"\\?\Volume{01234567-89ab-cdef-0123-456789abcdef}\");

fn folder() -> Disk<'static> {
    Disk::Folder(Path::new(r"C:\polyarch\backends\hcs\scratch\3"))
}

fn container<'c>(disk: Disk<'c>, below: &'c [LayerBelow]) -> Container<'c> {
    Container {
        owner: "polyarch",
        id: "polyarch-1-2-3",
        disk,
        below,
        network: None,
        memory: None,
        processor: None,
    }
}

/// Compares with a file that a person can read; the document itself has no blanks.
fn golden(document: &str, file: &str) {
    let value: serde_json::Value = serde_json::from_str(document).expect("json");
    assert_eq!(serde_json::to_string(&value).expect("json").len(), document.len(), "no blanks");
    let pretty = serde_json::to_string_pretty(&value).expect("json");
    assert_eq!(pretty.trim(), file.trim());
}

#[test]
fn a_container_that_shares_the_kernel_is_described_in_schema_2_1() {
    let below = below();
    golden(&container(VOLUME, &below).document(), include_str!("golden/container-process.json"));
    let limited = Container {
        network: Some("5e1f6a0e-37f0-4f77-9d2c-8e4f2f0b7c11"),
        memory: Some(2048),
        processor: Some(5000),
        ..container(VOLUME, &below)
    };
    golden(&limited.document(), include_str!("golden/container-process-limited.json"));
}

#[test]
fn a_container_in_a_virtual_machine_is_described_in_the_older_form() {
    let below = below();
    golden(&container(folder(), &below).document(), include_str!("golden/container-hyperv.json"));
    let limited = Container {
        network: Some("0b6a8f1e-6c3a-4d0e-9f5e-1c7a2f3b4d5e"),
        memory: Some(2048),
        processor: Some(5000),
        ..container(folder(), &below)
    };
    golden(&limited.document(), include_str!("golden/container-hyperv-limited.json"));
}

#[test]
fn a_process_has_its_environment_its_user_and_both_pipes() {
    let environment = [("Path", r"C:\Windows"), ("NAME", "wörter \"und\" mehr")];
    let process = Process {
        command_line: command_line(&["cmd".into(), "/S".into(), "/C".into(), "echo".into()]),
        directory: r"C:\app".into(),
        environment: environment.map(|(name, value)| (name.into(), value.into())).into(),
        user: "ContainerAdministrator".into(),
    };
    golden(&process.document(), include_str!("golden/process.json"));
    let nobody = Process { user: String::new(), ..process };
    assert!(!nobody.document().contains("User"), "whom the container takes");
}

#[test]
fn a_program_reads_the_words_back_that_were_written() {
    for (words, line) in [
        (vec!["cmd", "/C", "dir"], "cmd /C dir"),
        (vec![r"C:\Program Files\x.exe", "a b"], r#""C:\Program Files\x.exe" "a b""#),
        (vec!["x", ""], r#"x """#),
        (vec!["x", r#"say "hi""#], r#"x "say \"hi\"""#),
        (vec!["x", r"C:\a b\"], r#"x "C:\a b\\""#),
        (vec!["x", r#"a\"b"#], r#"x "a\\\"b""#),
        (vec!["x", r"C:\dir\"], r"x C:\dir\"),
    ] {
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        assert_eq!(command_line(&words), line);
    }
}

#[test]
fn a_status_without_an_exit_code_means_success_only_after_the_end() {
    let read = |text: &str| serde_json::from_str::<ProcessStatus>(text).expect("a status").code();
    assert_eq!(read(r#"{"ProcessId":7,"Exited":true}"#), Some(0));
    assert_eq!(read(r#"{"Exited":true,"ExitCode":3}"#), Some(3));
    assert_eq!(read(r#"{"Exited":true,"ExitCode":3221225477}"#), Some(-1_073_741_819));
    assert_eq!(read(r#"{"ProcessId":7}"#), None);
    assert_eq!(read(r#"{"Exited":false,"ExitCode":0}"#), None);
}
