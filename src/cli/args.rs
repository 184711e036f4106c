//! The arguments, named as `docker buildx build` and `buildah manifest` name theirs.

use std::path::PathBuf;

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser as _},
};
use polyarch_actors::{Digest, Platform};

use super::prune::{DuArgs, PruneArgs};
use super::{
    attestations::AttestationArgs,
    bake::BakeArgs,
    cache_options::{CacheFromOption, CacheToOption},
    check::Call,
    for_platforms::{self, ForPlatforms},
    index::IndexCommand,
    options::{SecretOption, SshOption},
    output_option::OutputOption,
    serve::ServeArgs,
    steps::StepArgs,
};
use crate::{config, images::EntryName, oci::Reference, pattern::PlatformPattern, spec::Annotation};

const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  something on this machine failed, build --check found warnings, or index lint errors
    2  the command line is wrong
    3  the Dockerfile, the context or another input is missing or wrong
    4  a step of the Dockerfile failed
    5  no backend here can build a platform
    6  a base image is not to be had
    7  a registry or another server could not be reached, or failed
    8  a registry or another server refused the credentials, or wants some
    9  the disk is full
   10  the store cannot be used
  130  cancelled by Ctrl-C (143 by SIGTERM)";

/// Builds one container image for many platforms at once and publishes it as one OCI image index.
#[derive(Debug, Parser)]
#[command(name = "polyarch", version, propagate_version = true, after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// The store for images [default: $POLYARCH_STORE, else /var/lib/polyarch for root, else polyarch in the
    /// user's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) store: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Build an image for one or more platforms
    Build(Box<BuildArgs>),
    /// Build what a file of docker buildx bake or of compose defines
    Bake(Box<BakeArgs>),
    /// Show the backends, what each can build here, and what would change that
    Backends(FormatArgs),
    /// List the images in the store
    Images(FormatArgs),
    /// Give an image in the store further names
    Tag(TagArgs),
    /// Publish an image of the store
    Push(PushArgs),
    /// Show what is in the store and how much of it could go
    Du(DuArgs),
    /// Remove what builds have left in the store; images with names stay
    Prune(PruneArgs),
    /// Make and change manifest lists (image indexes) in the store
    #[command(subcommand)]
    Manifest(ManifestCommand),
    /// Make, show, judge and copy image indexes in registries, layouts and the store
    #[command(subcommand)]
    Index(IndexCommand),
    /// Take builds of several tenants over HTTP, and show them live on a page
    Serve(Box<ServeArgs>),
    /// Write a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line are booleans")]
pub(super) struct BuildArgs {
    /// The build context: a directory, the address of a git repository ("https://….git#REF:DIR", "git@HOST:PATH"), of a
    /// tar archive or of a Dockerfile, or "-" for an archive or a Dockerfile on standard input
    #[arg(value_name = "CONTEXT")]
    pub(super) context: String,
    /// Name the image ("name:tag"); may be given several times
    #[arg(short, long = "tag", value_name = "NAME")]
    pub(super) tags: Vec<Reference>,
    /// The Dockerfile: a file here, or in the context if that is none of this machine's directories; an address; "-"
    /// for standard input [default: Dockerfile in the context]. "windows/*=FILE" is for those platforms; a file here
    /// that is called so counts first
    #[arg(short, long = "file", value_name = "[PATTERN=]FILE", value_parser = OsStringValueParser::new().try_map(for_platforms::file))]
    pub(super) files: Vec<ForPlatforms<PathBuf>>,
    /// The platforms to build for, in the order of the index [default: this machine's]
    #[arg(long = "platform", value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    pub(super) platforms: Vec<Platform>,
    /// Set a build argument, for all platforms or for some; without a value it is taken from the environment
    #[arg(long = "build-arg", value_name = "[PATTERN=]KEY[=VALUE]", value_parser = for_platforms::word)]
    pub(super) build_args: Vec<ForPlatforms<String>>,
    /// Set a label of the image
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(super) labels: Vec<String>,
    /// Add an annotation ("[manifest|manifest-descriptor|index][[platform]]:" chooses what it is put on)
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    pub(super) annotations: Vec<Annotation>,
    /// The stage to build, of all platforms or of some ("linux/arm*=STAGE")
    #[arg(long = "target", value_name = "[PATTERN=]STAGE", value_parser = for_platforms::word)]
    pub(super) targets: Vec<ForPlatforms<String>>,
    /// Run every step, whatever earlier builds left
    #[arg(long)]
    pub(super) no_cache: bool,
    /// Run the steps of these stages (by name or number), whatever earlier builds left
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(super) no_cache_filter: Vec<String>,
    /// Use steps that were done elsewhere ("NAME" in a registry, "type=registry,ref=NAME", "type=local,src=DIR"); a cache
    /// that is not there is no error
    #[arg(long, value_name = "CACHE")]
    pub(super) cache_from: Vec<CacheFromOption>,
    /// Write the steps of this build for builds elsewhere ("type=registry,ref=NAME[,mode=max][,ignore-error=true]",
    /// "type=local,dest=DIR[,mode=max]", "type=inline")
    #[arg(long, value_name = "CACHE")]
    pub(super) cache_to: Vec<CacheToOption>,
    /// Always ask registries for newer base images
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", value_name = "BOOL")]
    pub(super) pull: bool,
    /// Publish under the given names; short for --output=type=registry, or push=true of each type=image
    #[arg(long)]
    pub(super) push: bool,
    /// Load the image into docker, podman or buildah, whichever works here first; short for --output=type=docker
    #[arg(long)]
    pub(super) load: bool,
    /// Where the result goes: "FOLDER" or "type=local,dest=FOLDER" for files, "type=tar,dest=FILE", "type=oci,dest=FILE", "type=docker[,dest=FILE]",
    /// "type=image,push=true" and "type=registry"; "-" is standard output
    #[arg(short, long = "output", value_name = "OUTPUT")]
    pub(super) outputs: Vec<OutputOption>,
    /// A secret for RUN --mount=type=secret ("id=ID[,src=FILE]" or "id=ID,env=VARIABLE")
    #[arg(long = "secret", value_name = "SECRET")]
    pub(super) secrets: Vec<SecretOption>,
    /// An SSH agent or keys for RUN --mount=type=ssh ("default" or "ID=SOCKET|KEY[,KEY]")
    #[arg(long = "ssh", value_name = "SSH")]
    pub(super) ssh: Vec<SshOption>,
    /// A further context, which replaces a stage or image of that name: "NAME=" and a directory,
    /// "docker-image://IMAGE", "oci-layout://DIR[:TAG][@DIGEST]", or the address of a git repository or a file
    #[arg(long = "build-context", value_name = "[PATTERN=]NAME=SOURCE", value_parser = for_platforms::context)]
    pub(super) build_contexts: Vec<ForPlatforms<String>>,
    #[command(flatten)]
    pub(super) steps: StepArgs,
    #[command(flatten)]
    pub(super) attestations: AttestationArgs,
    /// How progress is shown
    #[arg(long, env = config::PROGRESS_VARIABLE, value_name = "HOW", default_value = "auto")]
    pub(super) progress: Progress,
    /// Print nothing but the digest of the index
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// Write what identifies the image to a file: the digest of its config where one platform is built, else of the index
    #[arg(long, value_name = "FILE")]
    pub(super) iidfile: Option<PathBuf>,
    /// Write what was built to a file, as JSON with buildx's keys
    #[arg(long, value_name = "FILE")]
    pub(super) metadata_file: Option<PathBuf>,
    /// Write the receipt of the build to a file, as JSON, for polyarch index create
    #[arg(long, value_name = "FILE")]
    pub(super) receipt: Option<PathBuf>,
    /// Write a page (HTML) that shows where the time went: steps, waits, the critical path, what emulation cost
    #[arg(long, value_name = "FILE")]
    pub(super) timings: Option<PathBuf>,
    /// The only backend that may build all platforms, or some (polyarch backends lists them)
    #[arg(long = "backend", alias = "builder", env = config::BACKEND_VARIABLE, value_name = "[PATTERN=]BACKEND", value_parser = for_platforms::word)]
    pub(super) backends: Vec<ForPlatforms<String>>,
    /// When RUN steps for another CPU may be emulated
    #[arg(long, value_name = "WHEN", default_value = "fallback")]
    pub(super) emulation: EmulationArg,
    /// Build the other platforms to their end when one fails [default: stop them]
    #[arg(long, overrides_with = "fail_fast")]
    pub(super) keep_going: bool,
    /// Stop the other platforms when one fails; the default
    #[arg(long, overrides_with = "keep_going")]
    pub(super) fail_fast: bool,
    /// Platforms that may fail: the index is published without them ("linux/riscv64", "windows/*")
    #[arg(long, value_name = "PLATFORM|PATTERN", value_delimiter = ',')]
    pub(super) optional: Vec<PlatformPattern>,
    /// Show what the build checks find in the Dockerfile, and build nothing; short for --call=check
    #[arg(long)]
    pub(super) check: bool,
    /// What to do: "build", or "check[,format=json][,ignorestatus=true]"
    #[arg(long, value_name = "METHOD", default_value = "build", conflicts_with = "check")]
    pub(super) call: Call,
    /// Show where each platform would be built, and why, and build nothing
    #[arg(long)]
    pub(super) explain: bool,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Progress {
    /// Live lines on a terminal, plain text elsewhere
    // An empty variable is as good as none.
    #[value(alias = "")]
    Auto,
    /// Live lines
    Tty,
    /// One line a fact
    Plain,
    /// One JSON event a line
    Rawjson,
    /// Nothing
    #[value(alias = "none")]
    Quiet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum EmulationArg {
    /// Never
    Forbid,
    /// Where no backend runs them natively
    Fallback,
    /// Whenever the first choice of backend can
    Allow,
}

/// How registries are reached.
#[derive(Clone, Debug, Args)]
pub(super) struct RegistryArgs {
    /// A file of registry credentials, instead of the usual places
    #[arg(long, value_name = "FILE")]
    pub(super) authfile: Option<PathBuf>,
    /// Check the certificates of registries and refuse plain HTTP (loopback registries may always use it)
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub(super) tls_verify: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct FormatArgs {
    /// The form of the list
    #[arg(long, value_name = "FORM", default_value = "table")]
    pub(super) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub(super) struct TagArgs {
    /// The name the image has
    pub(super) image: Reference,
    /// The names it gets
    #[arg(required = true, value_parser = new_name)]
    pub(super) names: Vec<Reference>,
}

#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// The name the image has in the store
    pub(super) image: Reference,
    /// The names it gets in registries [default: the same]
    #[arg(value_name = "DESTINATION")]
    pub(super) destinations: Vec<Reference>,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum ManifestCommand {
    /// Make a manifest list, with images if some are given
    Create {
        /// The name of the list
        #[arg(value_parser = new_name)]
        list: Reference,
        /// Images of the store or of a registry ("docker://" asks the registry at once)
        #[arg(value_name = "IMAGE")]
        images: Vec<String>,
        #[command(flatten)]
        registry: RegistryArgs,
    },
    /// Add an image, or all images of another list
    Add {
        /// The name of the list
        list: Reference,
        /// An image of the store or of a registry ("docker://" asks the registry at once)
        image: String,
        #[command(flatten)]
        changes: EntryArgs,
        #[command(flatten)]
        registry: RegistryArgs,
    },
    /// Change what a list says about one of its images
    Annotate {
        /// The name of the list
        list: Reference,
        /// The image, by digest or by platform
        #[arg(value_parser = entry_name)]
        image: EntryName,
        #[command(flatten)]
        changes: EntryArgs,
    },
    /// Show a list
    Inspect {
        /// The name of the list
        list: Reference,
    },
    /// Publish a list and all its images
    Push(PushArgs),
    /// Remove lists
    Rm {
        /// Their names
        #[arg(required = true)]
        lists: Vec<Reference>,
    },
}

/// What a list says about one of its images.
#[derive(Clone, Debug, Args)]
pub(super) struct EntryArgs {
    /// The CPU
    #[arg(long)]
    pub(super) arch: Option<String>,
    /// The operating system
    #[arg(long)]
    pub(super) os: Option<String>,
    /// The variant of the CPU
    #[arg(long)]
    pub(super) variant: Option<String>,
    /// The build of the operating system
    #[arg(long)]
    pub(super) os_version: Option<String>,
    /// An annotation of the entry
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    pub(super) annotations: Vec<String>,
}

/// A name that something is to get, which can have no digest.
fn new_name(text: &str) -> Result<Reference, String> {
    let name: Reference = text.parse().map_err(|error: crate::oci::ReferenceError| error.to_string())?;
    if name.digest().is_some() { Err("a name with a digest cannot be given".into()) } else { Ok(name) }
}

fn entry_name(text: &str) -> Result<EntryName, String> {
    if text.starts_with("sha256:") {
        let digest: Result<Digest, _> = text.parse();
        return digest.map(EntryName::Digest).map_err(|error| error.to_string());
    }
    let platform: Result<Platform, _> = text.parse();
    platform.map(EntryName::Platform).map_err(|error| format!("{error}, or a digest"))
}
