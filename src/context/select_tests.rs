use std::{collections::BTreeMap, convert::Infallible};

use super::*;
use crate::context::Ignore;
use proptest::prelude::*;

/// A tree in memory that insists on being asked only for what a context on disk could answer.
#[derive(Default)]
struct Listing {
    nodes: BTreeMap<Vec<u8>, Node>,
    ignore: Ignore,
}

impl Listing {
    /// `name` is a file, `name/` a directory, `name -> target` a symbolic link.
    fn new(lines: &[&str]) -> Self {
        let mut tree = Self::default();
        for line in lines {
            let (path, node) = match line.split_once(" -> ") {
                Some((path, target)) => (path, Node::Symlink(target.into())),
                None if line.ends_with('/') => (*line, Node::Directory),
                None => (*line, Node::File),
            };
            let path = RelPath::clean(path.as_bytes());
            let mut parent = path.clone();
            while let Some((directory, _)) = parent.split() {
                tree.nodes.entry(directory.as_bytes().to_vec()).or_insert(Node::Directory);
                parent = directory;
            }
            tree.nodes.insert(path.as_bytes().to_vec(), node);
        }
        tree
    }
}

impl Tree for Listing {
    type Error = Infallible;

    fn node(&self, path: &RelPath) -> Result<Option<Node>, Infallible> {
        if let Some((parent, _)) = path.split() {
            assert_eq!(self.nodes.get(parent.as_bytes()), Some(&Node::Directory), "the parent of {path}");
        }
        let node = self.nodes.get(path.as_bytes()).cloned();
        Ok(node.filter(|_| !self.ignore.is_ignored(path.as_bytes())))
    }

    fn names(&self, directory: &RelPath) -> Result<Vec<Vec<u8>>, Infallible> {
        assert_eq!(self.nodes.get(directory.as_bytes()), Some(&Node::Directory), "{directory}");
        let paths = self.nodes.keys().map(|path| RelPath::clean(path));
        Ok(paths
            .filter_map(|path| {
                let (parent, name) = path.split()?;
                (parent == *directory).then(|| name.to_vec())
            })
            .collect())
    }

    fn hidden_by(&self, path: &RelPath) -> Option<&Rule> {
        self.ignore.deciding(path.as_bytes()).filter(|rule| !rule.is_negated())
    }
}

/// `path`, or `path as name` where the name is another.
fn found(tree: &Listing, pattern: &str) -> Result<Vec<String>, String> {
    let selected = select(tree, pattern.as_bytes()).map_err(|error| error.to_string())?;
    let shown = selected.into_iter().map(|selected| {
        let own = selected.path.split().map(|(_, name)| name.to_vec()).unwrap_or_default();
        let slash = if selected.is_directory { "/" } else { "" };
        let name = String::from_utf8_lossy(&selected.name);
        let alias = if own == selected.name { String::new() } else { format!(" as {name}") };
        format!("{}{slash}{alias}", selected.path)
    });
    Ok(shown.collect())
}

#[test]
fn wildcards_match_within_one_component_and_dots_and_slashes_do_not_count() {
    let tree =
        Listing::new(&["a.txt", "b.txt", ".hidden.txt", "dir/a.txt", "dir/sub/c.txt", "arr[0].txt", "dirx"]);
    for (pattern, expected) in [
        ("a.txt", "a.txt"),
        ("/a.txt", "a.txt"),
        ("./a.txt", "a.txt"),
        ("dir/../a.txt", "a.txt"),
        ("*.txt", ".hidden.txt a.txt arr[0].txt b.txt"),
        ("?.txt", "a.txt b.txt"),
        ("[^a].txt", "b.txt"),
        ("arr[[]0].txt", "arr[0].txt"),
        ("*/*.txt", "dir/a.txt"),
        ("**/*.txt", "dir/a.txt"),
        ("*/*/*", "dir/sub/c.txt"),
        ("dir", "dir/"),
        ("dir/", "dir/"),
        ("dir*", "dir/ dirx"),
        (".", "./"),
        ("/", "./"),
        ("dir/s?b/*", "dir/sub/c.txt"),
        ("a.txt/*", ""),
    ] {
        assert_eq!(found(&tree, pattern).expect(pattern).join(" "), expected, "{pattern}");
    }
}

#[test]
fn a_name_must_be_there_and_a_wildcard_need_not() {
    let tree = Listing::new(&["foo"]);
    assert_eq!(found(&tree, "nomatch*"), Ok(vec![]));
    assert_eq!(found(&tree, "bar"), Err("source \"bar\" not found".into()));
    assert_eq!(found(&tree, "foo/bar"), Err("source \"foo/bar\" not found".into()));
    // fsutil walks the directory before the first wildcard, which must be there.
    assert_eq!(found(&tree, "no/*.txt"), Err("source \"no/*.txt\" not found".into()));
    assert_eq!(found(&tree, "a[*"), Err("source \"a[*\" is no valid pattern".into()));
}

#[test]
fn nothing_leads_out_of_the_tree() {
    let tree = Listing::new(&[
        "etc/passwd",
        "up -> ../../../etc",
        "abs -> /etc/passwd",
        "dir/rel -> ../../../../etc",
    ]);
    for (pattern, expected) in [
        ("../../etc/passwd", "etc/passwd"),
        ("up/passwd", "etc/passwd"),
        ("abs", "etc/passwd as abs"),
        ("dir/rel/passwd", "etc/passwd"),
        ("dir/rel/../../../etc/passwd", "etc/passwd"),
    ] {
        assert_eq!(found(&tree, pattern).expect(pattern), [expected], "{pattern}");
    }
}

#[test]
fn links_are_followed_to_a_source_and_keep_their_name_but_wildcards_do_not_walk_into_them() {
    let tree = Listing::new(&[
        "real/file",
        "link -> real",
        "chain -> link",
        "one -> real/file",
        "dead -> nowhere",
        "abs -> /real/",
    ]);
    for (pattern, expected) in [
        ("link", "real/ as link"),
        ("link/file", "real/file"),
        ("chain/file", "real/file"),
        ("abs/file", "real/file"),
        ("link/*", "real/file"),
        ("*/file", "real/file"),
        ("o*", "real/file as one"),
        ("c*", "real/ as chain"),
    ] {
        assert_eq!(found(&tree, pattern).expect(pattern).join(" "), expected, "{pattern}");
    }
    assert_eq!(found(&tree, "dead"), Err("source \"dead\" not found".into()));
    assert_eq!(found(&tree, "d*"), Err("source \"d*\" not found".into()));
}

#[test]
fn links_in_a_circle_end() {
    let tree = Listing::new(&["a -> b", "b -> a", "self -> self/x"]);
    for pattern in ["a", "self", "a/*"] {
        let error = found(&tree, pattern).expect_err(pattern);
        assert_eq!(error, format!("source {pattern:?} leads through more than 255 symbolic links"));
    }
    let chain: Vec<String> = (0..255).map(|at| format!("l{at} -> l{}", at + 1)).collect();
    let mut lines: Vec<&str> = chain.iter().map(String::as_str).collect();
    lines.push("l255");
    assert_eq!(found(&Listing::new(&lines), "l0"), Ok(vec!["l255 as l0".into()]));
}

#[test]
fn an_excluded_source_is_told_apart_from_a_missing_one() {
    let mut tree = Listing::new(&["secret/key", "public", "link -> secret/key"]);
    tree.ignore = Ignore::parse(b"\nsecret/*\n*.md").expect("readable");
    assert_eq!(
        found(&tree, "secret/key"),
        Err("source \"secret/key\" is excluded by \"secret/*\", line 2 of the .dockerignore".into())
    );
    assert_eq!(
        found(&tree, "link"),
        Err("source \"link\" is excluded by \"secret/*\", line 2 of the .dockerignore".into())
    );
    assert_eq!(found(&tree, "secret/*"), Ok(vec![]));
    assert_eq!(found(&tree, "missing"), Err("source \"missing\" not found".into()));
}

proptest! {
    #[test]
    fn whatever_the_links_a_source_is_inside_and_no_link(
        links in prop::collection::vec(("[abc](/[abc]){0,2}", "[./abc]{1,8}"), 0..6),
        pattern in "[./abc*?]{1,8}",
    ) {
        let lines: Vec<String> = links.iter().map(|(path, target)| format!("{path} -> {target}")).collect();
        let mut tree = Listing::new(&["a/a/file", "b/file", "c"]);
        for (path, node) in Listing::new(&lines.iter().map(String::as_str).collect::<Vec<_>>()).nodes {
            let path = RelPath::clean(&path);
            // A link takes the place of what is there, unless something is below.
            if tree.nodes.get(path.split().map(|(parent, _)| parent).unwrap_or_default().as_bytes())
                == Some(&Node::Directory)
            {
                tree.nodes.entry(path.as_bytes().to_vec()).or_insert(node);
            }
        }
        tree.nodes.insert(Vec::new(), Node::Directory);
        if let Ok(selected) = select(&tree, pattern.as_bytes()) {
            for source in selected {
                let node = tree.nodes.get(source.path.as_bytes());
                prop_assert!(matches!(node, Some(Node::Directory | Node::File)), "{:?} {:?}", source, node);
            }
        }
    }
}
