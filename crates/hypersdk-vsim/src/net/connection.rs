//! The accept loop, and connections that can be reset from within.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Body;
use crate::model::World;

/// The connection a request came over.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    kill: CancellationToken,
    reset: Arc<AtomicBool>,
    flushed: watch::Receiver<()>,
}

impl Peer {
    /// Waits until all that the connection was given to send so far is with the operating system.
    pub(crate) async fn flushed(&self) {
        let mut flushed = self.flushed.clone();
        flushed.mark_unchanged();
        // A connection that is gone flushes no more; nothing is left of whoever waits then.
        _ = flushed.changed().await;
    }

    /// Closes the connection at once: the client gets what was sent so far and then an end, no TLS close.
    pub(crate) fn close(&self) {
        self.kill.cancel();
    }

    /// Drops the connection at once: the client sees a TCP reset, no TLS close.
    pub(crate) fn reset(&self) {
        self.reset.store(true, Ordering::Release);
        self.kill.cancel();
    }
}

/// A socket that closes by a reset once its peer handle asked for one.
#[derive(Debug)]
struct Conduit {
    socket: TcpStream,
    reset: Arc<AtomicBool>,
    flushed: watch::Sender<()>,
}

impl Drop for Conduit {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Acquire) {
            // Best effort: without it the client sees an early end all the same.
            _ = self.socket.set_zero_linger();
        }
    }
}

impl AsyncRead for Conduit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Conduit {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever buffers above this flushes it last.
        let flushed = std::task::ready!(Pin::new(&mut self.socket).poll_flush(cx));
        self.flushed.send_replace(());
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Accepts connections until the world stops; `route` answers each request.
pub(crate) async fn serve<R, F>(world: Arc<World>, listener: TcpListener, tls: Option<TlsAcceptor>, route: R)
where
    R: Fn(Arc<World>, Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            () = world.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (socket, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept");
                tokio::task::yield_now().await;
                continue;
            }
        };
        let (flushes, flushed) = watch::channel(());
        let peer = Peer { address, kill: CancellationToken::new(), reset: Arc::default(), flushed };
        let conduit = Conduit { socket, reset: Arc::clone(&peer.reset), flushed: flushes };
        let (world_here, tls, route) = (Arc::clone(&world), tls.clone(), route.clone());
        world.tracker.spawn(async move {
            let kill = peer.kill.clone();
            let stop = world_here.stop.clone();
            let talk = async {
                match tls {
                    Some(tls) => match tls.accept(conduit).await {
                        Ok(stream) => converse(world_here, peer, stream, route).await,
                        Err(error) => tracing::debug!(%error, "TLS handshake"),
                    },
                    None => converse(world_here, peer, conduit, route).await,
                }
            };
            tokio::select! {
                () = talk => {}
                () = kill.cancelled() => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn converse<S, R, F>(world: Arc<World>, peer: Peer, stream: S, route: R)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    R: Fn(Arc<World>, Peer, Request<Incoming>) -> F,
    F: Future<Output = Response<Body>>,
{
    let service = service_fn(|request| {
        let answer = route(Arc::clone(&world), peer.clone(), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let served = http1::Builder::new()
        // Clients keep connections for the whole export and use them once a minute.
        .header_read_timeout(None)
        .max_buf_size(1 << 20)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection");
    }
}
