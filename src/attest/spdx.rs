//! A list of packages as SPDX writes it: the same bytes for the same image.
//!
//! Source: SPDX specification 2.3; package-url/purl-spec, `PURL-TYPES.rst`.

use polyarch_actors::Digest;
use serde_json::{Value, json};

use super::{
    packages::{Package, Release},
    purl::Purl,
};
use crate::oci::digest_of;

/// The image in the document.
const IMAGE: &str = "SPDXRef-Image";

/// What is listed of an image.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// In any order.
    pub(super) packages: Vec<Package>,
    pub(super) release: Option<Release>,
    /// What is not listed although it is there, one sentence each.
    pub(super) gaps: Vec<String>,
}

/// The image that the list is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image<'i> {
    /// What it is called; `_` if it has no name.
    pub(super) name: &'i str,
    /// Its manifest.
    pub(super) digest: &'i Digest,
    /// When it says it was made, as RFC 3339 has it, to the second.
    pub(super) created: &'i str,
}

/// The document about an image.
pub(super) fn document(image: Image<'_>, contents: Contents) -> Value {
    let Contents { mut packages, release, gaps } = contents;
    packages.sort();
    packages.dedup();
    let release = release.unwrap_or_default();
    let mut listed = vec![json!({
        "SPDXID": IMAGE,
        "name": image.name,
        "versionInfo": image.digest,
        "primaryPackagePurpose": "CONTAINER",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256", "checksumValue": image.digest.hex()}],
    })];
    let mut relationships = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE)];
    for package in &packages {
        let (id, described) = describe(package, &release);
        relationships.push(relation(IMAGE, "CONTAINS", &id));
        listed.push(described);
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": image.name,
        "documentNamespace": format!("https://github.com/polyarch/polyarch/spdx/{}", image.digest.hex()),
        "creationInfo": {
            "created": image.created,
            "creators": [format!("Tool: polyarch-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": listed,
        "relationships": relationships,
    });
    if !gaps.is_empty() {
        document["comment"] = gaps.join(" ").into();
    }
    document
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

fn describe(package: &Package, release: &Release) -> (String, Value) {
    let locator = purl(package, release);
    let digest = digest_of(format!("{locator} {}", package.path).as_bytes());
    let id = format!("SPDXRef-Package-{}-{}", package.kind, &digest.hex()[..16]);
    let Package { namespace, name, .. } = package;
    let full = if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") };
    let described = json!({
        "SPDXID": id,
        "name": full,
        "versionInfo": package.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "sourceInfo": format!("named by /{}", package.path),
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": locator,
        }],
    });
    (id, described)
}

fn purl(package: &Package, release: &Release) -> String {
    let Package { kind, name, version, architecture, .. } = package;
    let standard = match *kind {
        "deb" => "debian",
        "apk" => "alpine",
        "rpm" => "fedora",
        _ => {
            return Purl { kind, namespace: &package.namespace, name, version, qualifiers: &[] }.to_string();
        }
    };
    let namespace = if release.id.is_empty() { standard } else { &release.id };
    let distribution = match (&*release.id, &*release.version) {
        ("", _) => String::new(),
        (id, "") => id.to_owned(),
        (id, version) => format!("{id}-{version}"),
    };
    // What stands before the version of a package of rpm is a qualifier.
    let (epoch, version) = version.split_once(':').filter(|_| *kind == "rpm").unwrap_or(("", version));
    let qualifiers = [("arch", architecture.as_str()), ("distro", distribution.as_str()), ("epoch", epoch)];
    Purl { kind, namespace, name, version, qualifiers: &qualifiers }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(kind: &'static str, namespace: &str, name: &str, architecture: &str) -> Package {
        let [namespace, name, architecture] = [namespace, name, architecture].map(str::to_owned);
        Package { kind, namespace, name, version: "1:2".into(), architecture, path: "a".into() }
    }

    fn made(packages: Vec<Package>, gaps: &[&str]) -> Value {
        let release = Some(Release { id: "debian".into(), version: "12".into() });
        let gaps = gaps.iter().copied().map(str::to_owned).collect();
        let digest = digest_of(b"manifest");
        let image = Image { name: "app:1", digest: &digest, created: "2026-01-02T03:04:05Z" };
        document(image, Contents { packages, release, gaps })
    }

    #[test]
    fn a_package_of_a_distribution_says_which() {
        let release = Release { id: "debian".into(), version: "12".into() };
        for (one, release, locator) in [
            (
                package("deb", "", "curl", "amd64"),
                &release,
                "pkg:deb/debian/curl@1:2?arch=amd64&distro=debian-12",
            ),
            (
                package("apk", "", "zlib", "x86_64"),
                &Release::default(),
                "pkg:apk/alpine/zlib@1:2?arch=x86_64",
            ),
            (
                package("rpm", "", "bash", "x86_64"),
                &Release::default(),
                "pkg:rpm/fedora/bash@2?arch=x86_64&epoch=1",
            ),
            (package("npm", "@a", "b", ""), &release, "pkg:npm/%40a/b@1:2"),
            (package("golang", "github.com/x", "y", ""), &release, "pkg:golang/github.com/x/y@1:2"),
        ] {
            assert_eq!(purl(&one, release), locator);
        }
    }

    #[test]
    fn the_order_in_which_packages_were_found_does_not_matter() {
        let (one, two) = (package("deb", "", "a", "all"), package("npm", "", "b", ""));
        let document = made(vec![one.clone(), two.clone()], &[]);
        assert_eq!(document, made(vec![two.clone(), one.clone(), two], &[]));
        assert!(document.get("comment").is_none());
        let ids = document["packages"].as_array().expect("a list").iter().map(|it| &it["SPDXID"]);
        let related = document["relationships"].as_array().expect("a list").iter();
        let related: Vec<&Value> = related.map(|it| &it["relatedSpdxElement"]).collect();
        assert_eq!(ids.collect::<Vec<_>>(), related);
        assert_eq!(made(vec![], &["One.", "Two."])["comment"], "One. Two.");
    }
}
