//! From what is asked for to what is built: everything that is wrong with it is said at once.

use std::{
    fmt,
    path::{Component, Path},
};

use polyarch_actors::{
    BuildResources, CachePolicy, Fetching, Platform, PullPolicy, SecretRef, StepNetwork, Timestamp,
};

use super::{
    context::ContextFound,
    document::{DockerfileDocument, ProvenanceDocument, RequestDocument},
    submission::Submission,
};
use crate::{
    Annotation, Attestations, BuildSpec, DockerfileInput, Output, Provenance, ProvenanceMode,
    dockerfile::LARGEST_DOCKERFILE,
    oci::Reference,
    service::{
        problem::{FieldProblem, Problem},
        resources,
        tenants::Tenant,
    },
};

/// How many of a kind a document may name.
const MOST: usize = 1000;
/// How many platforms and tags a build may have.
const MOST_NAMES: usize = 64;
/// What is wrong with a document.
#[derive(Debug, Default)]
pub(super) struct Wrong(Vec<FieldProblem>);

impl Wrong {
    pub(super) fn note(&mut self, pointer: &str, detail: impl fmt::Display) {
        self.0.push(FieldProblem { pointer: pointer.to_owned(), detail: detail.to_string() });
    }

    /// A value, unless it is wrong.
    fn take<T, E: fmt::Display>(&mut self, pointer: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.note(pointer, error)).ok()
    }

    /// Values of a list, without those that are wrong.
    fn list<T, E: fmt::Display>(
        &mut self,
        pointer: &str,
        texts: &[String],
        most: usize,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        if texts.len() > most {
            self.note(pointer, format!("there are at most {most}"));
            return Vec::new();
        }
        let one = |(at, text): (usize, &String)| self.take(&format!("{pointer}/{at}"), read(text));
        texts.iter().enumerate().filter_map(one).collect()
    }

    pub(super) fn end(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::fields(self.0)) }
    }
}

impl RequestDocument {
    /// Notes everything that is wrong with this but its context, and makes a build of the rest.
    pub(super) fn spec(
        self,
        found: &ContextFound,
        tenant: &Tenant,
        fetching: Fetching,
        wrong: &mut Wrong,
    ) -> (BuildSpec, Submission) {
        let mut spec = BuildSpec { fetching, ..BuildSpec::of(found.input.clone()) };
        if !tenant.network {
            (spec.steps.network, spec.steps.refuse_host_network) = (StepNetwork::None, true);
        }
        if let Some(dockerfile) = self.dockerfile {
            spec.dockerfile = dockerfile_of(dockerfile, wrong);
        }
        spec.platforms = wrong.list("/platforms", &self.platforms, MOST_NAMES, str::parse::<Platform>);
        spec.tags = wrong.list("/tags", &self.tags, MOST_NAMES, tag);
        if self.target.as_deref() == Some("") {
            wrong.note("/target", "it is empty");
        }
        spec.target = self.target;
        for (pointer, pairs) in [("/build_args", &self.build_args), ("/labels", &self.labels)] {
            if pairs.len() > MOST {
                wrong.note(pointer, format!("there are at most {MOST}"));
            }
            if pairs.keys().any(|name| name.is_empty() || name.contains(['=', '\0'])) {
                wrong.note(pointer, "a name is empty, or has an equals sign in it");
            }
        }
        spec.build_args = self.build_args;
        spec.labels = self.labels;
        spec.annotations = wrong.list("/annotations", &self.annotations, MOST, str::parse::<Annotation>);
        spec.cache = if self.no_cache { CachePolicy::Ignore } else { CachePolicy::Use };
        spec.pull = if self.pull { PullPolicy::Always } else { PullPolicy::Missing };
        spec.secrets = wrong.list("/secrets", &self.secrets, MOST, |id| secret(tenant, id));
        spec.attestations = Attestations {
            provenance: self.attestations.provenance.map(|mode| Provenance {
                mode: match mode {
                    ProvenanceDocument::Min => ProvenanceMode::Min,
                    ProvenanceDocument::Max => ProvenanceMode::Max,
                },
                ..Provenance::default()
            }),
            sbom: self.attestations.sbom,
        };
        let asked = BuildResources {
            memory: self.memory.and_then(|text| wrong.take("/memory", resources::memory(&text))),
            millicpus: self.cpus.and_then(|cpus| wrong.take("/cpus", resources::millicpus(cpus))),
            pids: self.pids.and_then(|pids| wrong.take("/pids", resources::pids(pids))),
            required: false,
        };
        let (granted, refused) = resources::granted(asked, &tenant.most);
        for (pointer, detail) in refused {
            wrong.note(pointer, detail);
        }
        spec.resources = granted;
        if self.push {
            if self.tags.is_empty() {
                wrong.note("/push", "there is no tag to publish under");
            }
            spec.outputs.push(Output::registry());
        }
        let mut submission = self.submission;
        submission.check(Timestamp::now(), tenant.max_time, wrong);
        if wrong.0.is_empty() {
            let known = spec.epoch().and_then(|_| spec.each());
            wrong.take("", known);
        }
        (spec, submission)
    }
}

fn dockerfile_of(document: DockerfileDocument, wrong: &mut Wrong) -> DockerfileInput {
    match document {
        DockerfileDocument::Path(text) => {
            let path = Path::new(&text);
            let is_inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
            if text.is_empty() || text.contains('\0') || !path.components().all(is_inside) {
                wrong.note("/dockerfile", "it is no path of a file in the context");
            }
            DockerfileInput::Path(text.into())
        }
        DockerfileDocument::Text(given) => {
            if given.text.len() as u64 > LARGEST_DOCKERFILE {
                wrong.note("/dockerfile/text", format!("it has more than {LARGEST_DOCKERFILE} bytes"));
            }
            DockerfileInput::Text { name: "Dockerfile".into(), text: given.text }
        }
    }
}

fn tag(text: &str) -> Result<Reference, String> {
    let name: Reference = text.parse().map_err(|error: crate::oci::ReferenceError| error.to_string())?;
    if name.digest().is_some() { Err("a name with a digest cannot be given".into()) } else { Ok(name) }
}

fn secret(tenant: &Tenant, id: &str) -> Result<SecretRef, &'static str> {
    tenant.secret(id).ok_or("the tenant has no secret of this id")
}
