//! What the source patterns of COPY and ADD select.
//!
//! Source: BuildKit, `solver/llbsolver/file/backend.go` (`docopy`) and fsutil, `copy/copy.go`
//! (`ResolveWildcards`); what their `AllowWildcard`, `AllowEmptyWildcard` and `FollowLinks` do is what COPY asks
//! of them. A pattern is a path from the root of the tree, and `..` stays inside. Symbolic links on the way to
//! a source are followed inside the root, the source itself included; those found by a wildcard are not entered
//! on the way. A name without wildcards must be there; a wildcard may match nothing.

use super::{
    glob::{Dialect, Glob, GlobError, has_wildcard},
    ignore::Rule,
    path::RelPath,
};

/// How many symbolic links one source may lead through: as many as BuildKit follows.
const MOST_LINKS: usize = 255;

/// Files to select from: a context on disk, or the index of an image's layers.
pub trait Tree {
    /// Why it cannot be read.
    type Error: std::error::Error + 'static;

    /// What is at `path`, without following a symbolic link there. No parent of `path` is a symbolic link.
    fn node(&self, path: &RelPath) -> Result<Option<Node>, Self::Error>;

    /// The names in a directory, sorted by bytes.
    fn names(&self, directory: &RelPath) -> Result<Vec<Vec<u8>>, Self::Error>;

    /// The pattern that keeps `path` out of this tree, if one does.
    fn hidden_by(&self, _path: &RelPath) -> Option<&Rule> {
        None
    }
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A symbolic link, and where it leads.
    Symlink(Vec<u8>),
    /// Anything else.
    File,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Where it is, with all symbolic links followed.
    pub path: RelPath,
    /// The name it goes by, which a symbolic link lends it; empty for the root.
    pub name: Vec<u8>,
    /// Whether it is a directory, whose contents are meant rather than itself.
    pub is_directory: bool,
}

/// Why a pattern selects nothing.
#[derive(Debug, thiserror::Error)]
pub enum SelectError<E: std::error::Error + 'static> {
    /// Nothing is there.
    #[error("source {pattern:?} not found")]
    Missing {
        /// The pattern as it was written.
        pattern: String,
    },
    /// It does not count.
    #[error("source {pattern:?} is excluded by {rule:?}, line {line} of the .dockerignore")]
    Excluded {
        /// The pattern as it was written.
        pattern: String,
        /// The line that excludes it.
        line: usize,
        /// The pattern on that line.
        rule: String,
    },
    /// Symbolic links that lead in a circle, or too far.
    #[error("source {pattern:?} leads through more than {MOST_LINKS} symbolic links")]
    Links {
        /// The pattern as it was written.
        pattern: String,
    },
    /// The pattern is malformed.
    #[error("source {pattern:?} is no valid pattern")]
    Malformed {
        /// The pattern as it was written.
        pattern: String,
        /// What is wrong with it.
        source: GlobError,
    },
    /// The tree cannot be read.
    #[error(transparent)]
    Tree(E),
}

/// The sources that `pattern` selects, in the order of their names.
pub fn select<T: Tree>(tree: &T, pattern: &[u8]) -> Result<Vec<Selected>, SelectError<T::Error>> {
    let search = Search { tree, pattern };
    let path = RelPath::clean(pattern);
    let mut fixed = RelPath::root();
    let mut wild = Vec::new();
    for component in path.components() {
        if wild.is_empty() && !has_wildcard(component) {
            fixed = fixed.child(component);
        } else {
            let malformed = |source| SelectError::Malformed { pattern: search.shown(), source };
            wild.push(Glob::parse(component, Dialect::Name).map_err(malformed)?);
        }
    }
    if wild.is_empty() {
        return Ok(vec![search.selected(&fixed)?]);
    }
    let (base, node) = search.follow(&fixed)?;
    let mut found = Vec::new();
    if node == Node::Directory {
        search.expand(&base, &wild, &mut found)?;
    }
    found.iter().map(|path| search.selected(path)).collect()
}

struct Search<'s, T> {
    tree: &'s T,
    pattern: &'s [u8],
}

impl<T: Tree> Search<'_, T> {
    fn selected(&self, path: &RelPath) -> Result<Selected, SelectError<T::Error>> {
        let name = path.split().map(|(_, name)| name.to_vec()).unwrap_or_default();
        let (path, node) = self.follow(path)?;
        Ok(Selected { path, name, is_directory: node == Node::Directory })
    }

    /// The paths below `directory` whose components match.
    fn expand(
        &self,
        directory: &RelPath,
        wild: &[Glob],
        found: &mut Vec<RelPath>,
    ) -> Result<(), SelectError<T::Error>> {
        let Some((glob, deeper)) = wild.split_first() else { return Ok(()) };
        for name in self.tree.names(directory).map_err(SelectError::Tree)? {
            if !glob.matches(&name) {
                continue;
            }
            let path = directory.child(&name);
            match self.tree.node(&path).map_err(SelectError::Tree)? {
                Some(_) if deeper.is_empty() => found.push(path),
                Some(Node::Directory) => self.expand(&path, deeper, found)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Where `path` leads when every symbolic link is followed as if the root were `/`, and what is there.
    fn follow(&self, path: &RelPath) -> Result<(RelPath, Node), SelectError<T::Error>> {
        let mut path = path.clone();
        for _ in 0..=MOST_LINKS {
            match self.step(&path)? {
                Step::There(node) => return Ok((path, node)),
                Step::Elsewhere(target) => path = target,
                Step::Nowhere(missing) => return Err(self.missing(&missing)),
            }
        }
        Err(SelectError::Links { pattern: self.shown() })
    }

    /// Follows the first symbolic link in `path`.
    fn step(&self, path: &RelPath) -> Result<Step, SelectError<T::Error>> {
        let components: Vec<&[u8]> = path.components().collect();
        let mut at = RelPath::root();
        let mut node = Node::Directory;
        for (index, component) in components.iter().enumerate() {
            let parent = at;
            at = parent.child(component);
            if node != Node::Directory {
                return Ok(Step::Nowhere(at));
            }
            node = match self.tree.node(&at).map_err(SelectError::Tree)? {
                None => return Ok(Step::Nowhere(at)),
                Some(Node::Symlink(target)) => {
                    let from = if target.starts_with(b"/") { b"" } else { parent.as_bytes() };
                    let mut parts = vec![from, &target];
                    parts.extend(&components[index + 1..]);
                    return Ok(Step::Elsewhere(RelPath::clean(&parts.join(&b'/'))));
                }
                Some(node) => node,
            };
        }
        Ok(Step::There(node))
    }

    fn missing(&self, path: &RelPath) -> SelectError<T::Error> {
        let pattern = self.shown();
        match self.tree.hidden_by(path) {
            Some(rule) => SelectError::Excluded { pattern, line: rule.line, rule: rule.text.clone() },
            None => SelectError::Missing { pattern },
        }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(self.pattern).into_owned()
    }
}

/// Where a path leads.
enum Step {
    There(Node),
    Elsewhere(RelPath),
    Nowhere(RelPath),
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
