//! Targets as builds.

use std::{collections::BTreeMap, fmt::Display, path::Path};

use polyarch_actors::{CachePolicy, FailurePolicy, HostEntry, Platform, PullPolicy, StepOptions, Ulimit};

use super::{
    super::{
        cache_options::{CacheFromOption, CacheToOption},
        check::{Call, CheckCall},
        options::{SecretOption, SshOption},
        output_option::{OutputOption, check_streams},
        report::Failure,
        steps,
    },
    BakeArgs,
    places::Places,
    some,
};
use crate::{
    Attestations, BuildSpec, ContextInput, NamedInput,
    bake::{Entry, Resolved, TARGET_CONTEXT, Target, needs},
    pattern::PlatformPattern,
    sources::is_http,
    spec::DockerfileInput,
};

/// A target that is to be built or checked.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) name: String,
    /// The build, without the contexts that are other targets.
    pub(super) spec: BuildSpec,
    /// How it is checked, if it is not to be built.
    pub(super) check: Option<CheckCall>,
    /// The contexts that are targets.
    pub(super) needs: Vec<Need>,
    /// Where its attributes are in files.
    pub(super) places: Places,
}

/// A context that is another target.
#[derive(Debug)]
pub(super) struct Need {
    /// The platforms it is for; all if there is no pattern.
    pub(super) pattern: Option<PlatformPattern>,
    /// Its name.
    pub(super) context: String,
    /// The target.
    pub(super) target: String,
}

/// What is wrong with a target, so that it can be said where.
pub(super) struct Wrong {
    attribute: &'static str,
    reason: String,
}

pub(super) fn wrong(attribute: &'static str) -> impl Fn(String) -> Wrong {
    move |reason| Wrong { attribute, reason }
}

/// `--allow`, as buildx has it.
pub(super) fn entitlement(text: &str) -> Result<String, String> {
    let name = text.split('=').next().unwrap_or_default();
    if ["security.insecure", "network.host", "ssh", "fs", "fs.read", "fs.write"].contains(&name) {
        Ok(text.to_owned())
    } else {
        Err("there are network.host, security.insecure, ssh, fs, fs.read and fs.write".into())
    }
}

/// All targets, checked as far as that is possible before anything runs.
pub(super) fn jobs(resolved: &Resolved, args: &BakeArgs) -> Result<Vec<Job>, Failure> {
    let is_needed = |name: &String| resolved.targets.values().any(|target| needs(target).contains(name));
    let mut jobs = Vec::new();
    for (name, target) in &resolved.targets {
        let job = job(name, target, is_needed(name), args);
        jobs.push(job.map_err(|Wrong { attribute, reason }| {
            let place = target.place(attribute).map_or_else(String::new, |place| format!("{place}: "));
            let failure = Failure::input(format!("{place}target {name}: {attribute}: {reason}"));
            if attribute == "entitlements" {
                failure.hint("allow it with --allow security.insecure, if you trust the definition")
            } else {
                failure
            }
        })?);
    }
    let platforms: Vec<Vec<Platform>> =
        jobs.iter().map(|job| platforms_of(&job.name, resolved, &jobs)).collect();
    for (job, platforms) in jobs.iter_mut().zip(platforms) {
        job.spec.platforms = platforms;
    }
    some::add(&mut jobs, args)?;
    check_streams(jobs.iter().flat_map(|job| &job.spec.outputs))?;
    Ok(jobs)
}

/// The platforms of a target. One that is only there for others and says nothing is built for the platforms of those.
fn platforms_of(name: &str, resolved: &Resolved, jobs: &[Job]) -> Vec<Platform> {
    let own = jobs.iter().find(|job| job.name == name).map(|job| job.spec.platforms.clone());
    let own = own.unwrap_or_default();
    let is_linked = resolved.targets.get(name).is_some_and(|target| target.linked);
    if !is_linked || !own.is_empty() {
        return own;
    }
    let users = jobs.iter().filter(|job| job.needs.iter().any(|need| need.target == name));
    let of_users: Vec<Vec<Platform>> = users.map(|user| platforms_of(&user.name, resolved, jobs)).collect();
    if of_users.iter().all(Vec::is_empty) {
        return Vec::new();
    }
    let mut all: Vec<Platform> = Vec::new();
    for mut platforms in of_users {
        if platforms.is_empty() {
            platforms.push(Platform::host_linux());
        }
        platforms.retain(|platform| !all.contains(platform));
        all.extend(platforms);
    }
    all
}

fn job(name: &str, target: &Target, is_needed: bool, args: &BakeArgs) -> Result<Job, Wrong> {
    let context = target.context.as_deref().unwrap_or(".");
    let context = context.strip_prefix("cwd://").unwrap_or(context);
    if context == "-" {
        return Err(wrong("context")("standard input is no context of a target".into()));
    }
    let context = ContextInput::read(context).map_err(told).map_err(wrong("context"))?;
    let mut spec = BuildSpec::of(context);
    let given = (target.dockerfile.as_ref(), target.dockerfile_inline.as_ref());
    spec.dockerfile = dockerfile(name, given, &spec.context).map_err(wrong("dockerfile"))?;
    for platform in target.platforms.iter().flatten() {
        let platform = match platform.as_str() {
            "local" => Platform::host_linux(),
            other => other.parse().map_err(told).map_err(wrong("platforms"))?,
        };
        spec.platforms.push(platform);
    }
    spec.tags = parsed(target.tags.iter().flatten()).map_err(wrong("tags"))?;
    spec.target.clone_from(&target.target);
    spec.build_args.clone_from(&target.args);
    spec.labels.clone_from(&target.labels);
    spec.annotations = parsed(&target.annotations).map_err(wrong("annotations"))?;
    let mut needs = Vec::new();
    spec.build_contexts = contexts(&target.contexts, None, &mut needs).map_err(wrong("contexts"))?;
    spec.for_platforms = some::values(name, target, &spec.context, &mut needs)?;
    spec.cache = if target.no_cache == Some(true) { CachePolicy::Ignore } else { CachePolicy::Use };
    spec.no_cache_stages.clone_from(&target.no_cache_filter);
    for cache in &target.cache_from {
        let read: CacheFromOption =
            written(cache).and_then(|text| text.parse()).map_err(wrong("cache-from"))?;
        spec.cache_from.extend(read.0);
    }
    for cache in target.cache_to.iter().flatten() {
        let read: CacheToOption = written(cache).and_then(|text| text.parse()).map_err(wrong("cache-to"))?;
        spec.cache_to.extend(read.0);
    }
    spec.pull = if target.pull == Some(true) { PullPolicy::Always } else { PullPolicy::Missing };
    for secret in &target.secrets {
        let fields = [("id", &secret.id), ("src", &secret.src), ("env", &secret.env)];
        let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)));
        let read = written(&fields.collect()).and_then(|text| text.parse::<SecretOption>());
        spec.secrets.push(read.map_err(wrong("secret"))?.0);
    }
    for key in &target.ssh {
        let equals = if key.paths.is_empty() { "" } else { "=" };
        let read = format!("{}{equals}{}", key.id, key.paths.join(",")).parse::<SshOption>();
        spec.ssh.push(read.map_err(wrong("ssh"))?.0);
    }
    spec.registry = args.registry.access();
    spec.policy = if args.keep_going { FailurePolicy::KeepGoing } else { FailurePolicy::FailFast };
    spec.emulation = args.emulation.into();
    spec.steps = steps(target, args)?;
    outputs(&mut spec, target).map_err(wrong("output"))?;
    spec.attestations = Attestations::read(&target.attest).map_err(told).map_err(wrong("attest"))?;
    let call: Call = match target.call.as_deref() {
        None | Some("") => Call::Build,
        Some(call) => call.parse().map_err(wrong("call"))?,
    };
    // What others build on is built, whatever else is asked of it.
    let check = call.check(false).filter(|_| !is_needed);
    if check.is_some() {
        spec.outputs.clear();
    }
    let places = Places::of(name, target);
    Ok(Job { name: name.to_owned(), spec, check, needs, places })
}

/// The contexts that are no targets; those that are go to the needs.
pub(super) fn contexts(
    written: &BTreeMap<String, String>,
    pattern: Option<&PlatformPattern>,
    needs: &mut Vec<Need>,
) -> Result<BTreeMap<String, NamedInput>, String> {
    let mut contexts = BTreeMap::new();
    for (context, source) in written {
        if let Some(target) = source.strip_prefix(TARGET_CONTEXT) {
            let (pattern, target) = (pattern.cloned(), target.to_owned());
            needs.push(Need { pattern, context: context.clone(), target });
            continue;
        }
        let source = source.strip_prefix("cwd://").unwrap_or(source);
        contexts.insert(context.clone(), NamedInput::read(source).map_err(told)?);
    }
    Ok(contexts)
}

/// The Dockerfile of a target, of which a path and a text may be written.
pub(super) fn dockerfile(
    name: &str,
    (path, text): (Option<&String>, Option<&String>),
    context: &ContextInput,
) -> Result<DockerfileInput, String> {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        let name = format!("dockerfile-inline of {name}");
        return Ok(DockerfileInput::Text { name, text: text.clone() });
    }
    let path = path.map_or("Dockerfile", String::as_str);
    Ok(match (path.strip_prefix("cwd://"), context) {
        (None, _) if path == "-" => return Err("standard input is no Dockerfile of a target".into()),
        (None, _) if is_http(path) => DockerfileInput::Url(path.to_owned()),
        (None, _) if path == "Dockerfile" => DockerfileInput::InContext,
        (Some(here), _) => DockerfileInput::Path(std::path::absolute(here).map_err(told)?),
        (None, ContextInput::Directory(folder)) => DockerfileInput::Path(folder.join(path)),
        (None, _) => DockerfileInput::Path(Path::new(path).to_owned()),
    })
}

fn steps(target: &Target, args: &BakeArgs) -> Result<StepOptions, Wrong> {
    let mut options = StepOptions::default();
    for (host, address) in &target.extra_hosts {
        let read = HostEntry::read(&format!("{host}={address}"));
        options.add_hosts.extend(read.map_err(told).map_err(wrong("extra-hosts"))?);
    }
    if let Some(network) = target.network.as_deref().filter(|network| !network.is_empty()) {
        options.network = steps::network(network).map_err(wrong("network"))?;
    }
    if let Some(size) = &target.shm_size {
        options.shm_size = Some(steps::shm_size(size).map_err(wrong("shm-size"))?);
    }
    for limit in &target.ulimits {
        let (resource, limit) = Ulimit::read(limit).map_err(told).map_err(wrong("ulimits"))?;
        options.ulimits.insert(resource, limit);
    }
    for entitlement in &target.entitlements {
        match entitlement.as_str() {
            "network.host" => {}
            "security.insecure" if args.allowed.iter().any(|allowed| allowed == entitlement) => {
                options.allow_insecure = true;
            }
            "security.insecure" => {
                return Err(wrong("entitlements")(
                    "security.insecure is not allowed by the command line".into(),
                ));
            }
            other => return Err(wrong("entitlements")(format!("{other:?} is not supported"))),
        }
    }
    Ok(options)
}

fn outputs(spec: &mut BuildSpec, target: &Target) -> Result<(), String> {
    let outputs: Vec<&Entry> = target.outputs.iter().flatten().collect();
    let is_nothing = |output: &&Entry| output.get("type").is_some_and(|kind| kind == "cacheonly");
    if !outputs.is_empty() && outputs.iter().all(is_nothing) {
        spec.tags.clear();
        return Ok(());
    }
    for output in outputs.into_iter().filter(|output| !is_nothing(output)) {
        let option = OutputOption::of_fields(output.clone())?;
        spec.outputs.extend(option.0.filter(|output| !spec.outputs.contains(output)));
    }
    Ok(())
}

/// Fields as the flags of the command line have them.
fn written(fields: &Entry) -> Result<String, String> {
    let field = |(key, value): (&String, &String)| {
        if value.contains(',') {
            return Err(format!("{key}: a value with a comma is not supported"));
        }
        Ok(format!("{key}={value}"))
    };
    Ok(fields.iter().map(field).collect::<Result<Vec<_>, _>>()?.join(","))
}

fn parsed<'t, T: std::str::FromStr<Err: Display>>(
    texts: impl IntoIterator<Item = &'t String>,
) -> Result<Vec<T>, String> {
    texts.into_iter().map(|text| text.parse().map_err(told)).collect()
}

fn told(error: impl Display) -> String {
    error.to_string()
}
