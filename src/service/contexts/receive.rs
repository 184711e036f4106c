//! From the body of a request to an archive that is kept.

use axum::{body::Body, http::StatusCode};
use bytes::Bytes;
use futures::StreamExt as _;
use polyarch_actors::Digest;
use sha2::{Digest as _, Sha256};
use tokio::{io::AsyncWriteExt as _, runtime::Handle, task::spawn_blocking};

use super::{
    check::{CheckError, check},
    shelf::{Draft, Kept, failed},
};
use crate::{
    room::Seat,
    service::{
        extract::pieces, limits::ServiceLimits, problem::Problem, state::Service, tenants::TenantName,
    },
};

/// What came.
pub(super) struct Received {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) kept: Kept,
}

/// An archive that is arriving. Whoever hangs up drops it on a thread that serves others too, so it is removed on another.
struct Arriving(Option<Draft>);

impl Arriving {
    /// Removes it.
    async fn discard(mut self) {
        let draft = self.0.take();
        let _ = spawn_blocking(move || drop(draft)).await;
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let (Some(draft), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            drop(runtime.spawn_blocking(move || drop(draft)));
        }
    }
}

/// Takes an archive. It keeps its place until nothing happens with it any more, whether or not anybody waits for that.
pub(super) async fn receive(
    service: &Service,
    tenant: &TenantName,
    place: Seat<TenantName>,
    body: Body,
) -> Result<Received, Problem> {
    let limits = service.limits();
    let (shelf, whose) = (service.shelf().clone(), tenant.clone());
    let draft = spawn_blocking(move || shelf.begin(&whose)).await.map_err(|_| Problem::internal())?;
    let mut arriving = Arriving(Some(draft.map_err(|error| failed(&error))?));
    let writing = tokio::time::timeout(limits.upload, write(service, &mut arriving, body)).await;
    let too_long = || Problem::new(StatusCode::REQUEST_TIMEOUT, "the archive took too long to come");
    let (digest, size) = match writing.unwrap_or_else(|_| Err(too_long())) {
        Ok(written) => written,
        Err(problem) => {
            arriving.discard().await;
            return Err(problem);
        }
    };
    let turn = service.turns().take(tenant).await.map_err(|_| Problem::internal())?;
    let (archive, most) = (limits.archive, limits.check);
    let draft = arriving.0.take().ok_or_else(Problem::internal)?;
    let keeping = spawn_blocking(move || {
        let _until_the_end = (place, turn);
        let draft = draft;
        check(draft.path(), archive, most).map_err(refusal)?;
        let kept = draft.keep(&digest).map_err(|error| failed(&error))?;
        Ok(Received { digest, size, kept })
    });
    keeping.await.map_err(|_| Problem::internal())?
}

/// Writes what comes to a file, and hashes it on the way.
async fn write(service: &Service, arriving: &mut Arriving, body: Body) -> Result<(Digest, u64), Problem> {
    let limits = service.limits();
    let disk = |error: std::io::Error| failed(&error);
    let draft = arriving.0.as_mut().ok_or_else(Problem::internal)?;
    let mut file = tokio::fs::File::from_std(draft.file().map_err(disk)?);
    let mut pieces = std::pin::pin!(pieces(body, limits.pause));
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece: Bytes = piece?;
        size += piece.len() as u64;
        service.metrics().uploaded.inc_by(piece.len() as u64);
        check_size(size, limits)?;
        if !draft.reserve(piece.len() as u64, limits.contexts) {
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
    Ok((Digest::from_sha256(&hash.finalize().into()), size))
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
