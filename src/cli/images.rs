//! `polyarch images`, `polyarch tag` and `polyarch push`.

use std::path::PathBuf;

use polyarch_actors::Fetching;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    args::{Format, FormatArgs, PushArgs, RegistryArgs, TagArgs},
    report::Failure,
    run::print,
    signals::Interrupts,
    table::{bytes, table},
};
use crate::{
    Error, config,
    images::{Images, image_platform, quick},
    oci::{NamedImage, Store, StoreError, index::Index, layout, media_type},
    registry::{ClientOptions, RetryLimits, TransferCx, TransferEvent},
};

/// The images of the store that is named or usual.
pub(super) fn open(store: Option<PathBuf>, registry: Option<&RegistryArgs>) -> Result<Images, Failure> {
    let path = store.or_else(config::default_store);
    let path =
        path.ok_or_else(|| Failure::usage("there is no folder for the store").hint("name one with --store"))?;
    let access = registry.map(RegistryArgs::access).unwrap_or_default();
    Ok(Images::new(Store::open(path)?, ClientOptions::of_process(access, Fetching::Own)))
}

pub(super) fn list(store: Option<PathBuf>, args: FormatArgs) -> Result<(), Failure> {
    let images = open(store, None)?;
    let store = images.store();
    let mut rows = vec![["NAME", "DIGEST", "SIZE", "PLATFORMS"].map(String::from).to_vec()];
    let mut documents = Vec::new();
    for named in store.names()? {
        let platforms = platforms(store, &named)?;
        let size = layout::closure(store, &named.descriptor)?
            .iter()
            .map(|digest| match store.size(digest) {
                // It stayed in its registry.
                Err(StoreError::Missing(_)) => Ok(0),
                size => size,
            })
            .sum::<Result<u64, StoreError>>()?;
        rows.push(vec![
            named.reference.familiar(),
            named.descriptor.digest.short().to_owned(),
            bytes(size),
            platforms.join(", "),
        ]);
        documents.push(json!({
            "name": named.reference, "digest": named.descriptor.digest, "mediaType": named.descriptor.media_type,
            "size": size, "platforms": platforms, "updated": named.updated,
        }));
    }
    match args.format {
        Format::Table => print(&table(&rows)),
        Format::Json => print(&format!("{:#}\n", serde_json::Value::Array(documents))),
    }
}

pub(super) fn tag(store: Option<PathBuf>, args: &TagArgs) -> Result<(), Failure> {
    Ok(open(store, None)?.tag(&args.image, &args.names)?)
}

pub(super) async fn push(store: Option<PathBuf>, args: PushArgs) -> Result<(), Failure> {
    let images = open(store, Some(&args.registry))?;
    let destinations =
        if args.destinations.is_empty() { vec![args.image.clone()] } else { args.destinations };
    let transfer = Transfer::begin();
    let pushed = async {
        images.store().named(&args.image)?;
        images.check_registries(&destinations, &transfer.cx(quick())).await?;
        images.push(&args.image, &destinations, &transfer.cx(RetryLimits::default())).await
    };
    let report = pushed.await.map_err(|error: Error| transfer.interrupted(error.into()))?;
    let lines = report.targets.iter().map(|target| format!("{}@{}\n", target.reference, report.digest));
    print(&lines.collect::<String>())
}

/// A transfer that Ctrl-C ends and whose retries are said.
pub(super) struct Transfer {
    cancel: CancellationToken,
    interrupts: Interrupts,
}

impl Transfer {
    /// Listens for Ctrl-C from now on.
    pub(super) fn begin() -> Self {
        let cancel = CancellationToken::new();
        Self { interrupts: Interrupts::cancel(cancel.clone()), cancel }
    }

    /// For one part of the transfer.
    pub(super) fn cx(&self, limits: RetryLimits) -> TransferCx {
        TransferCx::new(self.cancel.clone(), limits, |event| {
            if let TransferEvent::Retried { registry, reason, wait, .. } = event {
                use std::io::Write;
                // Standard error may be closed; the transfer goes on.
                let _ = writeln!(
                    std::io::stderr(),
                    "{registry} failed and is asked again in {:.1} s: {reason}",
                    wait.as_secs_f64()
                );
            }
        })
    }

    /// A failure with the exit code of the signal that caused it.
    pub(super) fn interrupted(&self, mut failure: Failure) -> Failure {
        if let Some(code) = self.interrupts.code() {
            failure.code = code;
        }
        failure
    }
}

fn platforms(store: &Store, named: &NamedImage) -> Result<Vec<String>, StoreError> {
    let descriptor = &named.descriptor;
    if !media_type::is_index(&descriptor.media_type) {
        return Ok(vec![image_platform(store, &descriptor.digest)?.to_string()]);
    }
    let index = Index::read(store, &descriptor.digest)?;
    let platforms = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
    Ok(platforms.map(ToString::to_string).collect())
}
