//! The results of one build's platforms, in the order they were asked for. Pure.

use serde::{Deserialize, Serialize};

use crate::{BuildError, BuildId, BuildRequest, BuiltImage, Platform};

/// What the failure of one platform means for the others. That of an optional one means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailurePolicy {
    /// The others are stopped.
    #[default]
    FailFast,
    /// The others go on to their own end.
    KeepGoing,
}

/// How one platform ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformOutcome {
    /// The platform as it was asked for.
    pub platform: Platform,
    /// Whether the build succeeds without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// The image, or why there is none.
    pub result: Result<BuiltImage, BuildError>,
}

/// How a build ended: every platform that was asked for, in that order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The build.
    pub build: BuildId,
    /// Its platforms.
    pub platforms: Vec<PlatformOutcome>,
}

impl Outcome {
    /// The images in the requested order, if every platform has one that is not optional, and there is one at all.
    ///
    /// # Errors
    /// The failure that a person should look at first: one that is no consequence of another.
    pub fn images(&self) -> Result<Vec<BuiltImage>, (&Platform, &BuildError)> {
        let images: Vec<_> =
            self.platforms.iter().filter_map(|one| one.result.as_ref().ok().cloned()).collect();
        let counts = |one: &&PlatformOutcome| !one.optional || images.is_empty();
        let failures = || {
            let those = self.platforms.iter().filter(counts);
            those.filter_map(|one| Some((&one.platform, one.result.as_ref().err()?)))
        };
        let is_consequence =
            |error: &BuildError| matches!(error, BuildError::Abandoned { .. } | BuildError::Cancelled);
        match failures().find(|(_, error)| !is_consequence(error)).or_else(|| failures().next()) {
            Some(failure) => Err(failure),
            None => Ok(images),
        }
    }

    /// The platforms without an image, and why.
    pub fn missing(&self) -> impl Iterator<Item = (&Platform, &BuildError)> {
        self.platforms.iter().filter_map(|one| Some((&one.platform, one.result.as_ref().err()?)))
    }
}

/// Gathers results as they come.
#[derive(Debug)]
pub(crate) struct Collector {
    build: BuildId,
    policy: FailurePolicy,
    platforms: Vec<Collected>,
}

#[derive(Debug)]
struct Collected {
    platform: Platform,
    optional: bool,
    result: Option<Result<BuiltImage, BuildError>>,
}

impl Collector {
    pub(crate) fn new(build: BuildId, requests: &[BuildRequest], policy: FailurePolicy) -> Self {
        let collected = |request: &BuildRequest| Collected {
            platform: request.platform.clone(),
            optional: request.optional,
            result: None,
        };
        Self { build, policy, platforms: requests.iter().map(collected).collect() }
    }

    /// Takes the result of one platform. Returns the error to give the others when they must stop now.
    pub(crate) fn record(
        &mut self,
        place: usize,
        result: Result<BuiltImage, BuildError>,
    ) -> Option<BuildError> {
        let one = self.platforms.get_mut(place)?;
        if one.result.is_some() {
            return None;
        }
        let failed = one.platform.clone();
        let stops_others = result.is_err() && !one.optional && self.policy == FailurePolicy::FailFast;
        one.result = Some(result);
        (stops_others && !self.is_complete()).then_some(BuildError::Abandoned { failed })
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.platforms.iter().all(|one| one.result.is_some())
    }

    /// The outcome, once complete.
    pub(crate) fn finish(self) -> Outcome {
        self.fail(&BuildError::Cancelled)
    }

    /// The outcome when no more results will come: what has none gets `error`.
    pub(crate) fn fail(self, error: &BuildError) -> Outcome {
        let platforms = self.platforms.into_iter().map(|one| PlatformOutcome {
            platform: one.platform,
            optional: one.optional,
            result: one.result.unwrap_or_else(|| Err(error.clone())),
        });
        Outcome { build: self.build, platforms: platforms.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BackendId, ContextSource, Descriptor, Digest, DockerfileSource, Materials};
    use proptest::prelude::*;
    use std::{collections::BTreeMap, time::Duration};

    fn platforms(count: usize) -> Vec<Platform> {
        let arches = ["amd64", "arm64", "riscv64", "s390x", "ppc64le", "386"];
        arches[..count].iter().map(|arch| format!("linux/{arch}").parse().expect("platform")).collect()
    }

    fn requests(platforms: &[Platform]) -> Vec<BuildRequest> {
        let request = |platform: &Platform| {
            let file = DockerfileSource::new("Dockerfile", "FROM scratch\n");
            let context = ContextSource::Directory("/".into());
            BuildRequest::new(BuildId::generate(), platform.clone(), file, context)
        };
        platforms.iter().map(request).collect()
    }

    fn image(platform: &Platform) -> BuiltImage {
        let digest = Digest::from_sha256(&[7; 32]);
        BuiltImage {
            platform: platform.clone(),
            manifest: Descriptor {
                media_type: "m".into(),
                digest: digest.clone(),
                size: 1,
                annotations: BTreeMap::new(),
            },
            config: digest,
            steps: None,
            based: None,
            materials: Materials::default(),
            backend: BackendId::new("x"),
            emulated: false,
            retries: 0,
            duration: Duration::ZERO,
        }
    }

    #[test]
    fn the_first_real_failure_is_the_one_to_look_at() {
        let all = platforms(3);
        let mut collector = Collector::new(BuildId::generate(), &requests(&all), FailurePolicy::FailFast);
        let stop = collector.record(2, Err(BuildError::invalid("bad"))).expect("stops the others");
        assert_eq!(stop, BuildError::Abandoned { failed: all[2].clone() });
        assert!(collector.record(0, Err(stop.clone())).is_some());
        assert_eq!(collector.record(1, Err(stop)), None);
        let outcome = collector.finish();
        let (platform, error) = outcome.images().expect_err("failed");
        assert_eq!((platform, error.to_string().as_str()), (&all[2], "bad"));
    }

    #[test]
    fn keep_going_stops_nobody() {
        let all = platforms(2);
        let mut collector = Collector::new(BuildId::generate(), &requests(&all), FailurePolicy::KeepGoing);
        assert_eq!(collector.record(0, Err(BuildError::Cancelled)), None);
        assert_eq!(collector.record(1, Ok(image(&all[1]))), None);
        assert!(collector.is_complete());
    }

    #[test]
    fn an_optional_platform_stops_nobody_and_is_missed_by_nobody() {
        let all = platforms(3);
        let mut requests = requests(&all);
        requests[1].optional = true;
        let begin = || Collector::new(BuildId::generate(), &requests, FailurePolicy::FailFast);
        let mut collector = begin();
        assert_eq!(collector.record(1, Err(BuildError::invalid("bad"))), None);
        collector.record(0, Ok(image(&all[0])));
        collector.record(2, Ok(image(&all[2])));
        let outcome = collector.finish();
        let images = outcome.images().expect("enough");
        assert_eq!(images.iter().map(|image| &image.platform).collect::<Vec<_>>(), [&all[0], &all[2]]);
        assert_eq!(outcome.missing().map(|(platform, _)| platform).collect::<Vec<_>>(), [&all[1]]);
        // The others still count.
        let mut collector = begin();
        collector.record(1, Ok(image(&all[1])));
        assert!(collector.record(0, Err(BuildError::invalid("bad"))).is_some());
        assert!(collector.finish().images().is_err());
    }

    #[test]
    fn without_any_image_optional_platforms_have_failed_too() {
        let all = platforms(1);
        let mut requests = requests(&all);
        requests[0].optional = true;
        let mut collector = Collector::new(BuildId::generate(), &requests, FailurePolicy::KeepGoing);
        collector.record(0, Err(BuildError::invalid("bad")));
        assert_eq!(collector.finish().images().expect_err("nothing").1.to_string(), "bad");
    }

    proptest! {
        #[test]
        fn the_outcome_has_the_requested_order_whatever_the_completion_order(
            order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let all = platforms(6);
            let mut collector = Collector::new(BuildId::generate(), &requests(&all), FailurePolicy::FailFast);
            for place in order {
                prop_assert!(!collector.is_complete());
                collector.record(place, Ok(image(&all[place])));
            }
            prop_assert!(collector.is_complete());
            let images = collector.finish().images().expect("all built");
            prop_assert_eq!(images.into_iter().map(|image| image.platform).collect::<Vec<_>>(), all);
        }
    }
}
