//! What one build knows of itself, for those who say something about its images.

use polyarch_actors::{BuildId, Materials, Platform, Timestamp};

use crate::{
    dockerfile::{Dockerfile, Plan},
    gather::Gathered,
    prepare::Prepared,
    spec::BuildSpec,
};

/// What one build knows of itself once all platforms are built.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(super) spec: BuildSpec,
    pub(super) dockerfile: Dockerfile,
    /// The text of the Dockerfile.
    pub(super) text: String,
    /// What of the contexts is from elsewhere.
    pub(super) contexts: Materials,
    /// What was planned for each platform that was asked for.
    pub(super) plans: Vec<(Platform, Plan)>,
    pub(super) build: BuildId,
    pub(super) started: Timestamp,
    pub(super) finished: Timestamp,
}

impl Facts {
    /// What is known of a build that began at `started` and ends now.
    pub(crate) fn now(
        spec: &BuildSpec,
        gathered: &Gathered,
        prepared: &Prepared,
        build: &BuildId,
        started: Timestamp,
    ) -> Self {
        let platforms = prepared.requests.iter().map(|request| request.platform.clone());
        Self {
            spec: spec.clone(),
            dockerfile: prepared.dockerfile.clone(),
            text: prepared.text.clone(),
            contexts: gathered.materials.clone(),
            plans: platforms.zip(prepared.plans.iter().cloned()).collect(),
            build: build.clone(),
            started,
            finished: Timestamp::now(),
        }
    }
}
