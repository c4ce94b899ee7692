//! Serves HTTP: an accept loop with a limit on connections, on the time a handshake and a request's head may
//! take, and on the time connections get to end at a stop.
//!
//! Under a flood the connection that has been silent longest makes room for the next one, so whoever asks
//! something is served; see [`crowd`].

mod body;
mod crowd;
mod descriptors;
mod stall;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::config::ListenAddr;
use body::Watched;
use crowd::{Crowd, Member};
pub(crate) use descriptors::make_room;
use stall::Impatient;
pub(crate) use tls::{Tls, TlsFiles};

/// What the server allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at one time.
    pub(crate) connections: usize,
    /// How long a client may take to send a request's head, the time between two requests included; also
    /// for a TLS handshake.
    pub(crate) head: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub(crate) stall: Duration,
    /// How long connections get to end at a stop.
    pub(crate) drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 2048,
            head: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

/// The other end of the connection a request came over; an extension of every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    pub(crate) tls: bool,
}

/// Binds the address.
pub(crate) async fn bind(addr: &ListenAddr) -> io::Result<TcpListener> {
    TcpListener::bind(addr.socket()).await
}

/// Serves until `stop` fires, then accepts nothing more and lets requests under way end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    limits: Limits,
    stop: CancellationToken,
) {
    let crowd = Crowd::new(limits.connections);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let (stream, addr) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {
                continue;
            }
        };
        let member = tokio::select! {
            member = crowd.admit() => member,
            () = stop.cancelled() => break,
        };
        let (router, tls, watcher) = (router.clone(), tls.clone(), graceful.watcher());
        connections.spawn(async move {
            let left = member.left().clone();
            let served = async {
                match tls {
                    None => {
                        let peer = Peer { addr, tls: false };
                        http(stream, peer, router, member, limits, watcher).await;
                    }
                    Some(tls) => match tokio::time::timeout(limits.head, tls.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let peer = Peer { addr, tls: true };
                            http(stream, peer, router, member, limits, watcher).await;
                        }
                        Ok(Err(error)) => tracing::debug!(peer = %addr, "TLS handshake: {error}"),
                        Err(_) => tracing::debug!(peer = %addr, "the TLS handshake took too long"),
                    },
                }
            };
            tokio::select! {
                () = served => {}
                () = left.cancelled() => tracing::debug!(peer = %addr, "connection closed to make room"),
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("cut connections that did not end in time: {}", connections.len());
    }
    connections.shutdown().await;
}

/// Serves the requests of one connection.
async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    member: Member,
    limits: Limits,
    watcher: Watcher,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, turn) = (router.clone(), member.turn());
        async move {
            let (mut parts, body) = request.into_parts();
            parts.extensions.insert(peer);
            let body = axum::body::Body::new(Watched::request(body, turn.clone()));
            let response = router.oneshot(Request::from_parts(parts, body)).await?;
            Ok::<_, std::convert::Infallible>(response.map(|body| Watched::response(body, turn)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(TokioIo::new(Impatient::new(stream, limits.stall)), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(peer = %peer.addr, "connection: {error}");
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Small answers go out at once; without it the only loss is delay.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) => {
                // Out of descriptors, or a client that left: neither is the end of the server.
                tracing::warn!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
