//! What COPY and ADD copy from: a build context, or the file system of a stage or image.

use std::{collections::BTreeMap, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    digests::{self, ContextFile, Digests},
    error::EngineError,
    key::Key,
    layer::{self, Content, NewEntry, NewKind},
    node::{Node, NodeKind},
    tree::Tree,
};
use crate::{
    context::{self, Context, ContextError, Entry, Ignore, Kind, RelPath, SelectError, select},
    error::with_sources,
};

/// A place to copy from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A directory of this machine. Everything in it belongs to root.
    Context(Arc<Context>, Arc<Digests>),
    /// A stage or an image, and what to call it.
    Tree(Tree, String),
}

/// What one pattern selected.
#[derive(Clone, Debug)]
pub(super) struct Picked {
    /// The name it goes by.
    pub(super) name: Vec<u8>,
    pub(super) is_directory: bool,
    /// The thing itself, or what is in the directory; each directory before what is in it.
    pub(super) items: Vec<Item>,
}

/// One thing to copy.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its path below the directory that was selected; empty for a file that was.
    pub(super) below: Vec<u8>,
    /// Its path in the source.
    pub(super) path: RelPath,
    pub(super) entry: NewEntry,
}

impl Source {
    /// What a pattern selects, in the order of names. Names without wildcards must be there. Nothing is read that
    /// lies in files.
    pub(super) fn pick(&self, pattern: &str, exclude: &Ignore) -> Result<Vec<Picked>, EngineError> {
        let mut picked = match self {
            Self::Context(context, digests) => {
                let selected =
                    select(&**context, pattern.as_bytes()).map_err(|error| not_there(error, None))?;
                let mut picked = Vec::with_capacity(selected.len());
                for selected in selected {
                    picked.push(pick_from_context(context, digests, selected)?);
                }
                picked
            }
            Self::Tree(tree, name) => {
                let selected =
                    select(tree, pattern.as_bytes()).map_err(|error| not_there(error, Some(name)))?;
                selected.into_iter().map(|selected| pick_from_tree(tree, selected)).collect()
            }
        };
        if !exclude.is_empty() {
            for one in &mut picked {
                let name = one.name.clone();
                one.items.retain(|item| {
                    let below = if item.below.is_empty() { &name } else { &item.below };
                    !exclude.is_ignored(below) && !exclude.is_ignored(item.path.as_bytes())
                });
            }
            picked.retain(|one| one.is_directory || !one.items.is_empty());
        }
        Ok(picked)
    }
}

/// What `--parents` selects: everything that the pattern matches, with the directories above it as far down as the
/// pivot `/./`, or all of them.
pub(super) fn pick_with_parents(
    source: &Source,
    pattern: &str,
    exclude: &Ignore,
) -> Result<Vec<Picked>, EngineError> {
    let written = pattern;
    let (base, pattern) = pattern.split_once("/./").unwrap_or(("/", pattern));
    let pattern = RelPath::clean(pattern.as_bytes());
    let wanted = Ignore::from_patterns([pattern.as_bytes()])
        .map_err(|error| EngineError::Invalid(format!("{pattern}: {error}")))?;
    let base = if base.is_empty() { "/" } else { base };
    let mut picked = source.pick(base, exclude)?;
    for one in picked.iter_mut().filter(|one| one.is_directory) {
        let mut kept: Vec<Item> = Vec::new();
        let mut parents: Vec<Item> = Vec::new();
        for item in std::mem::take(&mut one.items) {
            parents.retain(|parent| is_below(&item.below, &parent.below));
            if pattern.is_root() || wanted.is_ignored(&item.below) {
                kept.append(&mut parents);
                kept.push(item);
            } else if matches!(item.entry.kind, NewKind::Directory) {
                parents.push(item);
            }
        }
        one.items = kept;
    }
    let is_literal = !written.contains(['*', '?', '[', '\\']);
    if is_literal && !pattern.is_root() && picked.iter().all(|one| one.items.is_empty()) {
        return Err(EngineError::Invalid(format!("source {written:?} not found")));
    }
    Ok(picked)
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

fn pick_from_context(
    context: &Arc<Context>,
    digests: &Arc<Digests>,
    selected: context::Selected,
) -> Result<Picked, EngineError> {
    let mut found = context.walk(&selected.path).map_err(unreadable)?.unwrap_or_default();
    // A directory's own entry is not copied, but what is in it.
    found.retain(|entry| (entry.path == selected.path) != selected.is_directory);
    let items = found.into_iter().filter_map(|entry| {
        let below = entry.path.below(&selected.path)?.to_vec();
        let path = entry.path.clone();
        Some(Item { below, path, entry: of_context(context, digests, entry) })
    });
    Ok(Picked { name: selected.name, is_directory: selected.is_directory, items: items.collect() })
}

/// What a context holds belongs to root, as BuildKit has it.
fn of_context(context: &Arc<Context>, digests: &Arc<Digests>, entry: Entry) -> NewEntry {
    let (mode, modified) = (entry.mode, entry.stamp.modified.seconds);
    let kind = match &entry.kind {
        Kind::Directory => NewKind::Directory,
        Kind::Symlink { target } => NewKind::Symlink(target.clone()),
        Kind::Fifo => NewKind::Fifo,
        Kind::CharDevice { major, minor } => NewKind::CharDevice { major: *major, minor: *minor },
        Kind::BlockDevice { major, minor } => NewKind::BlockDevice { major: *major, minor: *minor },
        Kind::File => {
            let size = entry.stamp.size;
            let file = ContextFile::new(context, entry, digests);
            NewKind::File { size, content: Content::Context(Arc::new(file)) }
        }
    };
    NewEntry { kind, mode, uid: 0, gid: 0, modified, xattrs: Vec::new() }
}

/// What decides what was picked, but for times. Files that nobody has read yet are read, by all CPUs.
pub(super) fn key(picked: &[Picked], cancel: &CancellationToken) -> Result<Key, EngineError> {
    digests::read(&unread(picked), cancel)?;
    let mut key = Key::new("picked");
    for one in picked {
        key.add(&one.name);
        key.add([u8::from(one.is_directory)]);
        // In the order of paths, as layers have them.
        let items: BTreeMap<&[u8], &NewEntry> =
            one.items.iter().map(|item| (item.below.as_slice(), &item.entry)).collect();
        key.add(layer::key_of(&items, None)?.as_str());
    }
    Ok(key)
}

/// The files that must be read to know the key.
pub(super) fn unread(picked: &[Picked]) -> Vec<Arc<ContextFile>> {
    let entries = picked.iter().flat_map(|one| &one.items).map(|item| &item.entry);
    digests::unread(layer::files(entries))
}

/// What the key decides as far as it can be seen without reading files: what was picked by the names, the kinds, the
/// permissions and the lengths. Equal keys have equal shapes.
pub(super) fn shape(picked: &[Picked]) -> Key {
    let mut shape = Key::new("shape");
    for one in picked {
        shape.add(&one.name);
        for Item { below, entry, .. } in &one.items {
            shape.add(below);
            shape.add(entry.mode.to_le_bytes());
            let size = match &entry.kind {
                NewKind::File { size, .. } => *size,
                _ => u64::MAX,
            };
            shape.add(size.to_le_bytes());
        }
    }
    shape
}

fn pick_from_tree(tree: &Tree, selected: context::Selected) -> Picked {
    let mut items = Vec::new();
    if let Some(node) = tree.get(&selected.path) {
        if selected.is_directory {
            collect(node, &RelPath::root(), &selected.path, &mut items);
        } else {
            items.push(Item { below: Vec::new(), path: selected.path.clone(), entry: of_node(node) });
        }
    }
    Picked { name: selected.name, is_directory: selected.is_directory, items }
}

/// Everything in a file system.
pub(super) fn contents(tree: &Tree) -> Vec<Item> {
    let mut items = Vec::new();
    if let Some(root) = tree.get(&RelPath::root()) {
        collect(root, &RelPath::root(), &RelPath::root(), &mut items);
    }
    items
}

fn collect(node: &Node, below: &RelPath, at: &RelPath, items: &mut Vec<Item>) {
    for (name, child) in node.children().into_iter().flatten() {
        let (below, path) = (below.child(name), at.child(name));
        items.push(Item { below: below.as_bytes().to_vec(), path: path.clone(), entry: of_node(child) });
        collect(child, &below, &path, items);
    }
}

/// What an image holds keeps its owner.
fn of_node(node: &Node) -> NewEntry {
    let kind = match &node.kind {
        NodeKind::Directory(_) => NewKind::Directory,
        NodeKind::Symlink(target) => NewKind::Symlink(target.clone()),
        NodeKind::Fifo => NewKind::Fifo,
        NodeKind::CharDevice { major, minor } => NewKind::CharDevice { major: *major, minor: *minor },
        NodeKind::BlockDevice { major, minor } => NewKind::BlockDevice { major: *major, minor: *minor },
        NodeKind::File(bytes) => NewKind::File { size: bytes.size, content: Content::Stored(bytes.clone()) },
    };
    let Node { mode, uid, gid, modified, xattrs, .. } = node;
    NewEntry { kind, mode: *mode, uid: *uid, gid: *gid, modified: *modified, xattrs: xattrs.clone() }
}

fn not_there<E: std::error::Error + 'static>(error: SelectError<E>, place: Option<&str>) -> EngineError {
    match place {
        None => EngineError::Invalid(format!("{} (in the build context)", with_sources(&error))),
        Some(place) => EngineError::Invalid(format!("{} in {place}", with_sources(&error))),
    }
}

fn unreadable(error: ContextError) -> EngineError {
    EngineError::Invalid(with_sources(&error))
}
