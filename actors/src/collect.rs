//! The results of one build's platforms, in the order they were asked for. Pure.

use serde::{Deserialize, Serialize};

use crate::{BuildError, BuildId, BuiltImage, Platform};

/// What the failure of one platform means for the others.
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
    /// The images in the requested order, if every platform has one.
    ///
    /// # Errors
    /// The failure that a person should look at first: one that is no consequence of another.
    pub fn images(&self) -> Result<Vec<BuiltImage>, (&Platform, &BuildError)> {
        let failures =
            || self.platforms.iter().filter_map(|one| Some((&one.platform, one.result.as_ref().err()?)));
        let is_consequence =
            |error: &BuildError| matches!(error, BuildError::Abandoned { .. } | BuildError::Cancelled);
        match failures().find(|(_, error)| !is_consequence(error)).or_else(|| failures().next()) {
            Some(failure) => Err(failure),
            None => Ok(self.platforms.iter().filter_map(|one| one.result.as_ref().ok().cloned()).collect()),
        }
    }
}

/// Gathers results as they come.
#[derive(Debug)]
pub(crate) struct Collector {
    build: BuildId,
    policy: FailurePolicy,
    platforms: Vec<(Platform, Option<Result<BuiltImage, BuildError>>)>,
}

impl Collector {
    pub(crate) fn new(build: BuildId, platforms: Vec<Platform>, policy: FailurePolicy) -> Self {
        Self { build, policy, platforms: platforms.into_iter().map(|platform| (platform, None)).collect() }
    }

    /// Takes the result of one platform. Returns the error to give the others when they must stop now.
    pub(crate) fn record(
        &mut self,
        place: usize,
        result: Result<BuiltImage, BuildError>,
    ) -> Option<BuildError> {
        let (platform, slot) = self.platforms.get_mut(place)?;
        if slot.is_some() {
            return None;
        }
        let failed = platform.clone();
        let first_failure = result.is_err() && self.policy == FailurePolicy::FailFast;
        *slot = Some(result);
        (first_failure && !self.is_complete()).then_some(BuildError::Abandoned { failed })
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.platforms.iter().all(|(_, result)| result.is_some())
    }

    /// The outcome, once complete.
    pub(crate) fn finish(self) -> Outcome {
        self.fail(&BuildError::Cancelled)
    }

    /// The outcome when no more results will come: what has none gets `error`.
    pub(crate) fn fail(self, error: &BuildError) -> Outcome {
        let platforms = self.platforms.into_iter().map(|(platform, result)| PlatformOutcome {
            platform,
            result: result.unwrap_or_else(|| Err(error.clone())),
        });
        Outcome { build: self.build, platforms: platforms.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BackendId, Descriptor, Digest};
    use proptest::prelude::*;
    use std::{collections::BTreeMap, time::Duration};

    fn platforms(count: usize) -> Vec<Platform> {
        let arches = ["amd64", "arm64", "riscv64", "s390x", "ppc64le", "386"];
        arches[..count].iter().map(|arch| format!("linux/{arch}").parse().expect("platform")).collect()
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
            backend: BackendId::new("x"),
            emulated: false,
            retries: 0,
            duration: Duration::ZERO,
        }
    }

    #[test]
    fn the_first_real_failure_is_the_one_to_look_at() {
        let all = platforms(3);
        let mut collector = Collector::new(BuildId::generate(), all.clone(), FailurePolicy::FailFast);
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
        let mut collector = Collector::new(BuildId::generate(), all.clone(), FailurePolicy::KeepGoing);
        assert_eq!(collector.record(0, Err(BuildError::Cancelled)), None);
        assert_eq!(collector.record(1, Ok(image(&all[1]))), None);
        assert!(collector.is_complete());
    }

    proptest! {
        #[test]
        fn the_outcome_has_the_requested_order_whatever_the_completion_order(
            order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let all = platforms(6);
            let mut collector = Collector::new(BuildId::generate(), all.clone(), FailurePolicy::FailFast);
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
