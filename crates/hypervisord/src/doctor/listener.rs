//! The address: whether the daemon answers there, or could.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Finding;
use crate::config::Config;

/// How long a daemon on this machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer is read up to this length.
const LONGEST: u64 = 4 << 20;

pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let addr = &config.daemon_addr;
    if addr.port() == 0 {
        return vec![Finding::ok("address", format!("{addr}: the system chooses a port at the start"))];
    }
    if let Ok(listener) = crate::server::bind(addr).await {
        drop(listener);
        return vec![Finding::ok("address", format!("{addr} is free; no daemon runs there"))];
    }
    if config.tls.is_some() {
        let message = format!("something listens at {addr}; over TLS it is not asked who it is");
        return vec![Finding::ok("address", message)];
    }
    // Open to everybody, whatever authentication is configured.
    if get(&addr.to_string(), "/health/live").await.is_none_or(|answer| !answer.contains("alive")) {
        return vec![Finding::fail(
            "address",
            format!("{addr} is taken by something that does not answer as this daemon does"),
            "see who it is with `ss -ltnp`, or choose another daemon_addr",
        )];
    }
    let health = get(&addr.to_string(), "/health").await.unwrap_or_default();
    let health: serde_json::Value = serde_json::from_str(&health).unwrap_or_default();
    let own = env!("CARGO_PKG_VERSION");
    vec![match health["version"].as_str() {
        Some(version) if version == own => {
            Finding::ok("daemon", format!("one of this version ({own}) answers at {addr}"))
        }
        Some(version) => Finding::warn(
            "daemon",
            format!("the one that answers at {addr} is version {version}; this program is {own}"),
            "restart the daemon to run the version that is installed",
        ),
        None => Finding::ok(
            "daemon",
            format!("one answers at {addr}; without a token it does not tell its version"),
        ),
    }]
}

/// `GET` over plain HTTP, from a daemon on this machine: the body of a 200, or of anything else `None`.
pub(crate) async fn get(addr: &str, path: &str) -> Option<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(addr).await.ok()?;
        // HTTP/1.0: the answer comes in one piece and ends with the connection.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {addr}\r\nAccept: */*\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer).await.ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?;
        (status == "200").then(|| body.to_owned())
    };
    tokio::time::timeout(PATIENCE, exchange).await.ok().flatten()
}
