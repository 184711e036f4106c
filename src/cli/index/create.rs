//! `polyarch index create`, with the flags of `docker buildx imagetools create`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use polyarch_actors::Digest;
use serde::Deserialize;

use super::{
    super::{
        args::RegistryArgs,
        images::{Transfer, open},
        report::Failure,
        run::print,
    },
    check,
};
use crate::{
    index::{Creation, Destination, IndexAnnotations, Indexes, Location},
    registry::RetryLimits,
    spec::{Annotation, AnnotationLevel},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArgs {
    /// What the index lists, in this order: receipts of builds, names in the store or else in a registry
    /// ("docker-image://NAME" asks the registry at once, "store://NAME" the store alone), digests, and layouts
    /// ("oci-layout://DIR[:TAG][@DIGEST]")
    #[arg(value_name = "SOURCE", value_parser = Location::read)]
    sources: Vec<Location>,
    /// Where it goes: a name in a registry, "store://NAME" or "oci-layout://DIR[:TAG]"; may be given several times
    #[arg(short, long = "tag", value_name = "NAME", value_parser = Destination::read)]
    targets: Vec<Destination>,
    /// Keep what the names have already and add to it; merges that do so at the same time lose nothing
    #[arg(long)]
    append: bool,
    /// Print the index and publish nothing
    #[arg(long)]
    dry_run: bool,
    /// A further source, written in a file: a receipt, a descriptor as JSON, or what a source is called
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Add an annotation to the index ("manifest-descriptor[[platform]]:" puts it on entries)
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    annotations: Vec<String>,
    /// Make an index of a single image too; without it, the image is copied
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    prefer_index: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(super) async fn run(store: Option<PathBuf>, args: CreateArgs) -> Result<(), Failure> {
    let mut sources = args.sources;
    for file in &args.files {
        sources.push(source_in(file)?);
    }
    if sources.is_empty() {
        return Err(Failure::usage("nothing says what the index lists")
            .hint("name receipts, images or indexes; polyarch manifest create makes an empty list"));
    }
    if args.targets.is_empty() && !args.dry_run {
        return Err(Failure::usage("nothing says where the index goes")
            .hint("name it with -t REGISTRY/NAME:TAG, or print it with --dry-run"));
    }
    let creation = Creation {
        sources,
        targets: args.targets,
        append: args.append,
        keep_single: !args.prefer_index,
        annotations: annotations(&args.annotations)?,
    };
    let images = open(store, Some(&args.registry))?;
    let transfer = Transfer::begin();
    let created = async {
        let cx = transfer.cx(RetryLimits::default());
        if args.dry_run {
            let bytes = Indexes::new(images).preview(&creation, &cx).await?;
            return Ok(format!("{}\n", String::from_utf8_lossy(&bytes)));
        }
        check(&images, &creation.targets, &transfer).await?;
        let merged = Indexes::new(images).create(&creation, &cx).await?;
        let lines: Vec<String> =
            merged.iter().map(|one| format!("{}@{}\n", one.target, one.root.digest)).collect();
        Ok(lines.concat())
    };
    let text: String =
        created.await.map_err(|error: crate::index::IndexError| transfer.interrupted(error.into()))?;
    print(&text)
}

/// What a file says about a source, as buildx reads it; a receipt too.
fn source_in(file: &Path) -> Result<Location, Failure> {
    #[derive(Deserialize)]
    struct Descriptor {
        digest: Digest,
    }
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::input(format!("cannot read {}: {error}", file.display())))?;
    let text = text.trim();
    if let Ok(Descriptor { digest }) = serde_json::from_str(text) {
        return Ok(Location::Digest(digest));
    }
    if text.starts_with('{') {
        return Ok(Location::Receipt(file.to_owned()));
    }
    Location::read(text).map_err(|error| Failure::input(format!("{}: {error}", file.display())))
}

/// Annotations as buildx writes them; without a level they are about the index.
fn annotations(texts: &[String]) -> Result<IndexAnnotations, Failure> {
    let mut annotations = IndexAnnotations::default();
    for text in texts {
        let has_level = text.split('=').next().is_some_and(|key| key.contains(':'));
        let with_level = if has_level { text.clone() } else { format!("index:{text}") };
        let read = with_level.parse::<Annotation>();
        let Annotation { level, platform, key, value } =
            read.map_err(|error| Failure::usage(error.to_string()))?;
        match level {
            AnnotationLevel::Index => _ = annotations.index.insert(key, value),
            AnnotationLevel::ManifestDescriptor => annotations.entries.push((platform, key, value)),
            AnnotationLevel::Manifest => {
                return Err(Failure::usage(format!(
                    "{text}: an annotation of a manifest would make another image of it"
                ))
                .hint("annotate the build, or the entry with manifest-descriptor:KEY=VALUE"));
            }
        }
    }
    Ok(annotations)
}
