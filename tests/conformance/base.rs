//! The base image of the cases, which they call `busybox`: a shell, some users, and every folder that a container
//! needs, so that nothing is in a layer but what the steps put there.

use std::{fs, io::Write as _, path::Path, process::Command, sync::OnceLock};

use serde_json::{Value, json};

use super::image::Image;
use crate::support::{
    bases::serve,
    buildah::{busybox, folder, run},
};

/// The commands of busybox that the cases use.
const COMMANDS: [&str; 58] = [
    "[", "awk", "basename", "cat", "chgrp", "chmod", "chown", "cmp", "cp", "cut", "date", "dd", "dirname",
    "echo", "env", "expr", "false", "find", "grep", "head", "hostname", "id", "ip", "kill", "ln", "ls",
    "md5sum", "mkdir", "mkfifo", "mknod", "mktemp", "mount", "mv", "od", "printenv", "printf", "pwd",
    "readlink", "realpath", "rm", "rmdir", "sed", "seq", "sh", "sleep", "sort", "stat", "tar", "tee", "test",
    "touch", "tr", "true", "truncate", "uname", "wc", "xargs", "yes",
];
const FOLDERS: [(&str, u32, u64); 14] = [
    ("bin", 0o755, 0),
    ("dev", 0o755, 0),
    ("etc", 0o755, 0),
    ("home", 0o755, 0),
    ("home/app", 0o755, 1000),
    ("opt", 0o755, 0),
    ("proc", 0o555, 0),
    ("root", 0o700, 0),
    ("run", 0o755, 0),
    ("srv", 0o755, 0),
    ("sys", 0o555, 0),
    ("tmp", 0o1777, 0),
    ("usr", 0o755, 0),
    ("var", 0o755, 0),
];
const FILES: [(&str, &str); 7] = [
    ("etc/group", "root:x:0:\nstaff:x:50:app\napp:x:1000:\nweb:x:2000:app\n"),
    ("etc/hostname", ""),
    ("etc/hosts", ""),
    ("etc/motd", "welcome\n"),
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\nother:x:1001:50::/:/bin/sh\n",
    ),
    ("etc/resolv.conf", ""),
    ("srv/old.txt", "old\n"),
];

/// The base image.
pub(super) struct Base {
    /// Its name in a registry that ends with this process.
    pub(super) reference: String,
    /// It for each CPU, as it lies in the registry.
    pub(super) images: Vec<Image>,
}

/// The base image; `None` where a busybox for some CPU cannot be had.
pub(super) fn base() -> Option<&'static Base> {
    static BASE: OnceLock<Option<Base>> = OnceLock::new();
    BASE.get_or_init(prepare).as_ref()
}

fn prepare() -> Option<Base> {
    let folder = folder();
    let layout = folder.path().join("all");
    let mut images = Vec::new();
    let mut manifests = Vec::new();
    for cpu in ["amd64", "arm64"] {
        let manifest = write_image(&layout, cpu, &fs::read(busybox(cpu)?).expect("busybox"));
        let single = folder.path().join(cpu);
        let index = write_index(&layout, std::slice::from_ref(&manifest));
        fs::create_dir(&single).expect("a folder");
        std::os::unix::fs::symlink("../all/blobs", single.join("blobs")).expect("linked");
        write_layout(&single, &index);
        images.push(Image::read(&single));
        manifests.push(manifest);
    }
    let index = write_index(&layout, &manifests);
    write_layout(&layout, &index);
    let reference = format!("{}/conformance/busybox:latest", serve());
    run(Command::new("skopeo")
        .args(["copy", "--quiet", "--all", "--dest-tls-verify=false"])
        .args([format!("oci:{}:it", layout.display()), format!("docker://{reference}")]));
    Some(Base { reference, images })
}

fn write_image(layout: &Path, cpu: &str, busybox: &[u8]) -> Value {
    let layer = layer(busybox);
    let (diff_id, layer) = (polyarch::oci::digest_of(&layer), gzip(&layer));
    let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
    let layer = write_blob(layout, media_type, &layer);
    let config = json!({
        "architecture": cpu, "os": "linux", "created": "2020-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id.as_str()]},
        "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "busybox"}],
    });
    let config =
        write_blob(layout, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer]});
    let mut manifest = write_blob(layout, media_type, manifest.to_string().as_bytes());
    manifest["platform"] = json!({"os": "linux", "architecture": cpu});
    manifest
}

fn write_index(layout: &Path, manifests: &[Value]) -> Value {
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
    write_blob(layout, media_type, index.to_string().as_bytes())
}

fn write_layout(layout: &Path, index: &Value) {
    let mut entry = index.clone();
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "it"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    fs::write(layout.join("index.json"), index.to_string()).expect("written");
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
}

fn write_blob(layout: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest = polyarch::oci::digest_of(bytes);
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a folder");
    fs::write(blobs.join(digest.hex()), bytes).expect("written");
    json!({"mediaType": media_type, "digest": digest.as_str(), "size": bytes.len()})
}

fn layer(busybox: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |kind, path: &str, mode, owner, target: Option<&str>, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_mtime(1_577_836_800);
        header.set_size(content.len() as u64);
        if let Some(target) = target {
            header.set_link_name(target).expect("a target");
        }
        archive.append_data(&mut header, path, content).expect("appended");
    };
    for (path, mode, owner) in FOLDERS {
        add(tar::EntryType::Directory, path, mode, owner, None, &[]);
    }
    add(tar::EntryType::Regular, "bin/busybox", 0o755, 0, None, busybox);
    for command in COMMANDS {
        let path = format!("bin/{command}");
        add(tar::EntryType::Symlink, &path, 0o777, 0, Some("busybox"), &[]);
    }
    for (path, content) in FILES {
        add(tar::EntryType::Regular, path, 0o644, 0, None, content.as_bytes());
    }
    archive.into_inner().expect("an archive")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("compressed")
}
