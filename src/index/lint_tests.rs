use std::collections::{BTreeMap, HashSet};

use polyarch_actors::{Descriptor, Digest};

use super::*;
use crate::{
    index::{
        parts::{REFERENCE_DIGEST, REFERENCE_TYPE},
        rule::Severity,
        tree::{ConfigFacts, LayerFacts},
    },
    oci::{digest_of, index::IndexEntry},
};

fn platform(os: &str, architecture: &str, variant: &str) -> EntryPlatform {
    EntryPlatform {
        os: os.into(),
        architecture: architecture.into(),
        variant: Some(variant.to_owned()).filter(|variant| !variant.is_empty()),
        ..EntryPlatform::default()
    }
}

fn descriptor(media_type: &str, content: &str) -> Descriptor {
    Descriptor {
        media_type: media_type.into(),
        digest: digest_of(content.as_bytes()),
        size: content.len() as u64,
        annotations: BTreeMap::new(),
    }
}

fn node(descriptor: Descriptor, platform: Option<EntryPlatform>, content: Content) -> Node {
    let size = Some(descriptor.size);
    let mut entry = IndexEntry::without_platform(descriptor);
    entry.platform = platform;
    Node { entry, size, content }
}

fn layer(media_type: &str) -> LayerFacts {
    LayerFacts { media_type: media_type.into(), size: 7 }
}

/// An image with which nothing is wrong.
fn image(name: &str, platform: &EntryPlatform) -> Node {
    let facts = ImageFacts {
        config: descriptor(media_type::CONFIG, &format!("config of {name}")),
        facts: Ok(ConfigFacts { platform: platform.clone(), diff_ids: Some(1) }),
        layers: vec![layer("application/vnd.oci.image.layer.v1.tar+gzip")],
    };
    node(descriptor(media_type::MANIFEST, name), Some(platform.clone()), Content::Image(Box::new(facts)))
}

fn attestation(name: &str, of: &str) -> Node {
    let of = digest_of(of.as_bytes());
    let mut said = descriptor(media_type::MANIFEST, name);
    said.annotations = BTreeMap::from([
        (REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned()),
        (REFERENCE_DIGEST.to_owned(), of.to_string()),
    ]);
    node(said, Some(platform("unknown", "unknown", "")), Content::Attestation(Some(of)))
}

fn index(name: &str, entries: Vec<Node>) -> Node {
    node(descriptor(media_type::INDEX, name), None, Content::Index { entries })
}

fn windows() -> EntryPlatform {
    EntryPlatform { os_version: Some("10.0.20348.1".into()), ..platform("windows", "amd64", "") }
}

/// The entries of an index with which nothing is wrong.
fn good() -> Vec<Node> {
    vec![
        image("amd64", &platform("linux", "amd64", "")),
        image("arm64", &platform("linux", "arm64", "")),
        image("v6", &platform("linux", "arm", "v6")),
        image("windows", &windows()),
        attestation("said", "amd64"),
    ]
}

fn judged(entries: Vec<Node>) -> Vec<Finding> {
    lint(&Tree { bytes: Vec::new(), root: index("root", entries) })
}

/// What is found, without its words.
fn found(findings: &[Finding]) -> Vec<(IndexRule, Digest)> {
    findings.iter().map(|finding| (finding.rule, finding.digest.clone())).collect()
}

fn facts(node: &mut Node) -> &mut ImageFacts {
    match &mut node.content {
        Content::Image(image) => image,
        other => panic!("no image: {other:?}"),
    }
}

/// The entries of an index that only this rule minds, and the document that it minds.
fn bad(rule: IndexRule) -> (Vec<Node>, &'static str) {
    let mut entries = good();
    let minded = match rule {
        IndexRule::EmptyIndex => {
            entries.clear();
            "root"
        }
        IndexRule::MissingManifest => {
            entries[0].content = Content::Missing;
            "amd64"
        }
        IndexRule::MalformedManifest => {
            entries[1].content = Content::Malformed { reason: "it is text".into() };
            "arm64"
        }
        IndexRule::SizeMismatch => {
            entries[4].size = Some(99);
            "said"
        }
        IndexRule::PlatformMismatch => {
            entries[1].entry.platform = Some(platform("linux", "riscv64", ""));
            "arm64"
        }
        IndexRule::DuplicatePlatform => {
            entries.push(image("again", &platform("linux", "arm64", "v8")));
            "again"
        }
        IndexRule::UnknownPlatform => {
            entries.push(image("lynx", &platform("lynx", "amd64", "")));
            "lynx"
        }
        IndexRule::DanglingAttestation => {
            entries.push(attestation("dangling", "gone"));
            "dangling"
        }
        IndexRule::DiffIdsMismatch => {
            facts(&mut entries[0]).layers.clear();
            "amd64"
        }
        IndexRule::MissingPlatform => {
            entries[0].entry.platform = None;
            "amd64"
        }
        IndexRule::WindowsOsVersion => {
            entries[3].entry.platform = Some(platform("windows", "amd64", ""));
            "windows"
        }
        IndexRule::ArmVariant => {
            entries.push(image("arm", &platform("linux", "arm", "")));
            "arm"
        }
        IndexRule::NestedIndex => {
            entries.push(index("inner", vec![image("riscv64", &platform("linux", "riscv64", ""))]));
            "inner"
        }
        IndexRule::MixedMediaTypes => {
            entries[1].entry.descriptor.media_type = media_type::DOCKER_MANIFEST.into();
            "arm64"
        }
        IndexRule::ForeignLayers => {
            facts(&mut entries[3]).layers =
                vec![layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")];
            "windows"
        }
        IndexRule::ZstdLayers => {
            facts(&mut entries[0]).layers = vec![layer("application/vnd.oci.image.layer.v1.tar+zstd")];
            "amd64"
        }
    };
    (entries, minded)
}

#[test]
fn nothing_is_said_of_a_good_index() {
    assert_eq!(judged(good()), []);
    assert_eq!(lint(&Tree { bytes: Vec::new(), root: image("alone", &windows()) }), []);
}

#[test]
fn every_rule_minds_what_is_made_for_it_and_no_other_rule_does() {
    for rule in IndexRule::ALL {
        let (entries, minded) = bad(rule);
        let findings = judged(entries);
        assert_eq!(found(&findings), [(rule, digest_of(minded.as_bytes()))], "{findings:?}");
        let severity = if rule.severity() == Severity::Error { "error" } else { "warning" };
        let line = findings[0].to_string();
        assert!(line.starts_with(&format!("{severity}: {}: sha256:", rule.name())), "{line}");
        assert!(!line.ends_with('.'), "{line}");
    }
}

#[test]
fn every_rule_is_tried_and_has_a_name_that_the_readme_explains() {
    let all: HashSet<IndexRule> = IndexRule::ALL.into_iter().collect();
    assert_eq!(
        all.len(),
        IndexRule::ZstdLayers as usize + 1,
        "a rule is missing in the list of all, or twice there"
    );
    let readme = include_str!("../../README.md");
    let names: HashSet<&str> = IndexRule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(names.len(), all.len());
    for name in names {
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn what_is_wrong_inside_an_index_of_the_index_is_found_too() {
    for rule in IndexRule::ALL {
        let (entries, minded) = bad(rule);
        let minded = if minded == "root" { "inner" } else { minded };
        let findings = judged(vec![index("inner", entries)]);
        let mut expected =
            vec![(IndexRule::NestedIndex, digest_of(b"inner")), (rule, digest_of(minded.as_bytes()))];
        let mut found = found(&findings);
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{findings:?}");
    }
}

#[test]
fn a_platform_that_two_lists_of_the_index_have_is_found_and_an_image_that_both_have_is_not() {
    let arm64 = platform("linux", "arm64", "");
    let lists = |inner: &str| {
        let riscv64 = image("riscv64", &platform("linux", "riscv64", ""));
        vec![
            index("deep", vec![index("deeper", vec![image("arm64", &arm64), riscv64])]),
            index("inner", vec![image(inner, &arm64)]),
            image("amd64", &platform("linux", "amd64", "")),
        ]
    };
    let duplicates = |entries| {
        let findings = judged(entries).into_iter();
        findings.filter(|finding| finding.rule == IndexRule::DuplicatePlatform).collect::<Vec<_>>()
    };
    let findings = duplicates(lists("again"));
    assert_eq!(found(&findings), [(IndexRule::DuplicatePlatform, digest_of(b"again"))]);
    let first = digest_of(b"arm64");
    assert!(findings[0].message.contains(first.as_str()), "{}", findings[0]);
    assert_eq!(duplicates(lists("arm64")), []);
    let beside = duplicates(vec![lists("x").remove(1), image("y", &arm64)]);
    assert_eq!(found(&beside), [(IndexRule::DuplicatePlatform, digest_of(b"y"))]);
}

#[test]
fn an_image_whose_config_cannot_be_read_is_missing_or_malformed() {
    for (reason, rule) in
        [(None, IndexRule::MissingManifest), (Some("it is text".to_owned()), IndexRule::MalformedManifest)]
    {
        let mut entries = good();
        facts(&mut entries[0]).facts = Err(reason);
        let findings = judged(entries);
        assert_eq!(found(&findings), [(rule, digest_of(b"amd64"))]);
        let config = digest_of(b"config of amd64");
        assert!(findings[0].message.contains(config.as_str()), "{}", findings[0]);
    }
}

#[test]
fn an_attestation_of_itself_or_of_nothing_dangles() {
    for of in [None, Some(digest_of(b"dangling"))] {
        let mut entries = good();
        let mut said = attestation("dangling", "dangling");
        said.content = Content::Attestation(of);
        entries.push(said);
        assert_eq!(found(&judged(entries)), [(IndexRule::DanglingAttestation, digest_of(b"dangling"))]);
    }
}

#[test]
fn a_bad_image_outside_of_an_index_is_found_too() {
    let mut alone = image("alone", &windows());
    facts(&mut alone).facts = Ok(ConfigFacts { platform: windows(), diff_ids: None });
    let findings = lint(&Tree { bytes: Vec::new(), root: alone });
    assert_eq!(found(&findings), [(IndexRule::DiffIdsMismatch, digest_of(b"alone"))]);
}
