//! `polyarch bake`.

mod inputs;
mod places;
mod schedule;
mod some;
mod spec;

use std::{collections::BTreeMap, fs, path::PathBuf};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{
    args::{EmulationArg, Progress, RegistryArgs},
    attestations::AttestationArgs,
    build::{GRACE, check_files, metadata, style},
    for_platforms::{self, ForPlatforms},
    progress::Screen,
    report::Failure,
    run::print,
    table::table,
    timings,
};
use crate::{
    Error, Orchestrator, OrchestratorBuilder,
    bake::{BakeError, BakeFault, Definition},
    config,
    pattern::PlatformPattern,
};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line are booleans")]
pub(super) struct BakeArgs {
    /// The targets and groups to build; patterns such as "app-*" too [default: default]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// A file with definitions (HCL, JSON or compose), or "-" for standard input; later ones add to earlier ones
    /// [default: compose.yaml, compose.yml, docker-compose.yml, docker-compose.yaml, docker-bake.json, docker-bake.hcl,
    /// docker-bake.override.json and docker-bake.override.hcl, as far as they are there]
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<String>,
    /// Change an attribute of targets ("TARGET.KEY=VALUE", "TARGET.KEY+=VALUE" adds to a list, "*" is every target)
    #[arg(long = "set", value_name = "TARGET.KEY=VALUE")]
    overrides: Vec<String>,
    /// Set a variable of the definition; without a value it is taken from the environment
    #[arg(long = "var", value_name = "NAME[=VALUE]")]
    variables: Vec<String>,
    /// Print what would be built, as JSON, and build nothing
    #[arg(long, conflicts_with = "list")]
    print: bool,
    /// Print the targets or the variables that there are, and build nothing
    #[arg(long, value_name = "WHAT")]
    list: Option<List>,
    /// Publish every image; short for --set=*.push=true
    #[arg(long)]
    push: bool,
    /// Load every image into docker, podman or buildah; short for --set=*.load=true
    #[arg(long)]
    load: bool,
    /// Run every step, whatever earlier builds left; short for --set=*.no-cache=true
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    no_cache: Option<bool>,
    /// Always ask registries for newer base images; short for --set=*.pull=true
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pull: Option<bool>,
    /// Show what the build checks find in the Dockerfiles, and build only what others need; short for --call=check
    #[arg(long)]
    check: bool,
    /// What to do with every target: "build", or "check[,format=json][,ignorestatus=true]"; short for --set=*.call=METHOD
    #[arg(long, value_name = "METHOD", conflicts_with = "check")]
    call: Option<String>,
    /// Allow what targets cannot take by themselves: "security.insecure". "network.host", "ssh" and "fs…=PATH" change
    /// nothing, because targets have that anyway
    #[arg(long = "allow", value_name = "ENTITLEMENT", value_parser = spec::entitlement, value_delimiter = ',')]
    allowed: Vec<String>,
    #[command(flatten)]
    attestations: AttestationArgs,
    /// How progress is shown
    #[arg(long, value_name = "HOW", default_value = "auto")]
    progress: Progress,
    /// Write what was built to a file, as JSON with buildx's keys for each target
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Write a page (HTML) that shows where the time of all targets went: steps, waits, critical paths, what emulation
    /// cost
    #[arg(long, value_name = "FILE")]
    timings: Option<PathBuf>,
    /// The only backend that may build all platforms, or some (polyarch backends lists them)
    #[arg(long = "backend", alias = "builder", env = config::BACKEND_VARIABLE, value_name = "[PATTERN=]BACKEND", value_parser = for_platforms::word)]
    backends: Vec<ForPlatforms<String>>,
    /// Build everything else to its end when a platform or a target fails [default: stop it]; what needs a target that
    /// failed is not built
    #[arg(long, overrides_with = "fail_fast")]
    keep_going: bool,
    /// Stop everything else when a platform or a target fails; the default
    #[arg(long, overrides_with = "keep_going")]
    fail_fast: bool,
    /// Platforms that may fail, in every target that has them: its index is published without them ("linux/riscv64",
    /// "windows/*")
    #[arg(long, value_name = "PLATFORM|PATTERN", value_delimiter = ',')]
    optional: Vec<PlatformPattern>,
    /// When RUN steps for another CPU may be emulated
    #[arg(long, value_name = "WHEN", default_value = "fallback")]
    emulation: EmulationArg,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum List {
    /// The groups and targets
    Targets,
    /// The variables and their values
    Variables,
}

impl From<BakeError> for Failure {
    fn from(error: BakeError) -> Self {
        let failure = Self::input(error.to_string());
        match &error.fault {
            BakeFault::Unknown { what: "target", name, .. } if name == "default" => {
                failure.hint("name targets, or polyarch bake --list=targets to see which there are")
            }
            _ => failure,
        }
    }
}

pub(super) async fn run(store: Option<PathBuf>, args: BakeArgs) -> Result<(), Failure> {
    let definition = inputs::read(&args.files, &args.variables)?;
    if let Some(list) = args.list {
        return print(&listed(&definition, list));
    }
    let flags = [
        args.push.then(|| "*.push=true".to_owned()),
        args.load.then(|| "*.load=true".to_owned()),
        args.check.then(|| "*.call=check".to_owned()),
        args.call.as_ref().map(|call| format!("*.call={call}")),
        args.no_cache.map(|value| format!("*.no-cache={value}")),
        args.pull.map(|value| format!("*.pull={value}")),
    ];
    let attestations = args.attestations.words().map(|(_, attestation)| format!("*.attest={attestation}"));
    let overrides: Vec<String> =
        args.overrides.iter().cloned().chain(flags.into_iter().flatten()).chain(attestations).collect();
    let mut resolved = definition.resolve(&args.targets, &overrides)?;
    inputs::add_source_date(&mut resolved);
    if args.print {
        let text =
            serde_json::to_string_pretty(&resolved).map_err(|error| Failure::host(error.to_string()))?;
        return print(&format!("{text}\n"));
    }
    check_files([&args.metadata_file, &args.timings].into_iter().flatten())?;
    let jobs = spec::jobs(&resolved, &args)?;
    let mut builder = Orchestrator::builder();
    if let Some(store) = &store {
        builder = builder.store(store);
    }
    let backends: Result<Option<Vec<_>>, _> = jobs.iter().map(|job| job.spec.backends()).collect();
    let backends = backends.map_err(Error::from)?.into_iter().flatten().flatten();
    builder = backends.fold(builder, OrchestratorBuilder::only);
    let orchestrator = builder.start().await?;
    let screen = Screen::new(style(args.progress, false));
    let mut watched = Vec::new();
    let result = schedule::run(&orchestrator, store, jobs, &screen, args.keep_going, &mut watched).await;
    orchestrator.shutdown(GRACE).await;
    let told = match &args.timings {
        Some(path) => timings::write(path, watched).await,
        None => Ok(()),
    };
    let receipts = match (result, told) {
        (Err(failure), Err(unwritten)) => return Err(unwritten.beside(failure)),
        (Err(failure), Ok(())) => return Err(failure),
        (Ok(receipts), told) => {
            told?;
            receipts
        }
    };
    if let Some(path) = &args.metadata_file {
        let metadata: BTreeMap<&str, Value> =
            receipts.iter().map(|(name, receipt)| (name.as_str(), metadata(receipt))).collect();
        let text =
            serde_json::to_string_pretty(&metadata).map_err(|error| Failure::host(error.to_string()))?;
        fs::write(path, format!("{text}\n"))
            .map_err(|error| Failure::host(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(())
}

fn listed(definition: &Definition, list: List) -> String {
    let text = |description: &Option<String>| description.clone().unwrap_or_default();
    let (head, mut rows) = match list {
        List::Targets => {
            let groups = definition.groups.iter().map(|group| {
                let description = group.description.clone();
                vec![group.name.clone(), description.unwrap_or_else(|| group.targets.join(", "))]
            });
            let targets = definition.targets.iter();
            let targets = targets.map(|target| vec![target.name.clone(), text(&target.description)]);
            (vec!["TARGET", "DESCRIPTION"], groups.chain(targets).collect::<Vec<_>>())
        }
        List::Variables => {
            let variables = definition.variables.iter();
            let rows = variables.map(|variable| {
                vec![variable.name.clone(), variable.value.clone(), text(&variable.description)]
            });
            (vec!["VARIABLE", "VALUE", "DESCRIPTION"], rows.collect())
        }
    };
    // A group may have the name of a target; it is the group that the name means.
    rows.sort_by(|one, other| one[0].cmp(&other[0]));
    rows.dedup_by(|later, earlier| later[0] == earlier[0]);
    rows.insert(0, head.into_iter().map(str::to_owned).collect());
    table(&rows)
}
