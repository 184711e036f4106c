//! `polyarch index`: indexes of images that exist, whoever built them.

mod create;
mod failure;
mod inspect;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use polyarch_actors::Platform;

use self::{create::CreateArgs, inspect::InspectArgs};
use super::{
    args::RegistryArgs,
    images::{Transfer, open},
    report::{Failure, exit},
    run::print,
    text,
};
use crate::{
    images::quick,
    index::{Destination, IndexError, Indexes, Location, Severity, lint},
    registry::RetryLimits,
};

#[derive(Debug, Subcommand)]
pub(super) enum IndexCommand {
    /// Make one index of receipts, images and indexes, and publish it
    Create(Box<CreateArgs>),
    /// Show what an index lists
    Inspect(InspectArgs),
    /// Say what registries, containerd, Docker, Kubernetes or Windows will stumble over; exit code 1 where there are errors
    Lint(LintArgs),
    /// Copy an index or image between registries, layouts and the store, byte for byte
    Copy(CopyArgs),
}

#[derive(Debug, Args)]
pub(super) struct LintArgs {
    /// The index: as for inspect
    #[arg(value_name = "SOURCE", value_parser = Location::read)]
    source: Location,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Debug, Args)]
pub(super) struct CopyArgs {
    /// What is copied: as for inspect
    #[arg(value_name = "SOURCE", value_parser = Location::read)]
    source: Location,
    /// Where it goes: a name in a registry, "store://NAME" or "oci-layout://DIR[:TAG]"
    #[arg(value_name = "DESTINATION", value_parser = Destination::read)]
    target: Destination,
    /// Copy the images for these platforms and what is said about them, in a new index
    #[arg(long = "platform", value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    platforms: Vec<Platform>,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(super) async fn run(store: Option<PathBuf>, command: IndexCommand) -> Result<(), Failure> {
    match command {
        IndexCommand::Create(args) => create::run(store, *args).await,
        IndexCommand::Inspect(args) => inspect::run(store, args).await,
        IndexCommand::Lint(args) => judge(store, args).await,
        IndexCommand::Copy(args) => copy(store, args).await,
    }
}

async fn judge(store: Option<PathBuf>, args: LintArgs) -> Result<(), Failure> {
    let images = open(store, Some(&args.registry))?;
    let transfer = Transfer::begin();
    let looked = Indexes::new(images).look(&args.source, &transfer.cx(RetryLimits::default())).await;
    let tree = looked.map_err(|error| transfer.interrupted(error.into()))?;
    let findings = lint(&tree);
    let lines = findings.iter().map(|finding| format!("{}\n", text::line(&finding.to_string())));
    print(&lines.collect::<String>())?;
    let errors = findings.iter().filter(|finding| finding.rule.severity() == Severity::Error).count();
    match errors {
        0 => Ok(()),
        1 => Err(Failure::new(exit::WARNINGS, format!("{} has one error", args.source))),
        errors => Err(Failure::new(exit::WARNINGS, format!("{} has {errors} errors", args.source))),
    }
}

async fn copy(store: Option<PathBuf>, args: CopyArgs) -> Result<(), Failure> {
    let images = open(store, Some(&args.registry))?;
    let transfer = Transfer::begin();
    let copied = async {
        check(&images, std::slice::from_ref(&args.target), &transfer).await?;
        let cx = transfer.cx(RetryLimits::default());
        Indexes::new(images).copy(&args.source, &args.target, &args.platforms, &cx).await
    };
    let copied = copied.await.map_err(|error| transfer.interrupted(error.into()))?;
    if copied.root.digest != copied.source.digest {
        // Standard error may be closed; the copy is made.
        let _ =
            writeln!(io::stderr(), "{} is a new index, of a part of {}", args.target, copied.source.digest);
    }
    print(&format!("{}@{}\n", args.target, copied.root.digest))
}

/// Makes sure that the registries that something goes to can be reached, before any work.
async fn check(
    images: &crate::images::Images,
    targets: &[Destination],
    transfer: &Transfer,
) -> Result<(), IndexError> {
    let names: Vec<_> = targets
        .iter()
        .filter_map(|target| match target {
            Destination::Registry(name) => Some(name.clone()),
            Destination::Stored(_) | Destination::Layout { .. } => None,
        })
        .collect();
    Ok(images.check_registries(&names, &transfer.cx(quick())).await?)
}
