//! What one build knows of itself, for those who say something about its images.

use polyarch_actors::{BuildId, BuiltImage, Materials, Platform, Timestamp};

use crate::{
    dockerfile::{Dockerfile, Plan},
    gather::Gathered,
    prepare::Prepared,
    spec::BuildSpec,
};

/// What one build knows of itself and of one of its platforms, once all of them are built.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    platform: Platform,
    /// What was asked for the platform.
    pub(super) spec: BuildSpec,
    pub(super) dockerfile: Dockerfile,
    /// The text of the Dockerfile.
    pub(super) text: String,
    pub(super) plan: Plan,
    /// What of the contexts is from elsewhere.
    pub(super) contexts: Materials,
    pub(super) build: BuildId,
    pub(super) started: Timestamp,
    pub(super) finished: Timestamp,
}

impl Facts {
    /// What is known of each platform of a build that began at `started` and ends now; nothing where nobody asks.
    pub(crate) fn now(
        gathered: &Gathered,
        prepared: &Prepared,
        build: &BuildId,
        started: Timestamp,
    ) -> Vec<Self> {
        let finished = Timestamp::now();
        let asked = gathered.parts.iter().zip(&prepared.plans);
        let asked = asked.filter(|(part, _)| !part.spec.attestations.is_empty());
        let facts = asked.map(|(part, (dockerfile, plan))| Self {
            platform: part.platform.clone(),
            spec: part.spec.clone(),
            dockerfile: dockerfile.clone(),
            text: gathered.dockerfiles[part.dockerfile].text.clone(),
            plan: plan.clone(),
            contexts: gathered.materials.clone(),
            build: build.clone(),
            started,
            finished,
        });
        facts.collect()
    }

    /// Whether it is what is known of this image.
    pub(crate) fn are_of(&self, image: &BuiltImage) -> bool {
        self.platform.is_satisfied_by(&image.platform)
    }
}
