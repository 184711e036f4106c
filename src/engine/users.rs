//! Owners by name, as the `passwd` and `group` files of a stage know them.
//!
//! Source: BuildKit, `solver/llbsolver/file/user_linux.go`; but a name that nobody has is an error here, not root.

use super::{error::EngineError, node::NodeKind, spool::Spools, tree::Tree};
use crate::context::RelPath;

/// The largest file of names that is read.
const LARGEST: u64 = 8 << 20;

/// The owner that `user[:group]` means. A number alone is the group too, and a name alone brings its own group.
pub(super) fn owner(text: &str, tree: &Tree, spools: &Spools) -> Result<(u32, u32), EngineError> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let (uid, own_group) = match number(user) {
        _ if user.is_empty() => (0, 0),
        Some(uid) => (uid, uid),
        None => {
            let line = find("etc/passwd", user, tree, spools)?;
            let ids = line.as_ref().and_then(|line| Some((number(line.get(2)?)?, number(line.get(3)?)?)));
            ids.ok_or_else(|| unknown("user", user, "passwd"))?
        }
    };
    let gid = match group {
        None => own_group,
        Some(group) => {
            if let Some(gid) = number(group) {
                return Ok((uid, gid));
            }
            let line = find("etc/group", group, tree, spools)?;
            let gid = line.as_ref().and_then(|line| number(line.get(2)?));
            gid.ok_or_else(|| unknown("group", group, "group"))?
        }
    };
    Ok((uid, gid))
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The fields of the line that begins with `name`.
fn find(file: &str, name: &str, tree: &Tree, spools: &Spools) -> Result<Option<Vec<String>>, EngineError> {
    let Some(path) = tree.resolve(&RelPath::clean(file.as_bytes())) else { return Ok(None) };
    let Some(NodeKind::File(bytes)) = tree.get(&path).map(|node| &node.kind) else { return Ok(None) };
    let text = bytes.read_small(LARGEST, spools)?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().map(|line| line.split(':'));
    let found = lines.find(|fields| fields.clone().next() == Some(name));
    Ok(found.map(|fields| fields.map(|field| field.trim().to_owned()).collect()))
}

fn unknown(kind: &str, name: &str, file: &str) -> EngineError {
    EngineError::Invalid(format!("the {kind} {name} is not in /etc/{file} of this stage; use a number"))
}
