//! A receiver that does what it is told, over plain sockets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: serde_json::Value,
    pub(super) bytes: Vec<u8>,
    pub(super) connection: usize,
}

/// What to do with it.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// A status with further headers, each with its line end.
    Status(u16, &'static str),
    /// 200 and a body of this many bytes.
    Long(usize),
    /// A status after a while.
    Late(u16, Duration),
    Hang,
    Reset,
}

#[derive(Debug, Clone)]
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Receiver {
    /// Answers the nth request, from 0, as `reply` says.
    pub(super) async fn start(reply: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Receiver { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (seen, reply) = (receiver.seen.clone(), Arc::new(reply));
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((connection, _)) = listener.accept().await {
                number += 1;
                tokio::spawn(serve(connection, number, seen.clone(), reply.clone()));
            }
        });
        receiver
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    connection: TcpStream,
    number: usize,
    seen: Arc<Mutex<Vec<Seen>>>,
    reply: Arc<impl Fn(usize, &Seen) -> Reply>,
) {
    let mut connection = BufReader::new(connection);
    while let Some(request) = read(&mut connection, number).await {
        let index = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let answer = match reply(index, &request) {
            Reply::Status(status, headers) => {
                format!("HTTP/1.1 {status} X\r\n{headers}content-length: 2\r\n\r\nok")
            }
            Reply::Long(bytes) => {
                format!("HTTP/1.1 200 X\r\ncontent-length: {bytes}\r\n\r\n{}", "x".repeat(bytes))
            }
            Reply::Late(status, wait) => {
                tokio::time::sleep(wait).await;
                format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")
            }
            Reply::Hang => std::future::pending().await,
            Reply::Reset => return,
        };
        if connection.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(connection: &mut BufReader<TcpStream>, number: usize) -> Option<Seen> {
    let mut line = String::new();
    connection.read_line(&mut line).await.ok()?;
    let path = line.split_whitespace().nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut bytes = vec![0; headers.get("content-length")?.parse().ok()?];
    connection.read_exact(&mut bytes).await.ok()?;
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    Some(Seen { path, headers, body, bytes, connection: number })
}
