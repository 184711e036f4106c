//! The documents by which Windows is told of containers and the processes in them.
//!
//! Sources: Microsoft, "Schema reference of the Host Compute System"
//! (<https://learn.microsoft.com/virtualization/api/hcs/schemareference>) for schema 2.1; hcsshim,
//! `internal/hcs/schema1/schema1.go`, for the older form, in which the virtual machine of a container needs no
//! description of its own.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::api::LayerBelow;

/// What a container is made of.
#[derive(Clone, Copy, Debug)]
pub struct Container<'c> {
    /// Who made it.
    pub owner: &'c str,
    /// Its id.
    pub id: &'c str,
    /// Its writable layer, and with that how it is kept apart from this machine.
    pub disk: Disk<'c>,
    /// The layers below, topmost first.
    pub below: &'c [LayerBelow],
    /// The network namespace that it shares with others; without one it reaches nothing.
    pub namespace: Option<&'c str>,
    /// The most memory, in MiB.
    pub memory: Option<u64>,
    /// The most CPU time, in ten-thousandths of that of all CPUs.
    pub processor: Option<u32>,
}

/// The writable layer of a container.
#[derive(Clone, Copy, Debug)]
pub enum Disk<'c> {
    /// This machine has mounted it, and the container shares its kernel: the volume, `\\?\Volume{…}\`.
    Volume(&'c str),
    /// A virtual machine mounts it, which has the container in it: the folder.
    Folder(&'c Path),
}

impl Container<'_> {
    /// The document of `HcsCreateComputeSystem`.
    pub fn document(&self) -> String {
        match self.disk {
            Disk::Volume(volume) => json(&self.shared(volume)),
            Disk::Folder(folder) => json(&self.virtual_machine(folder)),
        }
    }

    fn shared(&self, volume: &str) -> System {
        System {
            owner: self.owner.to_owned(),
            schema_version: SchemaVersion { major: 2, minor: 1 },
            should_terminate_on_last_handle_closed: true,
            container: SharedContainer {
                guest_os: GuestOs { host_name: HOST_NAME.into() },
                storage: Storage { layers: self.layers(), path: volume.to_owned() },
                networking: self.namespace.map(|namespace| Networking { namespace: namespace.to_owned() }),
                memory: self.memory.map(|size| Memory { size_in_mb: size }),
                processor: self.processor.map(|maximum| Processor { maximum }),
            },
        }
    }

    fn virtual_machine(&self, scratch: &Path) -> OldContainer {
        // The lowest layer holds the system that the machine begins with.
        let base = self.below.last().map(|layer| text(&layer.path)).unwrap_or_default();
        OldContainer {
            system_type: "Container",
            name: self.id.to_owned(),
            owner: self.owner.to_owned(),
            layer_folder_path: text(scratch),
            layers: self
                .layers()
                .into_iter()
                .map(|layer| OldLayer { id: layer.id, path: layer.path })
                .collect(),
            processor_maximum: self.processor,
            memory_maximum_in_mb: self.memory,
            host_name: HOST_NAME.into(),
            hv_partition: true,
            hv_runtime: HvRuntime { image_path: format!("{base}\\UtilityVM") },
            terminate_on_last_handle_closed: true,
        }
    }

    fn layers(&self) -> Vec<Layer> {
        self.below.iter().map(|layer| Layer { id: layer.id.to_string(), path: text(&layer.path) }).collect()
    }
}

/// What a process is started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// The program and its arguments, as [`command_line`] writes them.
    pub command_line: String,
    /// Where it begins: `C:\app`.
    pub directory: String,
    /// Its environment; the container adds what Windows needs.
    pub environment: BTreeMap<String, String>,
    /// Who runs it, such as `ContainerAdministrator`; whom the container takes if empty.
    pub user: String,
}

impl Process {
    /// The document of `HcsCreateProcess`.
    pub fn document(&self) -> String {
        json(&ProcessParameters {
            command_line: &self.command_line,
            user: &self.user,
            working_directory: &self.directory,
            environment: &self.environment,
            emulate_console: false,
            create_std_in_pipe: false,
            create_std_out_pipe: true,
            create_std_err_pipe: true,
        })
    }
}

/// The words of a command as one text, from which a program makes the same words again.
///
/// Source: Microsoft, "Parsing C command-line arguments"
/// (<https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments>).
pub fn command_line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    if !word.is_empty() && !word.contains([' ', '\t', '\n', '\u{b}', '"']) {
        return word.to_owned();
    }
    let mut line = String::from("\"");
    let mut slashes = 0;
    for letter in word.chars() {
        match letter {
            '\\' => slashes += 1,
            // Before a quote, every backslash counts twice, and one more makes the quote a letter.
            '"' => {
                line.push_str(&"\\".repeat(slashes * 2 + 1));
                line.push('"');
                slashes = 0;
            }
            letter => {
                line.push_str(&"\\".repeat(slashes));
                line.push(letter);
                slashes = 0;
            }
        }
    }
    line.push_str(&"\\".repeat(slashes * 2));
    line.push('"');
    line
}

/// What a process says of itself at its end (`ProcessStatus`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ProcessStatus {
    /// Whether it has ended.
    pub exited: bool,
    /// How; left out by Windows where it is 0.
    pub exit_code: u32,
}

impl ProcessStatus {
    /// The exit code of a process that has ended, with its sign as programs give it.
    pub fn code(self) -> Option<i32> {
        self.exited.then(|| i32::from_ne_bytes(self.exit_code.to_ne_bytes()))
    }
}

/// What containers see as the name of their machine: the same everywhere, since some programs write it into files.
const HOST_NAME: &str = "polyarch";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct System {
    owner: String,
    schema_version: SchemaVersion,
    should_terminate_on_last_handle_closed: bool,
    container: SharedContainer,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SchemaVersion {
    major: u32,
    minor: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SharedContainer {
    guest_os: GuestOs,
    storage: Storage,
    #[serde(skip_serializing_if = "Option::is_none")]
    networking: Option<Networking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processor: Option<Processor>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GuestOs {
    host_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Storage {
    layers: Vec<Layer>,
    path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Layer {
    id: String,
    path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Networking {
    namespace: String,
}

#[derive(Serialize)]
struct Memory {
    #[serde(rename = "SizeInMB")]
    size_in_mb: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Processor {
    maximum: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OldContainer {
    system_type: &'static str,
    name: String,
    owner: String,
    layer_folder_path: String,
    layers: Vec<OldLayer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processor_maximum: Option<u32>,
    #[serde(rename = "MemoryMaximumInMB", skip_serializing_if = "Option::is_none")]
    memory_maximum_in_mb: Option<u64>,
    host_name: String,
    hv_partition: bool,
    hv_runtime: HvRuntime,
    terminate_on_last_handle_closed: bool,
}

#[derive(Serialize)]
struct OldLayer {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Path")]
    path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HvRuntime {
    image_path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the schema has them")]
struct ProcessParameters<'p> {
    command_line: &'p str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'p str,
    working_directory: &'p str,
    environment: &'p BTreeMap<String, String>,
    emulate_console: bool,
    create_std_in_pipe: bool,
    create_std_out_pipe: bool,
    create_std_err_pipe: bool,
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn json<T: Serialize>(document: &T) -> String {
    // Strings, numbers and maps by strings: there is nothing in it that JSON does not have.
    serde_json::to_string(document).unwrap_or_default()
}
