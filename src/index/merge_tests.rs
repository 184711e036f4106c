use std::collections::BTreeMap;

use polyarch_actors::Descriptor;

use super::*;
use crate::{
    index::parts::{REFERENCE_DIGEST, REFERENCE_TYPE},
    oci::digest_of,
};

/// A platform as it is written, in its normal form or not.
fn platform(os: &str, architecture: &str, variant: &str) -> EntryPlatform {
    EntryPlatform {
        os: os.into(),
        architecture: architecture.into(),
        variant: Some(variant.to_owned()).filter(|variant| !variant.is_empty()),
        ..EntryPlatform::default()
    }
}

fn linux(architecture: &str) -> EntryPlatform {
    platform("linux", architecture, "")
}

fn windows(version: &str) -> EntryPlatform {
    EntryPlatform { os_version: Some(version.into()), ..platform("windows", "amd64", "") }
}

fn entry(content: &str) -> IndexEntry {
    IndexEntry::without_platform(Descriptor {
        media_type: media_type::MANIFEST.into(),
        digest: digest_of(content.as_bytes()),
        size: content.len() as u64,
        annotations: BTreeMap::new(),
    })
}

/// An image whose entry says what its config says.
fn image(source: &str, content: &str, config: &EntryPlatform) -> Part {
    declared(source, content, Some(config), config)
}

/// An image whose entry may say something else than its config.
fn declared(source: &str, content: &str, says: Option<&EntryPlatform>, config: &EntryPlatform) -> Part {
    let mut entry = entry(content);
    entry.platform = says.cloned();
    Part { source: source.into(), entry, content: PartContent::Image(config.clone()) }
}

/// Statements about the image with some content, as BuildKit writes them.
fn attestation(source: &str, content: &str, of: &str) -> Part {
    let of = digest_of(of.as_bytes());
    let mut entry = entry(content);
    entry.platform = Some(platform("unknown", "unknown", ""));
    entry.descriptor.annotations = BTreeMap::from([
        (REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned()),
        (REFERENCE_DIGEST.to_owned(), of.to_string()),
    ]);
    Part { source: source.into(), entry, content: PartContent::Attestation(Some(of)) }
}

fn merged(parts: Vec<Part>) -> Index {
    merge(Index::default(), parts).expect("an index")
}

fn refused(parts: Vec<Part>) -> MergeError {
    merge(Index::default(), parts).expect_err("no index")
}

/// What an index lists, in its order.
fn listed(index: &Index) -> Vec<(Digest, String)> {
    let line = |entry: &IndexEntry| {
        (entry.descriptor.digest.clone(), entry.platform.as_ref().map(written).unwrap_or_default())
    };
    index.manifests.iter().map(line).collect()
}

fn line(content: &str, platform: &str) -> (Digest, String) {
    (digest_of(content.as_bytes()), platform.to_owned())
}

#[test]
fn entries_are_in_the_order_of_the_sources_and_after_what_was_there() {
    let parts = ["riscv64", "amd64", "arm64"].map(|cpu| image(cpu, cpu, &linux(cpu)));
    let [one, two, three] = parts.clone();
    assert_eq!(
        listed(&merged(parts.to_vec())),
        [line("riscv64", "linux/riscv64"), line("amd64", "linux/amd64"), line("arm64", "linux/arm64")]
    );
    assert_eq!(
        listed(&merged(vec![three, one, two])),
        [line("arm64", "linux/arm64"), line("riscv64", "linux/riscv64"), line("amd64", "linux/amd64")]
    );
}

#[test]
fn two_images_for_one_platform_are_refused_and_both_are_named() {
    let same = [
        (linux("amd64"), linux("amd64")),
        (linux("arm64"), platform("linux", "aarch64", "v8")),
        (linux("arm"), platform("linux", "arm", "v7")),
        (linux("amd64"), platform("Linux", "x86_64", "")),
        (windows("10.0.20348.1"), windows("10.0.20348.1")),
    ];
    for (first, second) in same {
        let error =
            refused(vec![image("here.json", "a", &first), image("there.json", "b", &second)]).to_string();
        for word in ["here.json", "there.json", digest_of(b"a").as_str(), digest_of(b"b").as_str()] {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
        assert!(error.contains(&format!("different images for {}", written(&second))), "{error}");
    }
}

#[test]
fn images_for_different_machines_are_all_kept() {
    let platforms = [
        linux("arm64"),
        platform("linux", "arm", "v6"),
        platform("linux", "arm", "v7"),
        platform("freebsd", "arm64", ""),
        windows("10.0.17763.1"),
        windows("10.0.20348.1"),
    ];
    let parts = platforms.iter().map(|platform| image("one", &written(platform), platform));
    let index = merged(parts.collect());
    let expected: Vec<_> =
        platforms.iter().map(|platform| line(&written(platform), &written(platform))).collect();
    assert_eq!(listed(&index), expected);
}

#[test]
fn what_two_sources_have_is_listed_once_with_the_notes_of_both() {
    let mut first = image("one", "a", &linux("amd64"));
    let mut second = image("two", "a", &linux("amd64"));
    let note = |part: &mut Part, key: &str, value: &str| {
        part.entry.descriptor.annotations.insert(key.into(), value.into());
    };
    note(&mut first, "both", "first");
    note(&mut second, "both", "second");
    note(&mut second, "new", "second");
    let said = attestation("one", "said", "a");
    let index = merged(vec![first, said.clone(), second, said]);
    assert_eq!(listed(&index), [line("a", "linux/amd64"), line("said", "unknown/unknown")]);
    let notes = [("both", "first"), ("new", "second")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(index.manifests[0].descriptor.annotations, BTreeMap::from(notes));
}

#[test]
fn merging_again_changes_nothing() {
    let parts = vec![
        image("one", "a", &linux("amd64")),
        attestation("one", "x", "a"),
        image("two", "b", &linux("arm64")),
    ];
    let once = merged(parts.clone());
    assert_eq!(merged([parts.clone(), parts].concat()), once);
}

#[test]
fn one_image_may_stand_for_several_platforms() {
    let open = EntryPlatform { variant: None, ..platform("linux", "arm", "") };
    let says = |variant| platform("linux", "arm", variant);
    let parts =
        vec![declared("one", "a", Some(&says("v6")), &open), declared("one", "a", Some(&says("v7")), &open)];
    assert_eq!(listed(&merged(parts)), [line("a", "linux/arm/v6"), line("a", "linux/arm/v7")]);
}

#[test]
fn an_attestation_is_kept_as_it_is_and_stays_with_its_image() {
    let said = attestation("one", "said", "a");
    let index =
        merged(vec![image("one", "a", &linux("amd64")), said.clone(), image("two", "b", &linux("arm64"))]);
    assert_eq!(index.manifests[1], said.entry);
    let of = &index.manifests[1].descriptor.annotations[REFERENCE_DIGEST];
    assert_eq!(of, index.manifests[0].descriptor.digest.as_str());
    // The image may come after, and from another source.
    merged(vec![said, image("two", "a", &linux("amd64"))]);
}

#[test]
fn an_attestation_of_what_is_not_listed_is_refused() {
    let nothing = Part { content: PartContent::Attestation(None), ..attestation("one", "said", "a") };
    let cases = [
        (attestation("one", "said", "gone"), digest_of(b"gone").to_string()),
        (attestation("one", "said", "said"), digest_of(b"said").to_string()),
        (nothing, "nothing".to_owned()),
    ];
    for (said, subject) in cases {
        let error = refused(vec![image("one", "a", &linux("amd64")), said]);
        let digest = digest_of(b"said");
        assert_eq!(error, MergeError::Dangling { origin: "one".into(), digest, subject });
    }
}

#[test]
fn an_entry_that_lies_about_its_image_is_refused() {
    let cases = [
        (linux("arm64"), linux("amd64")),
        (platform("windows", "amd64", ""), linux("amd64")),
        (platform("linux", "arm", "v6"), platform("linux", "arm", "v7")),
        (windows("10.0.17763.1"), windows("10.0.20348.1")),
    ];
    for (says, config) in cases {
        let error = refused(vec![declared("one", "a", Some(&says), &config)]);
        let expected = MergeError::WrongPlatform {
            origin: "one".into(),
            digest: digest_of(b"a"),
            declared: written(&says),
            config: written(&config),
        };
        assert_eq!(error, expected);
    }
}

#[test]
fn what_an_entry_leaves_open_is_completed_from_the_image() {
    let v7 = platform("linux", "arm", "v7");
    let server = windows("10.0.20348.1");
    let unknown = platform("unknown", "unknown", "");
    let cases = [
        (None, v7.clone(), "linux/arm/v7"),
        (Some(unknown), linux("amd64"), "linux/amd64"),
        (Some(linux("arm")), v7, "linux/arm/v7"),
        (Some(platform("windows", "amd64", "")), server, "windows(10.0.20348.1)/amd64"),
        (Some(linux("arm64")), platform("linux", "arm64", "v8"), "linux/arm64/v8"),
    ];
    for (says, config, expected) in cases {
        let index = merged(vec![declared("one", "a", says.as_ref(), &config)]);
        assert_eq!(listed(&index), [line("a", expected)]);
    }
}

#[test]
fn an_index_of_dockers_images_alone_is_dockers_too() {
    let docker = |content: &str, cpu: &str| {
        let mut part = image("one", content, &linux(cpu));
        part.entry.descriptor.media_type = media_type::DOCKER_MANIFEST.into();
        part
    };
    let both = vec![docker("a", "amd64"), docker("b", "arm64")];
    assert_eq!(merged(both.clone()).media_type, media_type::DOCKER_INDEX);
    let mixed = vec![docker("a", "amd64"), image("one", "b", &linux("arm64"))];
    assert_eq!(merged(mixed).media_type, media_type::INDEX);
    let mut noted = Index::default();
    noted.annotations.insert("key".into(), "value".into());
    assert_eq!(merge(noted, both).expect("an index").media_type, media_type::INDEX);
    assert_eq!(merged(Vec::new()).media_type, media_type::INDEX);
}

#[test]
fn some_platforms_are_chosen_with_what_is_said_about_them() {
    let parts = vec![
        image("one", "a", &linux("amd64")),
        image("one", "b", &linux("arm64")),
        attestation("one", "of a", "a"),
        attestation("one", "of b", "b"),
    ];
    let wanted: Vec<Platform> = vec!["linux/arm64".parse().expect("a platform")];
    let chosen = select(parts.clone(), &wanted, "one").expect("chosen");
    assert_eq!(listed(&merged(chosen)), [line("b", "linux/arm64"), line("of b", "unknown/unknown")]);
    let missing = vec!["linux/riscv64".parse().expect("a platform")];
    let error = select(parts, &missing, "one").expect_err("none").to_string();
    assert_eq!(error, "one has no image for linux/riscv64; it has linux/amd64, linux/arm64");
}
