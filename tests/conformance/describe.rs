//! An image as lines that a person can read: what its layers and its config add to its base.

use std::{collections::BTreeMap, fmt::Write as _};

use polyarch::oci::digest_of;
use serde_json::Value;

use super::{
    image::Image,
    tree::{Kind, Node, Tree},
};

/// The longest text that is shown as it is, in bytes.
const SHORT: usize = 400;

/// Everything that is compared: the config, the layers and the history on top of the base, and every file that is not
/// in the base as it is here.
pub(super) fn describe(image: &Image, bases: &[Image], times: bool) -> Vec<String> {
    let base = bases.iter().filter(|base| image.diff_ids().starts_with(&base.diff_ids()));
    let base = base.max_by_key(|base| base.layers());
    let mut lines = config(&image.config["config"]);
    if let Some(author) = image.config["author"].as_str().filter(|author| !author.is_empty()) {
        lines.push(format!("Author {author}"));
    }
    lines.sort();
    let below = base.map_or(0, Image::layers);
    lines.push(format!("layers {}", image.layers() - below));
    let entries = |image: &Image| image.config["history"].as_array().cloned().unwrap_or_default();
    let history = entries(image);
    let kinds = history[base.map_or(0, |base| entries(base).len()).min(history.len())..].iter();
    let kinds = kinds.map(|entry| if entry["empty_layer"] == true { " empty" } else { " layer" });
    lines.push(format!("history{}", kinds.collect::<String>()));
    lines.extend(files(&image.tree(below), &image.tree(image.layers()), times));
    lines
}

/// The settings of a config, a value a line.
pub(super) fn config(config: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, value) in config.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            // A word for Windows, which BuildKit and Docker set for every CMD.
            ("ArgsEscaped", _) | (_, Value::Null) => {}
            ("Env" | "OnBuild", Value::Array(words)) => {
                let words = words.iter().filter_map(Value::as_str).enumerate();
                lines.extend(words.map(|(at, word)| format!("{key} {} {word}", at + 1)));
            }
            ("Labels", Value::Object(labels)) => {
                let labels = labels.iter().map(|(name, value)| (name, value.as_str().unwrap_or_default()));
                lines.extend(labels.map(|(name, value)| format!("Label {name}={value}")));
            }
            ("ExposedPorts" | "Volumes", Value::Object(set)) => {
                let key = key.trim_end_matches('s');
                lines.extend(set.keys().map(|name| format!("{key} {name}")));
            }
            (_, Value::String(text)) if text.is_empty() => {}
            (_, Value::Array(list)) if list.is_empty() => {}
            (_, Value::String(text)) => lines.push(format!("{key} {text}")),
            (_, value) => lines.push(format!("{key} {value}")),
        }
    }
    lines.iter().map(|line| line.replace('\n', "\\n")).collect()
}

fn files(before: &Tree, after: &Tree, times: bool) -> Vec<String> {
    let mut first: BTreeMap<usize, &[u8]> = BTreeMap::new();
    let mut lines = Vec::new();
    for (path, file) in &after.names {
        let node = &after.files[*file];
        let other_name = *first.entry(*file).or_insert(path);
        let old = before.get(path);
        let is_old = old.is_some_and(|old| Node { modified: node.modified, ..old.clone() } == *node);
        let is_plain_root = path.is_empty() && (node.mode, node.owner) == (0o755, (0, 0));
        if is_old || is_plain_root {
            continue;
        }
        let (uid, gid) = node.owner;
        let mut line = format!("{:o} {uid}:{gid} {}", node.mode, kind(&node.kind));
        let _ = write!(line, " {}", name(path));
        if other_name == path {
            line += &content(&node.kind);
        } else {
            let _ = write!(line, " same file as {}", name(other_name));
        }
        for (key, value) in &node.xattrs {
            let _ = write!(line, " {}=\"{}\"", String::from_utf8_lossy(key), value.escape_ascii());
        }
        if times && node.kind != Kind::Directory {
            let _ = write!(line, " time {}", node.modified);
        }
        lines.push(line);
    }
    let gone = before.names.keys().filter(|path| !path.is_empty() && after.get(path).is_none());
    lines.extend(gone.map(|path| format!("removed {}", name(path))));
    lines
}

fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory => "folder",
        Kind::File(_) => "file",
        Kind::Symlink(_) => "symlink",
        Kind::Fifo => "fifo",
        Kind::Device { block: false, .. } => "character-device",
        Kind::Device { block: true, .. } => "block-device",
    }
}

fn content(kind: &Kind) -> String {
    match kind {
        Kind::Directory | Kind::Fifo => String::new(),
        Kind::Symlink(target) => format!(" -> {}", quoted(target)),
        Kind::Device { major, minor, .. } => format!(" {major},{minor}"),
        Kind::File(bytes) => {
            let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= SHORT);
            let text = text.filter(|text| text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
            let shown = text.map_or_else(|| digest_of(bytes).to_string(), |text| format!("{text:?}"));
            format!(" {} {shown}", bytes.len())
        }
    }
}

fn name(path: &[u8]) -> String {
    quoted(&[b"/", path].concat())
}

/// A path, in quotes where it could be taken for something else.
fn quoted(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"') => text.into(),
        _ => format!("\"{}\"", path.escape_ascii()),
    }
}
