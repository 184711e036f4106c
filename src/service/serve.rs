//! A server for the router, for whoever has none: it expects the worst of whoever connects.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    idle::Requests, limits::ServiceLimits, patience::Patient, peers::Peers, router::router, state::Service,
    tls::Tls,
};
use crate::room::Seat;

/// The largest head of a request, in bytes.
const LARGEST_HEAD: usize = 64 << 10;
/// How many requests of one connection are served at once.
const MOST_AT_ONCE: u32 = 100;
/// How often it is seen to that contexts go which nobody uses.
const SWEEP: Duration = Duration::from_mins(5);
/// How long to wait before connections are taken again, when the system gives none.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves until `stop` is cancelled; then takes no more connections, gives the requests that are under way `grace`, and
/// ends. Nothing goes on when it is dropped before.
pub async fn serve(
    service: Service,
    listener: TcpListener,
    tls: Option<Tls>,
    stop: CancellationToken,
    grace: Duration,
) {
    let limits = *service.limits();
    let router = router(service.clone());
    let places = Arc::new(Semaphore::new(limits.connections));
    let peers = Peers::new(limits.connections);
    // Whatever is in a set ends with it.
    let (mut connections, mut sweeping) = (JoinSet::new(), JoinSet::new());
    sweeping.spawn(sweep(service.clone()));
    // A place first: whoever finds none waits in the queue of the system.
    while let Some(place) = stop.run_until_cancelled(Arc::clone(&places).acquire_owned()).await {
        let Ok(place) = place else { break };
        match stop.run_until_cancelled(listener.accept()).await {
            None => break,
            Some(Ok((stream, address))) => {
                // Without TLS, they are all on this machine, or come from a proxy that has it.
                let of_peer = tls.as_ref().map(|_| peers.take(address.ip()));
                if let Some(None) = of_peer {
                    tracing::debug!(%address, "a connection was not taken: there are many from there");
                    continue;
                }
                let held = (place, of_peer.flatten());
                let connection =
                    Connection { router: router.clone(), limits, stop: stop.clone(), _held: held };
                connections.spawn(connection.serve(stream, tls.clone()));
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    service.drain();
    let ended = async { while connections.join_next().await.is_some() {} };
    // What has not ended by then is cut off when this returns.
    let _ = tokio::time::timeout(grace, ended).await;
}

async fn sweep(service: Service) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if let Err(error) = service.sweep().await {
            tracing::warn!(%error, "old contexts could not be removed");
        }
    }
}

struct Connection {
    router: Router,
    limits: ServiceLimits,
    stop: CancellationToken,
    /// Its place among all, and among those of its peer.
    _held: (OwnedSemaphorePermit, Option<Seat<IpAddr>>),
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<Tls>) {
        // Events are small, and are wanted at once.
        let _ = stream.set_nodelay(true);
        let ended = match tls {
            None => self.http1(stream).await,
            Some(tls) => match tokio::time::timeout(self.limits.head, tls.0.accept(stream)).await {
                Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                    self.http2(stream).await
                }
                Ok(Ok(stream)) => self.http1(stream).await,
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            },
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection ended early");
        }
    }

    async fn http1(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Ended {
        let stream = TokioIo::new(Patient::new(stream, self.limits.pause));
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(self.limits.head).max_buf_size(LARGEST_HEAD);
        let connection = server.serve_connection(stream, TowerToHyperService::new(self.router));
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = self.stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    }

    async fn http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Ended {
        let stream = TokioIo::new(Patient::new(stream, self.limits.pause));
        let (requests, patience) = (Requests::new(), self.limits.head);
        let mut server = http2::Builder::new(requests.clone());
        server
            .timer(TokioTimer::new())
            .max_concurrent_streams(MOST_AT_ONCE)
            .max_header_list_size(u32::try_from(LARGEST_HEAD).unwrap_or(u32::MAX))
            .keep_alive_interval(Some(self.limits.pause))
            .keep_alive_timeout(self.limits.head);
        let connection = server.serve_connection(stream, TowerToHyperService::new(self.router));
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = self.stop.cancelled() => {}
            () = requests.idle(patience) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection.as_mut() => Ok(ended?),
            // Its other end does not take leave.
            () = requests.idle(patience) => Ok(()),
        }
    }
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;
