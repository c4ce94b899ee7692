use std::sync::Arc;

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
    let server = tokio::spawn(serve(listener, router, None, limits, stop.clone()));
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
async fn a_silent_connection_makes_room_for_one_that_asks() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let (addr, stop, server) = start(Router::new().route("/", get(|| async { "hi" })), limits).await;
    let mut silent = TcpStream::connect(addr).await.unwrap();
    let mut half = TcpStream::connect(addr).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    for _ in 0..5 {
        assert!(answer(ask(addr).await).await.ends_with("hi"));
    }
    let mut rest = Vec::new();
    // Closed or reset, either way long before the limit on a head.
    let _ = silent.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    stop.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn a_request_under_way_never_makes_room() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (arrived, go) = (Arc::clone(&arrived), Arc::clone(&go));
        move || async move {
            arrived.notify_one();
            go.notified().await;
            "done"
        }
    };
    let limits = Limits { connections: 1, ..Limits::default() };
    let (addr, stop, server) = start(Router::new().route("/", get(handler)), limits).await;
    let working = ask(addr).await;
    arrived.notified().await;
    // Waits until the first is done.
    let waiting = ask(addr).await;
    go.notify_one();
    assert!(answer(working).await.ends_with("done"));
    arrived.notified().await;
    go.notify_one();
    assert!(answer(waiting).await.ends_with("done"));
    stop.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_waited_for() {
    let endless = || async {
        let zeros = bytes::Bytes::from(vec![0u8; 1 << 16]);
        let stream = futures::stream::repeat_with(move || Ok::<_, std::convert::Infallible>(zeros.clone()));
        axum::body::Body::from_stream(stream)
    };
    let limits = Limits { connections: 1, stall: Duration::from_millis(100), ..Limits::default() };
    let router = Router::new().route("/", get(endless)).route("/hi", get(|| async { "hi" }));
    let (addr, stop, server) = start(router, limits).await;
    let _greedy = ask(addr).await;
    // The one place is free again although the greedy client is still there.
    let mut second = TcpStream::connect(addr).await.unwrap();
    second.write_all(b"GET /hi HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(answer(second).await.ends_with("hi"));
    stop.cancel();
    server.await.unwrap();
}
