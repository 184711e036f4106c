//! Ties what fails while a file is built to the part of the file that it is about.

use polyarch_actors::{BuildError, Place};

use super::{
    error::{DockerfileError, Span},
    plan::{ExternalImage, Plan},
};

impl Span {
    /// This part of `file`, as errors carry it.
    pub fn place(self, file: &str) -> Place {
        Place { file: file.to_owned(), line: self.line, start: self.start, end: self.end }
    }
}

impl From<&Place> for Span {
    fn from(place: &Place) -> Self {
        Self { start: place.start, end: place.end, line: place.line, last_line: place.line }
    }
}

impl From<DockerfileError> for BuildError {
    fn from(error: DockerfileError) -> Self {
        Self::invalid(error.kind.to_string()).at(&error.span.place(&error.file))
    }
}

impl Plan {
    /// The failure to get a base image, with the place in `file` that asks for it first, and with the stage or
    /// context that was perhaps meant. Any other error stays as it is, and so does one that has its place.
    #[must_use]
    pub fn blame(&self, mut error: BuildError, file: &str) -> BuildError {
        let (BuildError::BaseImage { image, reason, place: None, .. }
        | BuildError::Registry { image: Some(image), reason, place: None, .. }) = &mut error
        else {
            return error;
        };
        let Some(asked) = self.images().iter().find(|asked| asked.reference == *image) else { return error };
        if let Some(doubt) = doubt(asked) {
            reason.push_str(&doubt);
        }
        error.at(&asked.span.place(file))
    }
}

/// What to ask whoever may have meant something else.
fn doubt(asked: &ExternalImage) -> Option<String> {
    let near = asked.near.as_ref()?;
    Some(format!("; no stage is called {}; did you mean {near}?", asked.reference))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use polyarch_actors::Platform;

    use super::*;
    use crate::dockerfile::{Dockerfile, PlanOptions, plan};

    const FILE: &str = "FROM scratch AS build\nFROM ghcr.io/team/bulid AS other\nFROM scratch\n\
                        COPY --from=biuld /a /b\nRUN --mount=from=assetts,target=/x true\nCOPY --from=other / /\n";

    fn planned() -> Plan {
        let platform: Platform = "linux/amd64".parse().expect("a platform");
        let contexts = BTreeSet::from(["assets".to_owned()]);
        let options = PlanOptions {
            target: None,
            platform: &platform,
            build_platform: &platform,
            build_args: &BTreeMap::new(),
            contexts: &contexts,
        };
        plan(&Dockerfile::parse("Dockerfile", FILE).expect("parses"), &options).expect("a plan")
    }

    fn told(image: &str) -> String {
        let error = BuildError::Registry {
            denied: false,
            reason: "cannot reach it".into(),
            retryable: true,
            image: Some(image.into()),
            place: None,
        };
        let error = planned().blame(error, "Dockerfile");
        assert!(error.retryable());
        error.to_string()
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_told_with_its_place_and_what_was_perhaps_meant() {
        let pull = "cannot reach it; no stage is called";
        assert_eq!(
            told("biuld"),
            format!("Dockerfile:4: cannot pull biuld: {pull} biuld; did you mean build?")
        );
        assert_eq!(
            told("assetts"),
            format!("Dockerfile:5: cannot pull assetts: {pull} assetts; did you mean assets?")
        );
        // What has a registry or a path cannot be meant to be a stage.
        assert_eq!(
            told("ghcr.io/team/bulid"),
            "Dockerfile:2: cannot pull ghcr.io/team/bulid: cannot reach it"
        );
        assert_eq!(told("unknown"), "cannot pull unknown: cannot reach it");
    }

    #[test]
    fn the_place_is_the_word_that_names_the_image() {
        let error = BuildError::BaseImage {
            image: "biuld".into(),
            platform: "linux/amd64".parse().expect("a platform"),
            reason: "not found".into(),
            place: None,
        };
        let error = planned().blame(error, "Dockerfile");
        let place = error.place().expect("a place");
        assert_eq!(&FILE[place.start..place.end], "--from=biuld");
        assert_eq!(planned().blame(error.clone(), "Dockerfile"), error);
        let other = BuildError::registry("down", true);
        assert_eq!(planned().blame(other.clone(), "Dockerfile"), other);
    }

    #[test]
    fn a_mistake_in_the_file_keeps_its_place_and_its_words() {
        let mistake = Dockerfile::parse("Dockerfile", "FROM scratch\nRNU x\n").expect_err("a mistake");
        let text = mistake.to_string();
        let error = BuildError::from(mistake.clone());
        assert_eq!(error.to_string(), text);
        let place = error.place().expect("a place");
        assert_eq!((Span::from(place).start, place.line), (mistake.span.start, 2));
    }
}
