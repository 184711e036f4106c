//! A context or a Dockerfile that comes as a stream.

use std::{
    io::{self, Read},
    path::PathBuf,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::mpsc,
    task::spawn_blocking,
};

use super::{dockerfile::text_of, error::GatherError};
use crate::{
    archive::{ARCHIVE_HEAD, Limits, Unpacked, is_archive, unpack},
    dockerfile::LARGEST_DOCKERFILE,
    registry::TransferCx,
};

/// How errors call it.
const WHAT: &str = "the context on standard input";
/// How many pieces may wait to be unpacked, and how large they are.
const WAITING_PIECES: usize = 16;
const PIECE: usize = 64 << 10;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// An archive, which has been unpacked.
    Archive(Unpacked),
    /// The text of a Dockerfile.
    Text(String),
}

/// Unpacks an archive into the directory `folder`, or reads the text of a Dockerfile: the first bytes tell.
///
/// When this returns, nothing writes to the folder any more.
pub(super) async fn receive(
    mut stream: impl AsyncRead + Unpin,
    folder: PathBuf,
    cx: &TransferCx,
) -> Result<Arrived, GatherError> {
    let read = |source| GatherError::Read { what: WHAT.into(), source };
    let cancelled = |_| GatherError::Cancelled;
    let mut start = BytesMut::with_capacity(PIECE);
    while start.len() < ARCHIVE_HEAD {
        let next = cx.until_cancelled(async { Ok(stream.read_buf(&mut start).await) }).await;
        if next.map_err(cancelled)?.map_err(read)? == 0 {
            break;
        }
    }
    if start.is_empty() {
        return Err(GatherError::Nothing);
    }
    if !is_archive(&start) {
        let limit = LARGEST_DOCKERFILE + 1 - start.len() as u64;
        let mut text = start.to_vec();
        let rest = cx.until_cancelled(async { Ok(stream.take(limit).read_to_end(&mut text).await) }).await;
        rest.map_err(cancelled)?.map_err(read)?;
        let text = text_of(text).map_err(|reason| GatherError::NeitherNor { what: WHAT.into(), reason })?;
        return Ok(Arrived::Text(text));
    }
    let (pieces, arriving) = mpsc::channel(WAITING_PIECES);
    let source = Pieces { arriving, piece: start.freeze() };
    let token = cx.cancel_token();
    let unpacking = spawn_blocking(move || unpack(source, &folder, Limits::default(), &token));
    let feeding = async {
        loop {
            let mut piece = BytesMut::with_capacity(PIECE);
            match stream.read_buf(&mut piece).await {
                Ok(0) => return Ok(Ok(())),
                // Whoever unpacks has failed, and says why.
                Ok(_) if pieces.send(piece.freeze()).await.is_err() => return Ok(Ok(())),
                Ok(_) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    };
    let fed = cx.until_cancelled(feeding).await;
    drop(pieces);
    let unpacked = unpacking.await.map_err(|error| read(io::Error::other(error)))?;
    fed.map_err(cancelled)?.map_err(read)?;
    unpacked.map(Arrived::Archive).map_err(|source| GatherError::Unpack { what: WHAT.into(), source })
}

/// What arrives piece by piece, for a thread that may wait.
struct Pieces {
    arriving: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.arriving.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(200_000);
        header.set_mode(0o644);
        builder.append_data(&mut header, "d/a", &vec![7; 200_000][..]).expect("written");
        builder.into_inner().expect("finished")
    }

    #[tokio::test]
    async fn the_first_bytes_tell_an_archive_from_a_dockerfile() {
        let folder = tempfile::tempdir().expect("a folder");
        let cx = TransferCx::unwatched();
        let archive = archive();
        for bytes in [archive.clone(), zstd::bulk::compress(&archive, 1).expect("compressed")] {
            let arrived = receive(&bytes[..], folder.path().into(), &cx).await.expect("unpacked");
            assert!(matches!(arrived, Arrived::Archive(Unpacked { members: 1, .. })));
            assert_eq!(std::fs::metadata(folder.path().join("d/a")).expect("there").len(), 200_000);
        }
        let arrived = receive(&b"FROM scratch\n"[..], folder.path().into(), &cx).await.expect("text");
        assert_eq!(arrived, Arrived::Text("FROM scratch\n".into()));
    }

    #[tokio::test]
    async fn what_is_empty_cut_off_or_no_text_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let cx = TransferCx::unwatched();
        let archive = archive();
        let long = vec![b' '; usize::try_from(LARGEST_DOCKERFILE).expect("small") + 2];
        for (bytes, word) in [
            (&b""[..], "nothing came"),
            (&archive[..9000], "cannot unpack"),
            (&b"\xff\xfe\0\0"[..], "neither a tar archive"),
            (&long[..], "more than 2097152 bytes"),
        ] {
            let error = receive(bytes, folder.path().into(), &cx).await.expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[tokio::test]
    async fn cancelling_ends_waiting_for_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut more, stream) = tokio::io::duplex(1 << 20);
        tokio::io::AsyncWriteExt::write_all(&mut more, &archive()[..100_000]).await.expect("written");
        let cancel = tokio_util::sync::CancellationToken::new();
        let cx = TransferCx::new(cancel.clone(), crate::registry::RetryLimits::default(), |_| {});
        let receiving = receive(stream, folder.path().into(), &cx);
        let cancelling = async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            cancel.cancel();
        };
        let (end, ()) = tokio::join!(receiving, cancelling);
        assert!(matches!(end, Err(GatherError::Cancelled)));
    }
}
