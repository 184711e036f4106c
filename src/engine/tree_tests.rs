use super::*;

fn apply(tree: &mut Tree, layer: usize, path: &str, kind: IndexKind) -> Result<(), String> {
    let spool = Spool::of_blob(crate::oci::digest_of(&layer.to_le_bytes()));
    let path = path.as_bytes().to_vec();
    let modified = 0;
    let entry = IndexEntry { path, kind, mode: 0o700, uid: 1, gid: 2, modified, xattrs: vec![] };
    tree.apply(entry, &Arc::new(spool), layer)
}

fn tree(layers: &[&[(&str, IndexKind)]]) -> Tree {
    let mut tree = Tree::default();
    for (number, members) in (1..).zip(layers) {
        for (path, kind) in *members {
            apply(&mut tree, number, path, kind.clone()).expect("applied");
        }
    }
    tree
}

fn paths(tree: &Tree) -> Vec<String> {
    fn collect(node: &Node, at: &RelPath, paths: &mut Vec<String>) {
        for (name, child) in node.children().into_iter().flatten() {
            let path = at.child(name);
            paths.push(path.to_string());
            collect(child, &path, paths);
        }
    }
    let mut paths = Vec::new();
    collect(&tree.root, &RelPath::root(), &mut paths);
    paths
}

fn to(target: &str) -> IndexKind {
    IndexKind::Symlink(target.as_bytes().to_vec())
}

fn resolved(tree: &Tree, path: &str) -> Option<String> {
    tree.resolve(&RelPath::clean(path.as_bytes())).map(|path| path.to_string())
}

const FILE: IndexKind = IndexKind::File { size: 3, digest: [0; 32], offset: 0 };
const DIR: IndexKind = IndexKind::Directory;

#[test]
fn whiteouts_remove_what_lower_layers_put_there() {
    let tree = tree(&[
        &[("a/one", FILE), ("a/two", FILE), ("b/one", FILE), ("b/sub/two", FILE)],
        &[
            ("a/.wh.one", FILE),
            ("b/new", FILE),
            ("b/.wh..wh..opq", FILE),
            ("b/sub/kept", FILE),
            (".wh.nothing", FILE),
        ],
        &[("a/.wh..wh.plnk", FILE)],
    ]);
    assert_eq!(paths(&tree), ["a", "a/two", "b", "b/new", "b/sub", "b/sub/kept"]);
}

#[test]
fn symbolic_links_stay_inside_and_in_the_layers_way() {
    let tree = tree(&[
        &[("usr/lib", DIR), ("lib", to("usr/lib")), ("out", to("../../../etc")), ("abs", to("/usr"))],
        &[("lib/added", FILE), ("out/passwd", FILE), ("abs/bin/x", FILE)],
    ]);
    let all = paths(&tree);
    for path in ["usr/lib/added", "etc/passwd", "usr/bin/x", "lib"] {
        assert!(all.contains(&path.to_owned()), "{all:?}");
    }
    assert_eq!(resolved(&tree, "abs/lib/../lib/added").as_deref(), Some("usr/lib/added"));
    assert_eq!(resolved(&tree, "out/new/file").as_deref(), Some("etc/new/file"));
}

#[test]
fn links_in_a_circle_lead_nowhere() {
    let mut tree = tree(&[&[("a", to("b")), ("b", to("a")), ("long", to("long/long"))]]);
    assert_eq!(resolved(&tree, "a/x"), None);
    assert_eq!(resolved(&tree, "long/x"), None);
    assert!(apply(&mut tree, 2, "a/x", FILE).is_err());
}

#[test]
fn hard_links_need_a_file_in_the_image() {
    let mut tree = tree(&[&[("a", FILE), ("etc", to("/real")), ("real/x", FILE)]]);
    let link = |target: &str| IndexKind::Hardlink(target.as_bytes().to_vec());
    assert_eq!(apply(&mut tree, 1, "b", link("a")), Ok(()));
    assert_eq!(apply(&mut tree, 1, "c", link("../etc/x")), Ok(()));
    assert!(tree.get(&RelPath::clean(b"c")).is_some_and(|node| matches!(node.kind, NodeKind::File(_))));
    for target in ["nothing", "real", "/"] {
        assert!(apply(&mut tree, 1, "d", link(target)).is_err(), "{target}");
    }
}

#[test]
fn a_directory_keeps_its_content_and_other_things_are_replaced() {
    let tree = tree(&[
        &[("d/x", FILE), ("f", FILE), ("l", to("d"))],
        &[("d", DIR), ("f", DIR), ("l", FILE), ("d/x/below", FILE)],
    ]);
    assert_eq!(paths(&tree), ["d", "d/x", "d/x/below", "f", "l"]);
    assert_eq!(tree.get(&RelPath::clean(b"d")).map(|node| node.mode), Some(0o700));
}

#[test]
fn a_shared_tree_does_not_change_with_its_copy() {
    let tree = tree(&[&[("a/b", FILE)]]);
    let mut copy = tree.clone();
    apply(&mut copy, 2, "a/c", FILE).expect("applied");
    assert_eq!((paths(&tree).len(), paths(&copy).len()), (2, 3));
}
