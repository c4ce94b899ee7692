//! Serves HTTP: an accept loop with a limit on connections, on the time a request's head may take, and on
//! the time connections get to end at a stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::ListenAddr;

/// What the server allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at one time; further ones wait to be accepted.
    pub(crate) connections: usize,
    /// How long a client may take to send a request's head.
    pub(crate) head: Duration,
    /// How long connections get to end at a stop.
    pub(crate) drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { connections: 512, head: Duration::from_secs(10), drain: Duration::from_secs(5) }
    }
}

/// Binds the address.
pub(crate) async fn bind(addr: &ListenAddr) -> io::Result<TcpListener> {
    TcpListener::bind(addr.socket()).await
}

/// Serves until `stop` fires, then accepts nothing more and lets requests under way end.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&room).acquire_owned() => permit.expect("the semaphore is never closed"),
            () = stop.cancelled() => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {
                continue;
            }
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let watched = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%peer, "connection: {error}");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("cut connections that did not end in time: {}", connections.len());
    }
    connections.shutdown().await;
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
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    async fn start(
        router: Router,
        limits: Limits,
    ) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router, limits, stop.clone()));
        (addr, stop, server)
    }

    async fn ask(addr: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        stream
    }

    async fn answer(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_at_a_stop() {
        let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let handler = {
            let (arrived, go) = (Arc::clone(&arrived), Arc::clone(&go));
            move || async move {
                arrived.notify_one();
                go.notified().await;
                "done"
            }
        };
        let (addr, stop, server) = start(Router::new().route("/", get(handler)), Limits::default()).await;
        let stream = ask(addr).await;
        arrived.notified().await;
        stop.cancel();
        go.notify_one();
        assert!(answer(stream).await.ends_with("done"));
        server.await.unwrap();
        assert!(TcpStream::connect(addr).await.is_err(), "nothing listens any more");
    }

    #[tokio::test]
    async fn a_request_that_never_ends_is_cut_at_the_deadline() {
        let arrived = Arc::new(Notify::new());
        let handler = {
            let arrived = Arc::clone(&arrived);
            move || async move {
                arrived.notify_one();
                std::future::pending::<&'static str>().await
            }
        };
        let limits = Limits { drain: Duration::from_millis(50), ..Limits::default() };
        let (addr, stop, server) = start(Router::new().route("/", get(handler)), limits).await;
        let stream = ask(addr).await;
        arrived.notified().await;
        stop.cancel();
        server.await.unwrap();
        assert_eq!(answer(stream).await, "");
    }

    #[tokio::test]
    async fn a_head_that_never_comes_is_given_up() {
        let limits = Limits { head: Duration::from_millis(50), ..Limits::default() };
        let (addr, stop, server) = start(Router::new(), limits).await;
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        stop.cancel();
        server.await.unwrap();
    }

    #[tokio::test]
    async fn connections_past_the_limit_wait_their_turn() {
        let limits = Limits { connections: 1, ..Limits::default() };
        let (addr, stop, server) = start(Router::new().route("/", get(|| async { "hi" })), limits).await;
        let idle = TcpStream::connect(addr).await.unwrap();
        let second = ask(addr).await;
        drop(idle);
        assert!(answer(second).await.ends_with("hi"));
        stop.cancel();
        server.await.unwrap();
    }
}
