//! `polyarch build`.

use std::{
    env, fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    time::Duration,
};

use polyarch_actors::{CachePolicy, Digest, Emulation, FailurePolicy, PullPolicy};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{
    args::{BuildArgs, EmulationArg, Progress, RegistryArgs},
    check, for_platforms,
    further::further_command,
    options, output_option,
    progress::{self, Screen, Style},
    report::Failure,
    run::print,
    signals::Interrupts,
    text, timings,
};
use crate::{BuildSpec, ContextInput, Error, Orchestrator, OrchestratorBuilder, Receipt, spec::EPOCH};

/// How long the orchestrator may take to end after its only build has ended.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// How long whoever reads the progress may take for the rest of it once a cancelled build has ended.
const LAST_LINES: Duration = Duration::from_secs(2);

pub(super) async fn run(store: Option<PathBuf>, args: BuildArgs) -> Result<(), Failure> {
    let spec = spec(&args)?;
    if let Some(options) = args.call.check(args.check) {
        return check::run(store, &spec, options).await;
    }
    let files = [&args.iidfile, &args.metadata_file, &args.receipt, &args.timings];
    check_files(files.into_iter().flatten())?;
    let mut builder = Orchestrator::builder();
    if let Some(store) = &store {
        builder = builder.store(store);
    }
    // Who asks why wants to hear of the others too.
    if !args.explain {
        let backends = spec.backends().map_err(Error::from)?;
        builder = backends.into_iter().flatten().fold(builder, OrchestratorBuilder::only);
    }
    let orchestrator = builder.start().await?;
    let result = if args.explain {
        explain(&orchestrator, spec).await
    } else {
        build(&orchestrator, spec, &args, store.as_deref()).await
    };
    orchestrator.shutdown(GRACE).await;
    result
}

async fn build(
    orchestrator: &Orchestrator,
    spec: BuildSpec,
    args: &BuildArgs,
    store: Option<&Path>,
) -> Result<(), Failure> {
    let handle = orchestrator.build(spec);
    let interrupts = Interrupts::cancel(handle.cancel_token());
    let timings = args.timings.as_ref().map(|path| {
        let name = timings::name_of(&args.tags, handle.id());
        (path, timings::watch(&handle, name))
    });
    let (events, style) = (handle.events(), style(args.progress, args.quiet));
    // Whoever reads may stop to, and then this waits for them in a thread that nothing else needs.
    let shown = tokio::task::spawn_blocking(move || {
        Handle::current().block_on(progress::show(events, Screen::new(style), None));
    });
    let result = handle.await;
    let is_given_up = async {
        let code = interrupts.first().await;
        tokio::time::sleep(LAST_LINES).await;
        code
    };
    // Whoever shows progress ends with the last event; the result is said after it.
    tokio::select! {
        _ = shown => {}
        code = is_given_up => {
            orchestrator.shutdown(GRACE).await;
            // Nobody reads any more, so there is nobody to tell, and the thread that waits for them cannot be stopped.
            std::process::exit(code.into());
        }
    }
    let told = match timings {
        Some((path, watched)) => timings::write(path, vec![watched]).await,
        None => Ok(()),
    };
    let result = result.map_err(|error| {
        let further = further_command(&error, args, store);
        let mut failure = Failure::from(error);
        if let Some(code) = interrupts.code() {
            failure.code = code;
        }
        match further {
            Some(command) => failure.hint(command),
            None => failure,
        }
    });
    let receipt = match (result, told) {
        (Err(failure), Err(unwritten)) => return Err(unwritten.beside(failure)),
        (result, told) => {
            let receipt = result?;
            write_files(&receipt, args)?;
            told?;
            receipt
        }
    };
    if args.quiet { print(&format!("{}\n", receipt.index.digest)) } else { Ok(()) }
}

async fn explain(orchestrator: &Orchestrator, spec: BuildSpec) -> Result<(), Failure> {
    let mut lines = Vec::new();
    let mut failure = None;
    for (platform, route) in orchestrator.explain(spec).await? {
        match route {
            Ok(route) => {
                let how = if route.emulated { "emulated" } else { "native" };
                lines.push(format!("{platform}: {} ({how}): {}\n", route.backend, route.reason));
                let others = route.ruled_out.iter();
                lines.extend(others.map(|out| format!("    not {}: {}\n", out.backend, out.reason)));
            }
            Err(error) => {
                lines.push(format!("{platform}: nowhere: {error}\n"));
                failure.get_or_insert(error);
            }
        }
    }
    print(&text::lines(&lines.concat()))?;
    failure.map_or(Ok(()), |error| Err(Failure::of_build(&error.to_string(), error.clone())))
}

/// The arguments as a spec.
fn spec(args: &BuildArgs) -> Result<BuildSpec, Failure> {
    let context = ContextInput::read(&args.context).map_err(|error| Failure::usage(error.to_string()))?;
    if context == ContextInput::Stdin && for_platforms::is_streamed(&args.files) {
        return Err(Failure::usage("the context and the Dockerfile cannot both come on standard input")
            .hint("name a file for one of them"));
    }
    let mut spec = BuildSpec::of(context);
    for_platforms::fill(&mut spec, args)?;
    spec.platforms.clone_from(&args.platforms);
    spec.tags.clone_from(&args.tags);
    spec.labels = options::pairs("label", &args.labels).map_err(Failure::usage)?;
    spec.annotations.clone_from(&args.annotations);
    spec.cache = if args.no_cache { CachePolicy::Ignore } else { CachePolicy::Use };
    let stages = args.no_cache_filter.iter().filter(|name| !name.is_empty());
    spec.no_cache_stages = stages.cloned().collect();
    spec.cache_from = args.cache_from.iter().flat_map(|option| option.0.clone()).collect();
    spec.cache_to = args.cache_to.iter().flat_map(|option| option.0.clone()).collect();
    spec.pull = if args.pull { PullPolicy::Always } else { PullPolicy::Missing };
    spec.secrets = args.secrets.iter().map(|secret| secret.0.clone()).collect();
    spec.ssh = args.ssh.iter().map(|ssh| ssh.0.clone()).collect();
    spec.registry = args.registry.access();
    spec.emulation = args.emulation.into();
    spec.policy = if args.keep_going { FailurePolicy::KeepGoing } else { FailurePolicy::FailFast };
    spec.optional.clone_from(&args.optional);
    spec.steps = args.steps.options();
    spec.attestations = args.attestations.attestations().map_err(Failure::usage)?;
    spec.outputs = args.outputs.iter().filter_map(|option| option.0.clone()).collect();
    if spec.outputs.is_empty() && !args.outputs.is_empty() {
        // Nothing is to be kept but what later builds use.
        spec.tags.clear();
    }
    if args.push {
        output_option::push(&mut spec.outputs);
    }
    if args.load {
        output_option::load(&mut spec.outputs);
    }
    if let Some(date) = env::var(EPOCH).ok().filter(|date| !date.is_empty()) {
        spec.build_args.entry(EPOCH.into()).or_insert(date);
    }
    output_option::check_streams(&spec.outputs)?;
    Ok(spec)
}

/// Where files are written after the build is looked at before it.
pub(super) fn check_files<'p>(files: impl IntoIterator<Item = &'p PathBuf>) -> Result<(), Failure> {
    for path in files {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(Failure::input(format!("the folder {} does not exist", folder.display())));
        }
        if path.is_dir() {
            return Err(Failure::input(format!("cannot write {}: it is a directory", path.display())));
        }
    }
    Ok(())
}

pub(super) fn style(progress: Progress, quiet: bool) -> Style {
    match progress {
        _ if quiet => Style::Quiet,
        Progress::Quiet => Style::Quiet,
        Progress::Rawjson => Style::RawJson,
        Progress::Tty => Style::Live,
        Progress::Auto if io::stderr().is_terminal() => Style::Live,
        Progress::Auto | Progress::Plain => Style::Plain,
    }
}

/// Writes the files that name what was built.
fn write_files(receipt: &Receipt, args: &BuildArgs) -> Result<(), Failure> {
    let write = |path: &Path, text: String| {
        fs::write(path, text)
            .map_err(|error| Failure::host(format!("cannot write {}: {error}", path.display())))
    };
    if let Some(path) = &args.iidfile {
        write(path, image_id(receipt).to_string())?;
    }
    if let Some(path) = &args.metadata_file {
        write(path, format!("{:#}\n", metadata(receipt)))?;
    }
    if let Some(path) = &args.receipt {
        receipt
            .write(path)
            .map_err(|error| Failure::host(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(())
}

/// What identifies the image: its config where there is one, as for docker, else the index.
///
/// Source: buildx, `commands/build.go`, `getImageID`.
fn image_id(receipt: &Receipt) -> &Digest {
    match &receipt.images[..] {
        [image] => &image.config,
        _ => &receipt.index.digest,
    }
}

/// What was built, with buildx's keys.
pub(super) fn metadata(receipt: &Receipt) -> Value {
    let names: Vec<String> = receipt.tags.iter().map(ToString::to_string).collect();
    let mut metadata = json!({
        "buildx.build.ref": receipt.build,
        "containerimage.descriptor": receipt.index,
        "containerimage.digest": receipt.index.digest,
    });
    if let [image] = &receipt.images[..] {
        metadata["containerimage.config.digest"] = image.config.as_str().into();
    }
    if !names.is_empty() {
        metadata["image.name"] = names.join(",").into();
    }
    metadata
}

impl From<EmulationArg> for Emulation {
    fn from(argument: EmulationArg) -> Self {
        match argument {
            EmulationArg::Forbid => Self::Forbid,
            EmulationArg::Fallback => Self::Fallback,
            EmulationArg::Allow => Self::Allow,
        }
    }
}

impl RegistryArgs {
    /// The arguments as the library takes them.
    pub(super) fn access(&self) -> polyarch_actors::RegistryAccess {
        polyarch_actors::RegistryAccess {
            authfile: self.authfile.clone(),
            tls_verify: self.tls_verify,
            ..polyarch_actors::RegistryAccess::default()
        }
    }
}
