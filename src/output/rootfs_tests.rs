use super::*;

fn member(path: &str, kind: MemberKind) -> Member {
    Member {
        path: RelPath::clean(path.as_bytes()),
        leads_out: false,
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        modified: 0,
        nanoseconds: 0,
        xattrs: Vec::new(),
        windows: Vec::new(),
        offset: 0,
        size: 1,
    }
}

/// The paths that these layers leave, with what is there.
fn left(layers: &[&[(&str, &str)]]) -> Result<Vec<String>, String> {
    let mut root = RootFs::default();
    for (layer, members) in layers.iter().enumerate() {
        for (number, (path, kind)) in members.iter().enumerate() {
            let kind = match kind.split_at(1) {
                ("f", _) => MemberKind::File,
                ("d", _) => MemberKind::Directory,
                ("l", target) => MemberKind::Symlink(target.as_bytes().to_vec()),
                (_, target) => MemberKind::Hardlink(RelPath::clean(target.as_bytes())),
            };
            root.apply(member(path, kind), Source { layer, member: number })?;
        }
    }
    let shown = |(path, entry): (&Vec<u8>, &Entry)| {
        let path = String::from_utf8_lossy(path).into_owned();
        match &entry.kind {
            Kind::Directory => format!("{path}/"),
            Kind::File { source, .. } => format!("{path} {}.{}", source.layer, source.member),
            Kind::Symlink(target) => format!("{path} -> {}", String::from_utf8_lossy(target)),
            _ => path,
        }
    };
    Ok(root.entries.iter().map(shown).collect())
}

#[test]
fn deletions_hide_what_is_below_and_nothing_else() {
    let base: &[(&str, &str)] = &[("a", "d"), ("a/x", "f"), ("a/y", "f"), ("a0", "f"), ("a-b", "f")];
    assert_eq!(left(&[base, &[(".wh.a", "f")]]), Ok(vec!["a-b 0.4".into(), "a0 0.3".into()]));
    let opaque: &[(&str, &str)] = &[("a/x", "f"), ("a/.wh..wh..opq", "f")];
    let expected = ["a/", "a-b 0.4", "a/x 1.0", "a0 0.3"].map(str::to_owned);
    assert_eq!(left(&[base, opaque]), Ok(expected.to_vec()));
    let file: &[(&str, &str)] = &[("a", "f")];
    assert_eq!(left(&[base, file]), Ok(vec!["a 1.0".into(), "a-b 0.4".into(), "a0 0.3".into()]));
}

#[test]
fn a_directory_over_a_directory_keeps_what_is_in_it() {
    let expected = vec!["a/".into(), "a/x 0.1".into()];
    assert_eq!(left(&[&[("a", "d"), ("a/x", "f")], &[("a", "d")]]), Ok(expected));
}

#[test]
fn links_lead_where_they_would_in_a_container() {
    let base: &[(&str, &str)] = &[("usr/lib", "d"), ("lib", "l/usr/lib"), ("up", "l../../usr")];
    let found = left(&[base, &[("lib/x", "f"), ("up/y", "f"), ("z", "hlib/x")]]);
    let expected =
        ["lib -> /usr/lib", "up -> ../../usr", "usr/", "usr/lib/", "usr/lib/x 1.0", "usr/y 1.1", "z 1.0"];
    assert_eq!(found, Ok(expected.map(str::to_owned).to_vec()));
    let circle = left(&[&[("a", "lb"), ("b", "la"), ("a/x", "f")]]).expect_err("a circle");
    assert!(circle.contains("without end"), "{circle}");
    let missing = left(&[&[("a", "hb")]]).expect_err("no target");
    assert!(missing.contains("which is not there"), "{missing}");
}

#[test]
fn a_hard_link_survives_the_file_it_was_made_of() {
    let found = left(&[&[("a", "f"), ("b", "ha")], &[(".wh.a", "f")]]);
    assert_eq!(found, Ok(vec!["b 0.0".into()]));
}
