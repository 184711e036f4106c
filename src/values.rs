//! What a build has for some of its platforms alone, and what that makes of it for each of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Display,
};

use polyarch_actors::{BackendId, Platform};
use serde::{Deserialize, Serialize};

use crate::{
    error::SpecError,
    output::Output,
    pattern::PlatformPattern,
    sources::NamedInput,
    spec::{BuildSpec, DockerfileInput, EPOCH},
};

/// The build argument with which a git context keeps its `.git`.
///
/// Source: BuildKit, `frontend/dockerui/config.go`.
pub(crate) const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";
/// Build arguments that are about what all platforms share: the context and the index.
const OF_ALL: [&str; 2] = [EPOCH, KEEP_GIT_DIR];

/// What a build has for the platforms that a pattern means, instead of what it has for all, or besides that.
///
/// Each value is one of its own: where several patterns that mean a platform have it, the narrowest of them counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformValues {
    /// The platforms.
    pub pattern: PlatformPattern,
    /// Where their Dockerfile is.
    #[serde(default)]
    pub dockerfile: Option<DockerfileInput>,
    /// The stage to build; an empty name is the last stage.
    #[serde(default)]
    pub target: Option<String>,
    /// Values for ARG instructions.
    #[serde(default)]
    pub build_args: BTreeMap<String, String>,
    /// Contexts by name.
    #[serde(default)]
    pub build_contexts: BTreeMap<String, NamedInput>,
    /// The only backend that may build them.
    #[serde(default)]
    pub backend: Option<BackendId>,
}

impl PlatformValues {
    /// Nothing yet.
    pub fn new(pattern: PlatformPattern) -> Self {
        Self {
            pattern,
            dockerfile: None,
            target: None,
            build_args: BTreeMap::new(),
            build_contexts: BTreeMap::new(),
            backend: None,
        }
    }
}

impl BuildSpec {
    /// What is asked for each platform, in the order of the index: a build of that platform alone, whose values are
    /// for it.
    ///
    /// # Errors
    /// [`SpecError::DuplicatePlatform`], [`SpecError::UnusedAnnotation`], [`SpecError::UnusedPattern`],
    /// [`SpecError::Contradiction`] and [`SpecError::OfAllPlatforms`].
    pub(crate) fn each(&self) -> Result<Vec<(Platform, Self)>, SpecError> {
        let platforms =
            if self.platforms.is_empty() { vec![Platform::host_linux()] } else { self.platforms.clone() };
        let mut seen = HashSet::new();
        if let Some(platform) = platforms.iter().find(|platform| !seen.insert(*platform)) {
            return Err(SpecError::DuplicatePlatform { platform: platform.clone() });
        }
        let of_outputs = self.outputs.iter().filter_map(Output::form).flat_map(|form| &form.annotations);
        for annotation in self.annotations.iter().chain(of_outputs) {
            if let Some(platform) = annotation.platform.as_ref().filter(|one| !platforms.contains(one)) {
                let (key, platform) = (annotation.key.clone(), platform.clone());
                return Err(SpecError::UnusedAnnotation { key, platform });
            }
        }
        let is_unused =
            |pattern: &&PlatformPattern| !platforms.iter().any(|platform| pattern.matches(platform));
        let mut patterns =
            self.optional.iter().chain(self.for_platforms.iter().map(|values| &values.pattern));
        if let Some(pattern) = patterns.find(is_unused) {
            return Err(SpecError::UnusedPattern { pattern: pattern.clone(), platforms });
        }
        let names = self.for_platforms.iter().flat_map(|values| values.build_args.keys());
        if let Some(name) = OF_ALL.into_iter().find(|name| names.clone().any(|given| given == name)) {
            return Err(SpecError::OfAllPlatforms { name });
        }
        let one = |platform: Platform| Ok((platform.clone(), self.of_one(platform)?));
        platforms.into_iter().map(one).collect()
    }

    fn of_one(&self, platform: Platform) -> Result<Self, SpecError> {
        let values = self.for_platforms.iter().filter(|values| values.pattern.matches(&platform));
        let values = Choice { values: values.collect(), platform: &platform };
        let mut spec = Self { for_platforms: Vec::new(), ..self.clone() };
        if let Some(input) = values.narrowest("the Dockerfile", |values| values.dockerfile.as_ref())? {
            spec.dockerfile = input.clone();
        }
        if let Some(stage) = values.narrowest("the stage to build", |values| values.target.as_ref())? {
            spec.target = Some(stage.clone());
        }
        if let Some(backend) = values.narrowest("the backend", |values| values.backend.as_ref())? {
            spec.backend = Some(backend.clone());
        }
        for name in values.names(|values| values.build_args.keys()) {
            let what = format_args!("the build argument {name}");
            if let Some(value) = values.narrowest(what, |values| values.build_args.get(name))? {
                spec.build_args.insert(name.clone(), value.clone());
            }
        }
        for name in values.names(|values| values.build_contexts.keys()) {
            let what = format_args!("the build context {name}");
            if let Some(input) = values.narrowest(what, |values| values.build_contexts.get(name))? {
                spec.build_contexts.insert(name.clone(), input.clone());
            }
        }
        spec.platforms = vec![platform];
        Ok(spec)
    }

    /// The backends without which nothing can be built, if there is one for each platform.
    pub(crate) fn backends(&self) -> Result<Option<BTreeSet<BackendId>>, SpecError> {
        Ok(self.each()?.into_iter().map(|(_, spec)| spec.backend).collect())
    }
}

/// What may count for a platform.
struct Choice<'v> {
    values: Vec<&'v PlatformValues>,
    platform: &'v Platform,
}

impl<'v> Choice<'v> {
    /// The names of values that any of them has.
    fn names<N: Iterator<Item = &'v String>>(
        &self,
        names: impl Fn(&'v PlatformValues) -> N,
    ) -> BTreeSet<&'v String> {
        self.values.iter().flat_map(|values| names(values)).collect()
    }

    /// The value of the narrowest pattern that has one. Where several are that narrow, they must agree.
    fn narrowest<T: PartialEq>(
        &self,
        what: impl Display,
        value: impl Fn(&'v PlatformValues) -> Option<&'v T>,
    ) -> Result<Option<&'v T>, SpecError> {
        let given: Vec<(&PlatformPattern, &T)> =
            self.values.iter().filter_map(|values| Some((&values.pattern, value(values)?))).collect();
        let is_narrowest =
            |one: &&(&PlatformPattern, &T)| !given.iter().any(|other| other.0.is_narrower_than(one.0));
        let mut narrowest = given.iter().filter(is_narrowest);
        let Some((pattern, chosen)) = narrowest.next() else { return Ok(None) };
        if let Some((other, _)) = narrowest.find(|(_, value)| value != chosen) {
            return Err(SpecError::Contradiction {
                what: what.to_string(),
                platform: self.platform.clone(),
                patterns: Box::new([(*pattern).clone(), (*other).clone()]),
            });
        }
        Ok(Some(*chosen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PlatformPattern {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn spec(platforms: &[&str]) -> BuildSpec {
        BuildSpec::new(".").platforms(platforms.iter().map(|text| text.parse().expect("a platform")))
    }

    /// A build whose platforms have stages, and what it makes of each: the stage, or the two that contradict each other.
    fn chosen(platforms: &[&str], stages: &[(&str, &str)]) -> Vec<String> {
        let mut spec = spec(platforms);
        spec.target = Some("plain".into());
        for (text, stage) in stages {
            let target = Some((*stage).to_owned());
            spec.for_platforms.push(PlatformValues { target, ..PlatformValues::new(pattern(text)) });
        }
        match spec.each() {
            Ok(each) => each.into_iter().filter_map(|(_, spec)| spec.target).collect(),
            Err(SpecError::Contradiction { patterns, .. }) => {
                patterns.iter().map(ToString::to_string).collect()
            }
            Err(SpecError::UnusedPattern { pattern, .. }) => vec![format!("unused {pattern}")],
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_narrowest_pattern_counts_wherever_it_stands() {
        let three = ["linux/amd64", "linux/arm64", "linux/arm/v7"];
        for (stages, expected) in [
            (&[][..], ["plain", "plain", "plain"].as_slice()),
            (&[("*", "all")], &["all", "all", "all"]),
            (&[("linux/arm*", "arms"), ("linux/*", "linux")], &["linux", "arms", "arms"]),
            (&[("linux/*", "linux"), ("linux/arm*", "arms")], &["linux", "arms", "arms"]),
            (&[("linux/arm", "v7"), ("linux/arm*", "arms")], &["plain", "arms", "v7"]),
            (&[("linux/arm/*", "arm"), ("linux/arm/v7", "v7")], &["plain", "plain", "v7"]),
            // An empty name is a stage too: the last one.
            (&[("linux/arm64", "")], &["plain", "", "plain"]),
            // Neither is narrower, and they agree where both count.
            (&[("*/arm64", "same"), ("linux/a*", "same")], &["same", "same", "same"]),
            // Neither is narrower, and a third one is narrower than both.
            (&[("*/arm64", "a"), ("linux/*", "b"), ("linux/arm64", "c")], &["b", "c", "b"]),
            (&[("*/arm64", "a"), ("linux/*", "b")], &["*/arm64", "linux/*"]),
            (&[("*", "a"), ("*", "b")], &["*", "*"]),
            (&[("windows/*", "a")], &["unused windows/*"]),
        ] {
            assert_eq!(chosen(&three, stages), expected, "{stages:?}");
        }
        let windows = ["windows(10.0.20348.1)/amd64", "windows(10.0.17763.1)/amd64"];
        let stages = [("windows/amd64", "any"), ("windows(10.0.17763.9)/amd64", "old")];
        assert_eq!(chosen(&windows, &stages), ["any", "old"]);
    }

    #[test]
    fn every_kind_of_value_is_chosen_for_itself() {
        let mut spec = spec(&["linux/amd64", "linux/arm64"]);
        spec.build_args = BTreeMap::from([("A".into(), "plain".into()), ("B".into(), "plain".into())]);
        spec.backend = Some(BackendId::new("sandbox"));
        let context = |name: &str| BTreeMap::from([("parts".to_owned(), NamedInput::Directory(name.into()))]);
        spec.build_contexts = context("plain");
        let wide = PlatformValues {
            dockerfile: Some(DockerfileInput::Path("Wide".into())),
            build_args: BTreeMap::from([("A".into(), "wide".into()), ("C".into(), "wide".into())]),
            ..PlatformValues::new(pattern("linux/*"))
        };
        let narrow = PlatformValues {
            build_args: BTreeMap::from([("A".into(), "narrow".into())]),
            build_contexts: context("narrow"),
            backend: Some(BackendId::new("buildah")),
            ..PlatformValues::new(pattern("linux/arm64"))
        };
        spec.for_platforms = vec![narrow, wide];
        let each = spec.each().expect("no contradiction");
        let arguments: Vec<Vec<&str>> =
            each.iter().map(|(_, spec)| spec.build_args.values().map(String::as_str).collect()).collect();
        assert_eq!(arguments, [["wide", "plain", "wide"], ["narrow", "plain", "wide"]]);
        assert!(each.iter().all(|(_, spec)| spec.dockerfile == DockerfileInput::Path("Wide".into())));
        let contexts: Vec<_> = each.iter().map(|(_, spec)| spec.build_contexts.clone()).collect();
        assert_eq!(contexts, [context("plain"), context("narrow")]);
        let backends = spec.backends().expect("no contradiction").expect("each has one");
        assert_eq!(backends.iter().map(BackendId::as_str).collect::<Vec<_>>(), ["buildah", "sandbox"]);
        spec.backend = None;
        assert_eq!(spec.backends().expect("no contradiction"), None, "any may build the others");
        for name in ["SOURCE_DATE_EPOCH", "BUILDKIT_CONTEXT_KEEP_GIT_DIR"] {
            spec.for_platforms[0].build_args = BTreeMap::from([(name.into(), "1".into())]);
            assert!(matches!(spec.each(), Err(SpecError::OfAllPlatforms { .. })), "{name}");
        }
    }
}
