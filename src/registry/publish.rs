//! Publishes an image or index: everything it needs first, its tags last.
//!
//! Per repository the blobs go first, then each platform's manifest, then the index, all by digest; then the
//! index is read back and compared. Only when that is done for every repository are tags moved. So whoever
//! is killed or cancelled, and whatever fails, no tag ever points at something incomplete.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, future::join_all};
use polyarch_actors::Digest;

use super::{
    client::RegistryClient,
    context::{TransferCx, TransferEvent},
    error::RegistryError,
    host::{Host, Scopes},
    plan::{Plan, Stored},
    report::{PublishReport, Published},
    tag,
};
use crate::{
    error::with_sources,
    oci::{Reference, Store},
};

/// How many manifests are written to one registry at once.
const PARALLEL_MANIFESTS: usize = 4;

/// What to publish, and where.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The index, or the single image manifest; it is in the store with everything that it points at.
    pub root: Digest,
    /// Where it goes. A name without tag and digest means the tag `latest`; a name with a digest alone means
    /// no tag, and the digest must be that of the root.
    pub targets: Vec<Reference>,
    /// Repositories that may have some of the blobs, such as those of base images. Their registry links the
    /// blobs when it is also a target's registry.
    pub sources: Vec<Reference>,
}

/// One repository and what is to be done there.
struct Repository {
    /// The repository without tag and digest.
    name: Reference,
    /// The places of its targets in the publication.
    targets: Vec<usize>,
}

/// Publishes an image or index of the store.
///
/// # Errors
/// Only what concerns no target in particular: the store, or a target that cannot mean the root. Whatever a
/// registry does is in the report.
pub async fn publish(
    client: &RegistryClient,
    store: &Store,
    publication: &Publication,
    cx: &TransferCx,
) -> Result<PublishReport, RegistryError> {
    let targets = targets(publication)?;
    let plan = {
        let (store, root) = (store.clone(), publication.root.clone());
        tokio::task::spawn_blocking(move || Plan::read(&store, &root))
            .await
            .map_err(|error| RegistryError::Setup { reason: error.to_string() })??
    };
    let root = plan.root().ok_or(RegistryError::Cancelled)?;
    let registries = by_registry(&targets);
    let repositories = registries.iter().flatten().count() as u64;
    cx.expect_bytes(plan.blobs.iter().map(|blob| blob.size).sum::<u64>() * repositories);

    let contents = registries.iter().map(|repositories| {
        fill_registry(client, store, &plan, root, repositories, &publication.sources, cx)
    });
    let mut failures: Vec<Option<Arc<RegistryError>>> = vec![None; targets.len()];
    let mut first_failure = None;
    let ends = join_all(contents).await;
    for (repository, end) in registries.iter().flatten().zip(ends.into_iter().flatten()) {
        if let Err(error) = end {
            let error = Arc::new(error);
            first_failure.get_or_insert_with(|| error.clone());
            for place in &repository.targets {
                failures[*place] = Some(error.clone());
            }
        }
    }

    let mut report = PublishReport {
        digest: root.digest.clone(),
        media_type: root.media_type.clone(),
        targets: Vec::new(),
    };
    for (reference, failure) in targets.into_iter().zip(failures) {
        let result = match (failure, &first_failure) {
            (Some(failure), _) => Err(failure),
            (None, Some(first)) => Err(Arc::new(withheld(&reference, first))),
            (None, None) => tag::point(client, &reference, root, cx).await.map_err(Arc::new),
        };
        report.targets.push(Published { reference, result });
    }
    Ok(report)
}

/// The full names of the targets, each once.
fn targets(publication: &Publication) -> Result<Vec<Reference>, RegistryError> {
    let mut targets: Vec<Reference> = Vec::new();
    for target in &publication.targets {
        let impossible = |reason: String| RegistryError::Impossible { target: target.to_string(), reason };
        let full = match (target.tag(), target.digest()) {
            (_, Some(digest)) if *digest != publication.root => {
                return Err(impossible(format!("what is published has digest {}", publication.root)));
            }
            (None, Some(_)) => target.clone(),
            (_, _) => {
                target.with_tag(target.tag_or_latest()).map_err(|error| impossible(error.to_string()))?
            }
        };
        if !targets.contains(&full) {
            targets.push(full);
        }
    }
    Ok(targets)
}

/// The repositories of each registry, both in the order in which they are first named.
fn by_registry(targets: &[Reference]) -> Vec<Vec<Repository>> {
    let mut registries: Vec<Vec<Repository>> = Vec::new();
    for (place, target) in targets.iter().enumerate() {
        let known = registries.iter_mut().find(|known| known[0].name.registry() == target.registry());
        let repositories = match known {
            Some(known) => known,
            None => registries.push_mut(Vec::new()),
        };
        match repositories.iter_mut().find(|known| known.name.repository() == target.repository()) {
            Some(known) => known.targets.push(place),
            None => repositories.push(Repository { name: target.clone(), targets: vec![place] }),
        }
    }
    registries
}

/// Fills the repositories of one registry, one after the other, so that each can link the blobs of those before.
async fn fill_registry(
    client: &RegistryClient,
    store: &Store,
    plan: &Plan,
    root: &Stored,
    repositories: &[Repository],
    sources: &[Reference],
    cx: &TransferCx,
) -> Vec<Result<(), RegistryError>> {
    let registry = repositories.first().map(|first| first.name.registry().to_owned()).unwrap_or_default();
    cx.emit(TransferEvent::RegistryStarted { registry: registry.clone() });
    let mut filled: Vec<String> = Vec::new();
    let mut ends = Vec::new();
    for repository in repositories {
        let name = &repository.name;
        let others = sources.iter().filter(|source| source.registry() == name.registry());
        let others = others.map(|source| source.repository().to_owned());
        let from: Vec<String> =
            filled.iter().cloned().chain(others).filter(|source| source != name.repository()).collect();
        let end = fill_repository(client, store, plan, root, name, &from, cx).await;
        if end.is_ok() {
            filled.push(name.repository().to_owned());
        }
        ends.push(end);
    }
    if ends.iter().all(Result::is_ok) {
        cx.emit(TransferEvent::RegistryFilled { registry });
    }
    ends
}

/// Puts everything into one repository, by digest, and looks whether it is there.
async fn fill_repository(
    client: &RegistryClient,
    store: &Store,
    plan: &Plan,
    root: &Stored,
    name: &Reference,
    sources: &[String],
    cx: &TransferCx,
) -> Result<(), RegistryError> {
    let host = client.host(name.registry());
    // Collected first: a closure that is held across an await would keep the future from being `Send`.
    let blobs: Vec<_> = plan
        .blobs
        .iter()
        .map(|blob| async {
            let _place = cx.until_cancelled(async { Ok(host.blobs.acquire().await) }).await?;
            let outcome = client.push_blob(name, blob, store, sources, cx).await?;
            let (digest, size) = (blob.digest.clone(), blob.size);
            cx.emit(TransferEvent::BlobFinished { repository: name.name(), digest, size, outcome });
            Ok::<_, RegistryError>(())
        })
        .collect();
    let at_once = blobs.len().max(1);
    futures::stream::iter(blobs).buffer_unordered(at_once).try_collect::<()>().await?;
    let images: Vec<_> = plan.images.iter().map(|image| put(client, name, image, cx)).collect();
    futures::stream::iter(images).buffer_unordered(PARALLEL_MANIFESTS).try_collect::<()>().await?;
    for index in &plan.indexes {
        put(client, name, index, cx).await?;
    }
    read_back(client, &host, name, root, cx).await
}

async fn put(
    client: &RegistryClient,
    name: &Reference,
    document: &Stored,
    cx: &TransferCx,
) -> Result<(), RegistryError> {
    let target = name.with_digest(document.digest.clone());
    let digest = client.push_manifest(&target, &document.media_type, &document.bytes, cx).await?;
    cx.emit(TransferEvent::ManifestFinished { repository: name.name(), digest });
    Ok(())
}

/// Compares what the registry delivers with what it was sent.
async fn read_back(
    client: &RegistryClient,
    host: &Host,
    name: &Reference,
    root: &Stored,
    cx: &TransferCx,
) -> Result<(), RegistryError> {
    let reference = name.with_digest(root.digest.clone());
    let scopes = Scopes::push(name.repository());
    let reading = || async {
        match client.get(host, &reference, &scopes).await {
            // Some registries write in one place and read in another, which follows.
            Err(RegistryError::NotFound { what, .. }) => Err(RegistryError::Interrupted {
                registry: host.name.clone(),
                reason: format!("it has taken {what} and does not show it"),
            }),
            end => end,
        }
    };
    let found = cx.retrying(&host.name, reading).await?;
    if found.bytes == root.bytes {
        return Ok(());
    }
    Err(RegistryError::DigestMismatch {
        registry: host.name.clone(),
        what: format!("manifest {reference}"),
        expected: root.digest.clone(),
        found: found.descriptor.digest,
    })
}

fn withheld(reference: &Reference, first: &RegistryError) -> RegistryError {
    match first {
        RegistryError::Cancelled => RegistryError::Cancelled,
        first => RegistryError::Withheld { target: reference.to_string(), reason: with_sources(first) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::digest_of;

    fn publication(targets: &[&str]) -> Publication {
        let targets = targets.iter().map(|target| target.parse().expect("a name")).collect();
        Publication { root: digest_of(b"root"), targets, sources: Vec::new() }
    }

    #[test]
    fn targets_get_a_tag_and_are_taken_once() {
        let root = digest_of(b"root");
        let by_digest = format!("ghcr.io/a@{root}");
        let publication = publication(&["ghcr.io/a", "ghcr.io/a:latest", "ghcr.io/a:1", &by_digest]);
        let names: Vec<String> =
            targets(&publication).expect("targets").iter().map(ToString::to_string).collect();
        assert_eq!(names, ["ghcr.io/a:latest", "ghcr.io/a:1", &by_digest]);
    }

    #[test]
    fn a_target_with_another_digest_is_refused() {
        let other = format!("ghcr.io/a:1@{}", digest_of(b"other"));
        let error = targets(&publication(&[&other])).expect_err("refused").to_string();
        let root = digest_of(b"root");
        assert_eq!(error, format!("cannot publish to {other}: what is published has digest {root}"));
    }

    #[test]
    fn tags_of_one_repository_share_the_work() {
        let names = ["a.io/x:1", "b.io/x:1", "a.io/y:1", "a.io/x:2"];
        let names: Vec<Reference> = names.iter().map(|name| name.parse().expect("a name")).collect();
        let shape: Vec<Vec<Vec<usize>>> = by_registry(&names)
            .into_iter()
            .map(|registry| registry.into_iter().map(|repository| repository.targets).collect())
            .collect();
        assert_eq!(shape, [vec![vec![0, 3], vec![2]], vec![vec![1]]]);
    }
}
