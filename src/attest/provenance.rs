//! How an image was built, as SLSA and BuildKit write it.
//!
//! What depends on the machine or the moment is left out where the same build is to give the same bytes.
//!
//! Source: SLSA, `spec/v1.1/provenance`; BuildKit, `docs/attestations/slsa-definitions.md`.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use polyarch_actors::{BuiltImage, CachePolicy, Material, Platform, StepNetwork, StepOptions, Timestamp};
use serde_json::{Value, json};

use super::{
    facts::Facts,
    option::{Provenance, ProvenanceMode},
    purl, redact,
    statement::digest_set,
    steps::{Steps, steps},
};
use crate::{
    fetch::shown,
    oci::Reference,
    sources::{ContextInput, NamedInput},
    spec::{BuildSpec, DockerfileInput},
    time,
};

/// What says which fields there are, beside SLSA's own.
const BUILD_TYPE: &str = "https://github.com/polyarch/polyarch/blob/main/README.md#attestations";

/// What is said of how an image was built. `layers` are those of the image, as [`super::layers`] gives them.
pub(super) fn predicate(facts: &Facts, asked: &Provenance, image: &BuiltImage, layers: &Value) -> Value {
    let all = asked.mode == ProvenanceMode::Max;
    let steps = steps(&facts.dockerfile, &facts.plan, &facts.text);
    let (arguments, complete) = request_arguments(&facts.spec, image, all);
    let mut request = json!({
        "frontend": "dockerfile.v0",
        "args": arguments,
        "locals": locals(&facts.spec),
    });
    let mut internal = json!({"builderPlatform": Platform::host_linux().to_string()});
    let mut about = json!({});
    let path = dockerfile_path(facts);
    if all {
        let listed = |ids: &BTreeMap<String, bool>| -> Value {
            ids.iter().map(|(id, optional)| json!({"id": id, "optional": optional})).collect()
        };
        request["secrets"] = listed(&steps.secrets);
        request["ssh"] = listed(&steps.ssh);
        let Steps { list, locations, .. } = steps;
        internal["buildConfig"] = json!({"steps": list, "layers": layers});
        let data = BASE64_STANDARD.encode(redact::text(&facts.text));
        about["source"] = json!({
            "locations": locations,
            "infos": [{"filename": path, "language": "Dockerfile", "data": data}],
        });
    }
    let mut materials = facts.contexts.clone();
    image.materials.found.iter().for_each(|material| materials.add(material.clone()));
    let known = facts.contexts.complete && image.materials.complete;
    let mut metadata = json!({
        "buildkit_completeness": {"request": complete, "resolvedDependencies": known},
        "buildkit_reproducible": asked.reproducible,
        "buildkit_metadata": about,
    });
    let is_dated = !asked.reproducible && facts.spec.epoch().ok().flatten().is_none();
    if is_dated {
        let moment = |at: Timestamp| time::rfc3339(i64::try_from(at.0 / 1000).unwrap_or(i64::MAX));
        metadata["invocationId"] = json!(facts.build);
        metadata["startedOn"] = moment(facts.started).into();
        metadata["finishedOn"] = moment(facts.finished).into();
    }
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"configSource": config_source(facts, path), "request": request},
            "internalParameters": internal,
            "resolvedDependencies": materials.found.iter().map(dependency).collect::<Vec<_>>(),
        },
        "runDetails": {
            "builder": {"id": asked.builder, "version": {"polyarch": env!("CARGO_PKG_VERSION")}},
            "metadata": metadata,
        },
    })
}

/// What was asked for, and whether that is all of it.
///
/// Source: BuildKit, `solver/llbsolver/proc/provenance.go`: build arguments and labels are for `max` alone.
fn request_arguments(spec: &BuildSpec, image: &BuiltImage, all: bool) -> (BTreeMap<String, String>, bool) {
    let StepOptions { add_hosts, network, shm_size, ulimits, .. } = &spec.steps;
    let given = |key: &str, words: Vec<String>| {
        Some((key.to_owned(), words.join(","))).filter(|(_, words)| !words.is_empty())
    };
    let hosts = add_hosts.iter().map(|host| format!("{}={}", host.name, host.address)).collect();
    let limits = ulimits.iter().map(|(resource, limit)| format!("{resource}={limit}")).collect();
    let without_network = (*network == StepNetwork::None).then(|| "none".to_owned());
    let cached = spec.cache == CachePolicy::Use && spec.no_cache_stages.is_empty();
    let mut arguments: BTreeMap<String, String> = [
        given("platform", vec![image.platform.to_string()]),
        given("context", context_address(spec).into_iter().collect()),
        given("target", spec.target.iter().cloned().collect()),
        given("add-hosts", hosts),
        given("ulimit", limits),
        given("shm-size", shm_size.iter().map(u64::to_string).collect()),
        given("force-network-mode", without_network.into_iter().collect()),
        // No stage is every stage, as in BuildKit.
        (!cached).then(|| ("no-cache".to_owned(), spec.no_cache_stages.join(","))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let contexts = spec.build_contexts.iter();
    arguments.extend(contexts.map(|(name, input)| (format!("context:{name}"), input_text(name, input))));
    if all {
        arguments
            .extend(spec.build_args.iter().map(|(key, value)| (format!("build-arg:{key}"), value.clone())));
        arguments.extend(spec.labels.iter().map(|(key, value)| (format!("label:{key}"), value.clone())));
    }
    (arguments, all || (spec.build_args.is_empty() && spec.labels.is_empty()))
}

/// A named context, without a path of this machine.
fn input_text(name: &str, input: &NamedInput) -> String {
    match input {
        NamedInput::Directory(_) => format!("local:{name}"),
        NamedInput::Image(image) => format!("docker-image://{image}"),
        NamedInput::Layout { tag, digest, .. } => {
            let tag = tag.iter().map(|tag| format!(":{tag}"));
            let digest = digest.iter().map(|digest| format!("@{digest}"));
            tag.chain(digest).fold(format!("oci-layout://{name}"), |text, part| text + &part)
        }
        NamedInput::Stored(image) => format!("oci-layout://{name}@{}", image.digest),
        NamedInput::Git(source) => source.to_string(),
        NamedInput::Url(url) => shown(url),
    }
}

/// What came from this machine.
fn locals(spec: &BuildSpec) -> Value {
    let is_here = spec.context.is_here();
    let own_file = match &spec.dockerfile {
        DockerfileInput::InContext => is_here,
        DockerfileInput::Path(path) => is_here || path.is_absolute(),
        DockerfileInput::Text { .. } => true,
        DockerfileInput::Url(_) => false,
    };
    let named = spec.build_contexts.iter().filter(|(_, input)| matches!(input, NamedInput::Directory(_)));
    let names = is_here.then_some("context").into_iter().chain(own_file.then_some("dockerfile"));
    names.chain(named.map(|(name, _)| name.as_str())).map(|name| json!({"name": name})).collect()
}

/// The path of the Dockerfile in its context, or only its name where it is a file of this machine.
fn dockerfile_path(facts: &Facts) -> String {
    let is_fetched = !matches!(facts.spec.context, ContextInput::Directory(_));
    if let DockerfileInput::Path(path) = &facts.spec.dockerfile
        && is_fetched
        && path.is_relative()
    {
        return normal(path);
    }
    let name = &facts.dockerfile.file;
    name.rsplit(['/', ':', '#']).next().unwrap_or(name).to_owned()
}

fn normal(path: &Path) -> String {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy()),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Where the context was fetched from, if it was.
fn context_address(spec: &BuildSpec) -> Option<String> {
    match &spec.context {
        ContextInput::Git(source) => Some(source.to_string()),
        ContextInput::Url(url) => Some(shown(url)),
        ContextInput::Directory(_)
        | ContextInput::Enclosed(_)
        | ContextInput::Archive(_)
        | ContextInput::Stdin => None,
    }
}

/// Where the Dockerfile is from.
fn config_source(facts: &Facts, path: String) -> Value {
    let address = match &facts.spec.dockerfile {
        DockerfileInput::Url(url) => Some(shown(url)),
        DockerfileInput::Text { .. } => None,
        DockerfileInput::Path(path) if path.is_absolute() => None,
        DockerfileInput::InContext | DockerfileInput::Path(_) => context_address(&facts.spec),
    };
    let mut source = json!({"path": path});
    let Some(address) = address else { return source };
    let found = facts.contexts.found.iter().map(dependency).find(|found| found["uri"] == address.as_str());
    if let Some(found) = found {
        source["digest"] = found["digest"].clone();
    }
    source["uri"] = address.into();
    source
}

/// Something that an image is made of.
fn dependency(material: &Material) -> Value {
    match material {
        Material::Image { reference, platform, digest } => {
            let name: Option<Reference> = reference.parse().ok();
            let uri = name.map_or_else(|| reference.clone(), |name| purl::of_image(&name, platform));
            json!({"uri": uri, "digest": digest_set(digest)})
        }
        Material::LocalImage { name, platform, digest } => {
            json!({"uri": purl::of_local_image(name, platform), "digest": digest_set(digest)})
        }
        Material::Git { address, commit } => {
            let algorithm = if commit.len() == 64 { "sha256" } else { "sha1" };
            json!({"uri": address, "digest": {algorithm: commit}})
        }
        Material::File { address, digest } => json!({"uri": address, "digest": digest_set(digest)}),
    }
}
