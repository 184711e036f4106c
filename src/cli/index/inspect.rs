//! `polyarch index inspect`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;
use serde_json::{Value, json};

use super::super::{
    args::{Format, FormatArgs, RegistryArgs},
    images::{Transfer, open},
    report::Failure,
    run::print,
    table::{bytes, table},
    text,
};
use crate::{
    index::{Content, Indexes, Location, Node},
    registry::RetryLimits,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct InspectArgs {
    /// The index or image: a name in the store or else in a registry ("docker-image://NAME" asks the registry at once),
    /// a digest of the store, a layout ("oci-layout://DIR[:TAG][@DIGEST]"), or a receipt
    #[arg(value_name = "SOURCE", value_parser = Location::read)]
    source: Location,
    /// Print its bytes as they are
    #[arg(long, conflicts_with = "format")]
    raw: bool,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(super) async fn run(store: Option<PathBuf>, args: InspectArgs) -> Result<(), Failure> {
    let images = open(store, Some(&args.registry))?;
    let transfer = Transfer::begin();
    let looked = Indexes::new(images).look(&args.source, &transfer.cx(RetryLimits::default())).await;
    let tree = looked.map_err(|error| transfer.interrupted(error.into()))?;
    if args.raw {
        let mut out = io::stdout().lock();
        return match out.write_all(&tree.bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::host(format!("cannot write to standard output: {error}")))
            }
            _ => Ok(()),
        };
    }
    let root = &tree.root;
    let mut nodes = Vec::new();
    flatten(root, &mut nodes);
    match args.format.format {
        Format::Json => print(&format!("{:#}\n", document(root))),
        Format::Table => {
            let head = format!(
                "Name:      {}\nMediaType: {}\nDigest:    {}\n\n",
                args.source, root.entry.descriptor.media_type, root.entry.descriptor.digest
            );
            let mut rows =
                vec![["DIGEST", "PLATFORM", "SIZE", "MEDIA TYPE", "WHAT"].map(String::from).to_vec()];
            rows.extend(nodes.into_iter().map(row));
            print(&text::lines(&format!("{head}{}", table(&rows))))
        }
    }
}

/// Every manifest that an index leads to; an image itself.
fn flatten<'n>(node: &'n Node, nodes: &mut Vec<&'n Node>) {
    match &node.content {
        Content::Index { entries } => entries.iter().for_each(|entry| flatten(entry, nodes)),
        _ => nodes.push(node),
    }
}

fn row(node: &Node) -> Vec<String> {
    let descriptor = &node.entry.descriptor;
    let what = match &node.content {
        Content::Attestation(Some(of)) => format!("attestation of {}", of.short()),
        Content::Attestation(None) => "attestation of nothing".to_owned(),
        Content::Missing => "missing".to_owned(),
        Content::Malformed { reason } => format!("malformed: {reason}"),
        Content::Image(image) => match image.layers.len() {
            1 => "image of 1 layer".to_owned(),
            layers => format!("image of {layers} layers"),
        },
        Content::Index { .. } => "index".to_owned(),
    };
    let platform = node.platform().map(|platform| platform.to_string()).unwrap_or_default();
    vec![descriptor.digest.to_string(), platform, bytes(node.total()), descriptor.media_type.clone(), what]
}

fn document(node: &Node) -> Value {
    let descriptor = &node.entry.descriptor;
    let mut document = json!({
        "digest": descriptor.digest, "mediaType": descriptor.media_type, "size": descriptor.size,
        "totalSize": node.total(),
    });
    if let Some(platform) = node.platform() {
        document["platform"] = json!(platform);
    }
    if !descriptor.annotations.is_empty() {
        document["annotations"] = json!(descriptor.annotations);
    }
    match &node.content {
        Content::Index { entries } => {
            document["manifests"] = entries.iter().map(self::document).collect();
        }
        Content::Attestation(of) => document["attestationOf"] = json!(of),
        Content::Image(image) => document["layers"] = image.layers.len().into(),
        Content::Missing => document["missing"] = true.into(),
        Content::Malformed { reason } => document["malformed"] = reason.as_str().into(),
    }
    document
}
