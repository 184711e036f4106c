//! Which image of an index is meant.

use polyarch_actors::{Descriptor, Platform};

use crate::oci::{index::Index, media_type};

/// The entry for a platform in an index.
pub(super) fn of_index(index: &[u8], platform: &Platform) -> Result<Descriptor, String> {
    let index: Index =
        serde_json::from_slice(index).map_err(|error| format!("its index is malformed: {error}"))?;
    let entries =
        index.manifests.iter().filter(|entry| media_type::is_manifest(&entry.descriptor.media_type));
    let stated: Vec<(Platform, &Descriptor)> = entries
        .filter_map(|entry| Some((entry.platform.as_ref()?.to_platform()?, &entry.descriptor)))
        .collect();
    choose(platform, &stated).cloned().ok_or_else(|| {
        let mut there: Vec<String> = stated.iter().map(|(platform, _)| platform.to_string()).collect();
        there.dedup();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        format!("it is there for other platforms only: {there}")
    })
}

/// The entry for a platform: the exact one, or the newest older variant of the same CPU.
fn choose<'d>(wanted: &Platform, stated: &[(Platform, &'d Descriptor)]) -> Option<&'d Descriptor> {
    let named = stated.iter().find(|(platform, _)| platform == wanted);
    // The first of several, or that for the newest Windows: what runs there is wanted more often than what does not.
    let matching = stated.iter().filter(|(platform, _)| wanted.is_satisfied_by(platform));
    let newest = matching.reduce(|best, other| if is_newer(&other.0, &best.0) { other } else { best });
    let exact = named.or(newest);
    let older = || {
        let usable = stated.iter().filter(|(platform, _)| suits(wanted, platform));
        usable
            .reduce(|best, other| if other.0.runs(&best.0) && !best.0.runs(&other.0) { other } else { best })
    };
    exact.or_else(older).map(|(_, descriptor)| *descriptor)
}

/// Whether a platform is a later build of the same system.
fn is_newer(one: &Platform, other: &Platform) -> bool {
    let version = |platform: &Platform| -> Vec<u64> {
        let parts = platform.os_version().unwrap_or_default().split('.').map(str::parse);
        parts.map_while(Result::ok).collect()
    };
    version(one) > version(other)
}

/// Whether what an image says it is for will do.
pub(super) fn suits(wanted: &Platform, found: &Platform) -> bool {
    wanted.is_satisfied_by(found) || (wanted.arch() == found.arch() && wanted.runs(found))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::oci::digest_of;

    fn chosen(wanted: &str, there: &[&str]) -> Option<usize> {
        let platform =
            |text: &str| text.parse::<Platform>().unwrap_or_else(|error| panic!("{text}: {error}"));
        let descriptors: Vec<Descriptor> = there
            .iter()
            .map(|text| Descriptor {
                media_type: media_type::MANIFEST.into(),
                digest: digest_of(text.as_bytes()),
                size: 1,
                annotations: BTreeMap::new(),
            })
            .collect();
        let stated: Vec<_> = there.iter().map(|text| platform(text)).zip(&descriptors).collect();
        let found = choose(&platform(wanted), &stated)?;
        descriptors.iter().position(|known| known == found)
    }

    #[test]
    fn the_newest_windows_is_taken_unless_another_is_asked_for() {
        let there = [
            "windows(10.0.17763.6414)/amd64",
            "windows(10.0.20348.2700)/amd64",
            "windows(10.0.20348.999)/amd64",
            "windows(10.0.26100.1)/arm64",
            "linux/amd64",
        ];
        for (wanted, found) in [
            ("windows/amd64", Some(1)),
            ("windows(10.0.17763)/amd64", Some(0)),
            ("windows(10.0.17763.1)/amd64", Some(0)),
            ("windows(10.0.20348)/amd64", Some(1)),
            ("windows(10.0.20348.999)/amd64", Some(2)),
            ("windows/arm64", Some(3)),
            ("windows(10.0.26100)/amd64", None),
            ("linux/amd64", Some(4)),
        ] {
            assert_eq!(chosen(wanted, &there), found, "{wanted}");
        }
    }

    #[test]
    fn an_older_variant_serves_where_there_is_no_exact_one() {
        assert_eq!(chosen("linux/arm/v7", &["linux/arm/v5", "linux/arm/v6", "linux/arm64"]), Some(1));
        assert_eq!(chosen("linux/arm/v7", &["linux/arm/v6", "linux/arm/v7"]), Some(1));
        assert_eq!(chosen("linux/arm64", &["linux/arm/v7"]), None);
    }
}
