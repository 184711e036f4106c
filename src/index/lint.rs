//! Judges an index: what registries take and those who run images stumble over. A pure decision.
//!
//! Source: containerd/platforms (`platforms.go`, `platform_windows_compat.go`) and its image handlers
//! (`core/images/image.go`); moby (`distribution/pull_v2.go`); OCI image specification, `image-index.md`, `config.md`.

use super::{
    known::{CPUS, SYSTEMS},
    platform::{PlatformKey, completed, contradicts, is_unknown, written},
    rule::{Finding, IndexRule},
    tree::{Content, ImageFacts, Node, Tree},
};
use crate::oci::{index::EntryPlatform, media_type};

/// What is wrong with an index, in the order of its entries.
pub fn lint(tree: &Tree) -> Vec<Finding> {
    let mut findings = Findings::default();
    findings.node(&tree.root);
    if let Content::Index { entries } = &tree.root.content {
        findings.index(&tree.root, entries);
        findings.duplicates(entries);
    }
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, rule: IndexRule, node: &Node, message: impl Into<String>) {
        let digest = node.entry.descriptor.digest.clone();
        self.0.push(Finding { rule, digest, message: message.into() });
    }

    /// What is wrong with one index: its own words, then each entry, then what they make together.
    fn index(&mut self, index: &Node, entries: &[Node]) {
        if entries.is_empty() {
            self.add(
                IndexRule::EmptyIndex,
                index,
                "it lists nothing, so containerd and Docker find no image for any platform",
            );
        }
        for entry in entries {
            self.node(entry);
            if let Content::Index { entries } = &entry.content {
                self.add(
                    IndexRule::NestedIndex,
                    entry,
                    "it is an index inside an index: containerd and Kubernetes look into it, Docker with its classic image \
                     store does not",
                );
                self.index(entry, entries);
            } else {
                self.entry(entry);
            }
        }
        self.arms(entries);
        self.attestations(entries);
        self.media_types(index, entries);
    }

    /// What is wrong with a document.
    fn node(&mut self, node: &Node) {
        let declared = node.entry.descriptor.size;
        match &node.content {
            Content::Missing => self.add(
                IndexRule::MissingManifest,
                node,
                "it is listed and not there, so pulling it fails, and copying the index too",
            ),
            Content::Malformed { reason } => {
                self.add(IndexRule::MalformedManifest, node, format!("nobody can run it: {reason}"));
            }
            Content::Image(image) => self.image(node, image),
            Content::Index { .. } | Content::Attestation(_) => {}
        }
        if let Some(size) = node.size.filter(|size| *size != declared) {
            self.add(
                IndexRule::SizeMismatch,
                node,
                format!(
                    "it has {size} bytes and is listed with {declared}, which containerd refuses to fetch"
                ),
            );
        }
    }

    fn image(&mut self, node: &Node, image: &ImageFacts) {
        let facts = match &image.facts {
            Ok(facts) => facts,
            Err(None) => {
                let message =
                    format!("its config {} is not there, so nobody can run it", image.config.digest);
                return self.add(IndexRule::MissingManifest, node, message);
            }
            Err(Some(reason)) => {
                let message = format!("nobody can run it: its config {}: {reason}", image.config.digest);
                return self.add(IndexRule::MalformedManifest, node, message);
            }
        };
        let layers = image.layers.len();
        if facts.diff_ids != Some(layers) {
            let says = facts.diff_ids.map_or_else(
                || "its config has no rootfs.diff_ids".to_owned(),
                |count| format!("its config has {count} rootfs.diff_ids"),
            );
            self.add(
                IndexRule::DiffIdsMismatch,
                node,
                format!(
                    "{says} and its manifest {layers} layers, so containerd and Docker refuse to unpack it"
                ),
            );
        }
        let has = |part: &str| image.layers.iter().any(|layer| layer.media_type.contains(part));
        if has(".foreign.") || has(".nondistributable.") {
            self.add(
                IndexRule::ForeignLayers,
                node,
                "it has foreign layers, which are no part of a copy: machines without a way to where they are cannot \
                 pull it",
            );
        }
        if has("+zstd") || has(".zstd") {
            self.add(
                IndexRule::ZstdLayers,
                node,
                "it has zstd layers, which containerd before 1.5 and Docker before 23 refuse",
            );
        }
    }

    /// What is wrong with what an entry says about an image.
    fn entry(&mut self, node: &Node) {
        let Content::Image(image) = &node.content else { return };
        let config = image.facts.as_ref().ok().map(|facts| &facts.platform);
        let Some(declared) = node.entry.platform.as_ref().filter(|platform| !is_unknown(platform)) else {
            return self.add(
                IndexRule::MissingPlatform,
                node,
                "its entry names no platform: containerd reads its config to know, Docker and other tools pass it over",
            );
        };
        if let Some(config) = config.filter(|config| contradicts(declared, config)) {
            self.add(
                IndexRule::PlatformMismatch,
                node,
                format!(
                    "it is listed for {} and its config says {}: containerd and Docker go by the entry, so machines get an \
                     image that they cannot run",
                    written(declared),
                    written(config)
                ),
            );
        }
        for (known, name, what) in
            [(&SYSTEMS[..], &declared.os, "operating system"), (&CPUS[..], &declared.architecture, "CPU")]
        {
            if !known.contains(&name.as_str()) {
                self.add(
                    IndexRule::UnknownPlatform,
                    node,
                    format!("{name:?} is no {what} that Go names so, and no machine looks for it"),
                );
            }
        }
        if declared.os == "windows" && declared.os_version.as_deref().unwrap_or_default().is_empty() {
            self.add(
                IndexRule::WindowsOsVersion,
                node,
                "it is for Windows and its entry has no os.version, so containerd and Kubernetes take it for every build, \
                 and Windows refuses to start one that is not its own",
            );
        }
    }

    /// What machines find more than once, wherever in the index it is.
    fn duplicates(&mut self, entries: &[Node]) {
        let mut seen: Vec<(PlatformKey, &[Node], &Node)> = Vec::new();
        for (list, node) in images(entries) {
            let Some(platform) = image_platform(node) else { continue };
            let key = PlatformKey::of(&platform);
            let Some((_, first_list, first)) = seen.iter().find(|(known, ..)| *known == key) else {
                seen.push((key, list, node));
                continue;
            };
            // An image of two lists is found on two ways, and is the same.
            let is_other = first.entry.descriptor.digest != node.entry.descriptor.digest;
            if is_other || std::ptr::eq(*first_list, list) {
                let message = format!(
                    "it is for {} as {} is, and which of them a machine gets differs between containerd, Docker and \
                     others",
                    written(&platform),
                    first.entry.descriptor.digest
                );
                self.add(IndexRule::DuplicatePlatform, node, message);
            }
        }
    }

    fn arms(&mut self, entries: &[Node]) {
        let declared = |node: &Node| match &node.content {
            Content::Image(_) => node.entry.platform.clone(),
            _ => None,
        };
        let is_arm = |platform: &EntryPlatform| PlatformKey::of(platform).is_arm();
        let arms = entries.iter().filter(|node| declared(node).is_some_and(|platform| is_arm(&platform)));
        let arms: Vec<&Node> = arms.collect();
        for node in arms.iter().filter(|_| arms.len() > 1) {
            let variant = declared(node).and_then(|platform| platform.variant).unwrap_or_default();
            if variant.is_empty() {
                self.add(
                    IndexRule::ArmVariant,
                    node,
                    "it is for arm without a variant beside other images for arm: containerd takes it for v7, and older \
                     machines may get what they cannot run",
                );
            }
        }
    }

    fn attestations(&mut self, entries: &[Node]) {
        for node in entries {
            let Content::Attestation(of) = &node.content else { continue };
            let is_there = entries.iter().any(|other| Some(&other.entry.descriptor.digest) == of.as_ref());
            if !is_there || of.as_ref() == Some(&node.entry.descriptor.digest) {
                let of = of.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
                let message =
                    format!("it is an attestation of {of}, which is not in the index: nobody finds it");
                self.add(IndexRule::DanglingAttestation, node, message);
            }
        }
    }

    fn media_types(&mut self, index: &Node, entries: &[Node]) {
        let is_docker = |node: &Node| match node.entry.descriptor.media_type.as_str() {
            media_type::DOCKER_INDEX | media_type::DOCKER_MANIFEST => Some(true),
            media_type::INDEX | media_type::MANIFEST => Some(false),
            _ => None,
        };
        let whole = is_docker(index);
        let differs = |node: &&Node| is_docker(node).is_some_and(|kind| Some(kind) != whole);
        if let Some(other) = entries.iter().find(differs) {
            let message = format!(
                "the index is {} and this entry {}: containerd reads it, some registries and older tools refuse the mix",
                index.entry.descriptor.media_type, other.entry.descriptor.media_type
            );
            self.add(IndexRule::MixedMediaTypes, other, message);
        }
    }
}

/// All entries that are no lists, of lists within lists too, each with its list.
fn images(entries: &[Node]) -> Vec<(&[Node], &Node)> {
    let mut all = Vec::new();
    for node in entries {
        match &node.content {
            Content::Index { entries } => all.extend(images(entries)),
            _ => all.push((entries, node)),
        }
    }
    all
}

/// What machines take an image to be for.
fn image_platform(node: &Node) -> Option<EntryPlatform> {
    let Content::Image(image) = &node.content else { return None };
    let declared = node.entry.platform.as_ref().filter(|platform| !is_unknown(platform));
    match (declared, &image.facts) {
        (declared, Ok(facts)) => Some(completed(declared, &facts.platform)),
        (Some(declared), Err(_)) => Some(declared.clone()),
        (None, Err(_)) => None,
    }
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
