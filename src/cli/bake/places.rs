//! Where in a file of definitions the reason of a failure is.

use super::super::report::Failure;
use crate::{Error, SpecError, bake::Target};

/// The target that a build is made of.
#[derive(Clone, Debug)]
pub(super) struct Places(Target);

impl Places {
    pub(super) fn of(name: &str, target: &Target) -> Self {
        let (name, places) = (name.to_owned(), target.places.clone());
        Self(Target { name, places, ..Target::default() })
    }

    /// A failure of the build, with the place of the attribute that it is about: what the Dockerfile or the world are to
    /// blame for is at no place in a definition.
    pub(super) fn failure(&self, error: Error) -> Failure {
        let place = match &error {
            Error::Spec(error) => self.0.place(attribute(error)),
            _ => None,
        };
        let target = format!("target {}", self.0.name);
        Failure::from(error)
            .about(&place.map_or_else(|| target.clone(), |place| format!("{place}: {target}")))
    }
}

/// The attribute that says what is wrong; the whole target where no single one does.
fn attribute(error: &SpecError) -> &'static str {
    match error {
        SpecError::NoContext { .. } | SpecError::ContextNotDirectory { .. } => "context",
        SpecError::NoDockerfile { .. } | SpecError::UnreadableDockerfile { .. } => "dockerfile",
        SpecError::DuplicatePlatform { .. } => "platforms",
        SpecError::UnusedAnnotation { .. } => "annotations",
        SpecError::DigestInTag { .. } | SpecError::TagByDigest { .. } => "tags",
        SpecError::SeveralPlatforms { .. } | SpecError::Occupied { .. } => "output",
        SpecError::Epoch { .. } | SpecError::CheckOption { .. } => "args",
        SpecError::CacheOverImage { .. } | SpecError::CacheFolder { .. } => "cache-to",
        SpecError::Contradiction { .. } | SpecError::OfAllPlatforms { .. } => "platform-overrides",
        _ => "",
    }
}
