//! From the body of a request to an archive that is kept.

use axum::{body::Body, http::StatusCode};
use bytes::Bytes;
use futures::StreamExt as _;
use polyarch_actors::Digest;
use sha2::{Digest as _, Sha256};
use tokio::{io::AsyncWriteExt as _, task::spawn_blocking};

use super::{
    check::{CheckError, check},
    shelf::{Arriving, Kept, failed},
};
use crate::service::{
    extract::pieces, limits::ServiceLimits, problem::Problem, state::Service, streams::Place,
    tenants::TenantName,
};

/// What came.
pub(super) struct Received {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) kept: Kept,
}

/// Takes an archive. It keeps its place until nothing happens with it any more, whether or not anybody waits for that.
pub(super) async fn receive(
    service: &Service,
    tenant: &TenantName,
    place: Place,
    body: Body,
) -> Result<Received, Problem> {
    let limits = service.limits();
    let arriving = service.shelf().begin(tenant).map_err(|error| failed(&error))?;
    let writing = tokio::time::timeout(limits.upload, write(service, arriving, body));
    let (arriving, digest, size) = writing
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the archive took too long to come"))??;
    let turn = service.turns().take(tenant).await.map_err(|_| Problem::internal())?;
    let (archive, most) = (limits.archive, limits.check);
    let keeping = spawn_blocking(move || {
        let _until_the_end = (place, turn);
        check(arriving.path(), archive, most).map_err(refusal)?;
        let kept = arriving.keep(&digest).map_err(|error| failed(&error))?;
        Ok(Received { digest, size, kept })
    });
    keeping.await.map_err(|_| Problem::internal())?
}

/// Writes what comes to a file, and hashes it on the way.
async fn write(
    service: &Service,
    mut arriving: Arriving,
    body: Body,
) -> Result<(Arriving, Digest, u64), Problem> {
    let limits = service.limits();
    let disk = |error: std::io::Error| failed(&error);
    let mut file = tokio::fs::File::from_std(arriving.file().map_err(disk)?);
    let mut pieces = std::pin::pin!(pieces(body, limits.pause));
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece: Bytes = piece?;
        size += piece.len() as u64;
        service.metrics().uploaded.inc_by(piece.len() as u64);
        check_size(size, limits)?;
        if !arriving.reserve(piece.len() as u64, limits.contexts) {
            let most = limits.contexts;
            let detail = format!("the contexts of the tenant would take more than {most} bytes");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(60));
        }
        hash.update(&piece);
        file.write_all(&piece).await.map_err(disk)?;
    }
    if size == 0 {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the archive is empty"));
    }
    file.flush().await.map_err(disk)?;
    Ok((arriving, Digest::from_sha256(&hash.finalize().into()), size))
}

/// Refuses what is too large.
pub(super) fn check_size(size: u64, limits: &ServiceLimits) -> Result<(), Problem> {
    if size <= limits.context {
        return Ok(());
    }
    let detail = format!("the largest archive of a context has {} bytes", limits.context);
    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
}

fn refusal(error: CheckError) -> Problem {
    match error {
        CheckError::Io(error) => failed(&error),
        error => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("the archive is no context: {error}"))
        }
    }
}
