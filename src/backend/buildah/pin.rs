//! Pins every base image to an id.
//!
//! buildah looks up a base by name and takes what the storage has under it, even for another CPU: 1.28.2 builds
//! `FROM --platform=$BUILDPLATFORM a` and then `FROM a` with the same image, and says nothing. An id stands for one
//! image only, so each FROM line gets the id of its own image. It gets the plain name of a stage that is named by a
//! variable, which buildah does not find either.

use std::collections::{BTreeMap, BTreeSet};

use polyarch_actors::{BuildError, BuildRequest, Platform};

use crate::dockerfile::{Base, Dockerfile, DockerfileError, Plan, PlanOptions, plan};

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
    /// Names and the image that each stands for in COPY --from and RUN --mount.
    pub(super) by_name: BTreeMap<String, String>,
    /// The text of the Dockerfile.
    pub(super) dockerfile: String,
}

/// A Dockerfile and what one request needs of it.
#[derive(Debug)]
pub(super) struct Planned {
    dockerfile: Dockerfile,
    plan: Plan,
}

impl Planned {
    /// Plans a request anew: a request that came from another machine brings no plan.
    pub(super) fn new(request: &BuildRequest, build_platform: &Platform) -> Result<Self, DockerfileError> {
        let source = &request.dockerfile;
        let dockerfile = Dockerfile::parse(&source.name, &source.text)?;
        let contexts: BTreeSet<String> = request.build_contexts.keys().cloned().collect();
        let options = PlanOptions {
            target: request.target.as_deref(),
            platform: &request.platform,
            build_platform,
            build_args: &request.build_args,
            contexts: &contexts,
        };
        let plan = plan(&dockerfile, &options)?;
        Ok(Self { dockerfile, plan })
    }

    /// The error with the place of the base image that it is about.
    pub(super) fn blame(&self, error: BuildError, request: &BuildRequest) -> BuildError {
        self.plan.blame(error, &request.dockerfile.name)
    }

    /// The error with the place of an instruction that buildah has printed.
    pub(super) fn locate(&self, error: BuildError, request: &BuildRequest, printed: &str) -> BuildError {
        if !matches!(error, BuildError::Invalid { .. }) {
            return error;
        }
        match self.dockerfile.locate(&request.dockerfile.text, printed) {
            Some(span) => error.at(&span.place(&request.dockerfile.name)),
            None => error,
        }
    }

    /// Whether any instruction has a heredoc.
    pub(super) fn uses_heredocs(&self) -> bool {
        !self.plan.heredocs.is_empty()
    }

    /// Pins the bases in the text. Fails with the reason when one was not fetched.
    pub(super) fn pin(&self, text: &str, bases: &[Pinned], target: &Platform) -> Result<Pins, String> {
        let mut dockerfile = text.to_owned();
        // From the end, so that what was found stays where it is.
        for planned in self.plan.stages.iter().rev() {
            let written = &self.dockerfile.stages[planned.number].base;
            let replacement = match &planned.base {
                Base::Image { reference } => {
                    let is_meant =
                        |base: &&Pinned| base.reference == *reference && base.platform == planned.platform;
                    let found = bases.iter().find(is_meant);
                    let missing =
                        || format!("FROM {reference}: its image for {} was not fetched", planned.platform);
                    found.ok_or_else(missing)?.image.clone()
                }
                Base::Stage(number) => match &self.dockerfile.stages[*number].name {
                    Some(name) if !written.text.eq_ignore_ascii_case(name) => name.clone(),
                    _ => continue,
                },
                Base::Scratch | Base::Context { .. } => continue,
            };
            dockerfile.replace_range(written.span.start..written.span.end, &replacement);
        }
        let is_stage = |name: &str| {
            let mut names = self.dockerfile.stages.iter().filter_map(|stage| stage.name.as_deref());
            names.any(|stage| stage.eq_ignore_ascii_case(name))
        };
        // What is copied into an image comes from images of its own platform.
        let copied = bases.iter().filter(|base| base.platform == *target && !is_stage(&base.reference));
        let by_name = copied.map(|base| (base.reference.clone(), base.image.clone())).collect();
        Ok(Pins { by_name, dockerfile })
    }
}

#[cfg(test)]
mod tests {
    use polyarch_actors::{BuildId, ContextSource, DockerfileSource};

    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().expect("platform")
    }

    fn base(reference: &str, of: &str, image: &str) -> Pinned {
        Pinned { reference: reference.into(), platform: platform(of), image: image.into() }
    }

    fn pins(text: &str, bases: &[Pinned]) -> Result<Pins, String> {
        let dockerfile = DockerfileSource::new("Dockerfile", text);
        let context = ContextSource::Directory("/context".into());
        let mut request =
            BuildRequest::new(BuildId::generate(), platform("linux/arm64"), dockerfile, context);
        request.build_args.insert("V".into(), "2".into());
        let planned = Planned::new(&request, &platform("linux/amd64")).expect("a plan");
        planned.pin(text, bases, &request.platform)
    }

    #[test]
    fn each_line_gets_the_image_of_its_own_platform() {
        let text = "ARG V=1\nFROM --platform=$BUILDPLATFORM a:${V} AS b\nRUN x\nFROM a:$V\nCOPY --from=b /x /y\nCOPY --from=a:2 /x /y\n";
        let bases = [base("a:2", "linux/amd64", "amd"), base("a:2", "linux/arm64", "arm")];
        let pins = pins(text, &bases).expect("pins");
        assert_eq!(
            pins.dockerfile,
            "ARG V=1\nFROM --platform=$BUILDPLATFORM amd AS b\nRUN x\nFROM arm\nCOPY --from=b /x /y\nCOPY --from=a:2 /x /y\n"
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
    fn a_stage_that_a_variable_names_is_written_out() {
        let text = "ARG KIND=two\nFROM scratch AS one\nFROM scratch AS two\nFROM ${KIND}\n";
        let pins = pins(text, &[]).expect("pins");
        assert_eq!(pins.dockerfile, "ARG KIND=two\nFROM scratch AS one\nFROM scratch AS two\nFROM two\n");
    }

    #[test]
    fn a_base_that_was_not_fetched_is_named() {
        let error =
            pins("FROM --platform=linux/s390x a\n", &[base("a", "linux/amd64", "id")]).expect_err("missing");
        assert_eq!(error, "FROM a: its image for linux/s390x was not fetched");
    }
}
