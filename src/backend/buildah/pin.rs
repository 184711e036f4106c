//! Pins every base image to an id.
//!
//! buildah looks up a base by name and takes what the storage has under it, even for another CPU: 1.28.2 builds
//! `FROM --platform=$BUILDPLATFORM a` and then `FROM a` with the same image, and says nothing. An id stands for one
//! image only. Most references can be replaced by buildah itself (`--build-context name=image`); where one stands
//! for several platforms, or for a stage as well, the FROM lines are rewritten.

use std::collections::{BTreeMap, BTreeSet};

use polyarch_actors::Platform;

use super::from_lines::{FromLine, Variables, expand, from_lines};

/// A base image that has been fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pinned {
    /// The reference as the Dockerfile gives it, with its variables expanded.
    pub(super) reference: String,
    pub(super) platform: Platform,
    /// Its id in a storage.
    pub(super) image: String,
}

/// How to make buildah use the pinned images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pins {
    /// Names and the image that each stands for wherever it is used.
    pub(super) by_name: BTreeMap<String, String>,
    /// The text of the Dockerfile.
    pub(super) dockerfile: String,
}

/// Decides how each base is pinned. Fails with the reason when a FROM line cannot be understood.
pub(super) fn pin(
    dockerfile: &str,
    bases: &[Pinned],
    target: &Platform,
    variables: &Variables,
) -> Result<Pins, String> {
    let lines = from_lines(dockerfile);
    let stages: BTreeSet<String> = lines.iter().filter_map(|line| line.stage.clone()).collect();
    let mut by_reference: BTreeMap<&str, BTreeMap<&Platform, &str>> = BTreeMap::new();
    for base in bases {
        by_reference.entry(&base.reference).or_default().insert(&base.platform, &base.image);
    }
    let mut pins = Pins { by_name: BTreeMap::new(), dockerfile: dockerfile.to_owned() };
    let mut ambiguous = BTreeMap::new();
    for (reference, platforms) in by_reference {
        let is_stage = stages.contains(&reference.to_lowercase());
        let only = if platforms.len() == 1 { platforms.values().next() } else { platforms.get(target) };
        if let Some(image) = only.filter(|_| !is_stage) {
            pins.by_name.insert(reference.to_owned(), (*image).to_owned());
        }
        if is_stage || platforms.len() > 1 {
            ambiguous.insert(reference, platforms);
        }
    }
    if !ambiguous.is_empty() {
        pins.dockerfile = rewrite(dockerfile, &lines, &ambiguous, target, variables)?;
    }
    Ok(pins)
}

fn rewrite(
    dockerfile: &str,
    lines: &[FromLine],
    ambiguous: &BTreeMap<&str, BTreeMap<&Platform, &str>>,
    target: &Platform,
    variables: &Variables,
) -> Result<String, String> {
    let mut text = dockerfile.to_owned();
    // From the end, so that what was found stays where it is.
    for (index, line) in lines.iter().enumerate().rev() {
        let written = &dockerfile[line.image.clone()];
        let unclear = || format!("FROM {written}: its variables cannot be expanded");
        let reference = expand(written, &line.globals, variables).ok_or_else(unclear)?;
        let of_stage =
            |earlier: &FromLine| earlier.stage.as_deref() == Some(reference.to_lowercase().as_str());
        let Some(platforms) =
            ambiguous.get(reference.as_str()).filter(|_| !lines[..index].iter().any(of_stage))
        else {
            continue;
        };
        let platform = match &line.platform {
            None => target.clone(),
            Some(flag) => expand(flag, &line.globals, variables)
                .ok_or_else(unclear)?
                .parse()
                .map_err(|error| format!("FROM {written}: {error}"))?,
        };
        let image = platforms.get(&platform).ok_or_else(|| {
            format!("FROM {written}: the image for {platform} was not among those asked for")
        })?;
        text.replace_range(line.image.clone(), image);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().expect("platform")
    }

    fn base(reference: &str, of: &str, image: &str) -> Pinned {
        Pinned { reference: reference.into(), platform: platform(of), image: image.into() }
    }

    fn pins(dockerfile: &str, bases: &[Pinned]) -> Result<Pins, String> {
        let variables = Variables::from([
            ("BUILDPLATFORM", "linux/amd64"),
            ("TARGETPLATFORM", "linux/arm64"),
            ("V", "2"),
        ]);
        pin(dockerfile, bases, &platform("linux/arm64"), &variables)
    }

    #[test]
    fn a_reference_for_one_platform_is_pinned_by_name() {
        let text = "FROM --platform=$BUILDPLATFORM golang AS b\nFROM alpine\nCOPY --from=nginx /a /a\n";
        let bases = [
            base("golang", "linux/amd64", "id1"),
            base("alpine", "linux/arm64", "id2"),
            base("nginx", "linux/arm64", "id3"),
        ];
        let pins = pins(text, &bases).expect("pins");
        assert_eq!(pins.dockerfile, text);
        let expected = [("golang", "id1"), ("alpine", "id2"), ("nginx", "id3")];
        assert_eq!(pins.by_name, expected.map(|(name, id)| (name.to_owned(), id.to_owned())).into());
    }

    #[test]
    fn a_reference_for_two_platforms_is_pinned_line_by_line() {
        let text =
            "ARG V=1\nFROM --platform=$BUILDPLATFORM a:${V} AS b\nRUN x\nFROM a:$V\nCOPY --from=a:2 /x /y\n";
        let bases = [base("a:2", "linux/amd64", "amd"), base("a:2", "linux/arm64", "arm")];
        let pins = pins(text, &bases).expect("pins");
        assert_eq!(
            pins.dockerfile,
            "ARG V=1\nFROM --platform=$BUILDPLATFORM amd AS b\nRUN x\nFROM arm\nCOPY --from=a:2 /x /y\n"
        );
        assert_eq!(pins.by_name, BTreeMap::from([("a:2".to_owned(), "arm".to_owned())]));
    }

    #[test]
    fn a_stage_that_is_named_like_its_base_stays_a_stage() {
        let text = "FROM alpine AS Alpine\nRUN x\nFROM alpine\n";
        let pins = pins(text, &[base("alpine", "linux/arm64", "id")]).expect("pins");
        assert_eq!(pins.dockerfile, "FROM id AS Alpine\nRUN x\nFROM alpine\n");
        assert!(pins.by_name.is_empty());
    }

    #[test]
    fn what_cannot_be_pinned_is_refused() {
        let bases = [base("a", "linux/amd64", "amd"), base("a", "linux/arm64", "arm")];
        let error = pins("FROM --platform=linux/s390x a\n", &bases).expect_err("not asked for");
        assert!(error.contains("linux/s390x"), "{error}");
        assert!(pins("FROM --platform=${X%y} a\n", &bases).is_err());
    }
}
