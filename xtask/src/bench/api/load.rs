//! People who look at the jobs, so many times a second whether or not the answers come.
//!
//! Each look is timed from the moment it was due, not from the moment a connection was free for it: an answer that
//! takes long would otherwise hide those behind it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinHandle, JoinSet};

/// Connections that are kept alive for it.
const CONNECTIONS: usize = 32;
const REQUEST: &[u8] = b"GET /jobs?limit=50 HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\r\n";
/// The jobs that each page must show.
const SHOWN: usize = 50;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// Milliseconds of each.
    millis: Vec<f64>,
    seconds: f64,
}

impl Looks {
    pub(super) fn add(&mut self, other: Looks) {
        self.millis.extend(other.millis);
        self.millis.sort_by(f64::total_cmp);
        self.seconds += other.seconds;
    }

    pub(super) fn count(&self) -> usize {
        self.millis.len()
    }

    pub(super) fn rate(&self) -> f64 {
        self.count() as f64 / self.seconds
    }

    /// What this share of them took at most, in milliseconds.
    pub(super) fn at(&self, share: f64) -> f64 {
        let rank = (share * self.count() as f64).ceil() as usize;
        self.millis.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// A load that goes on until it is stopped.
pub(super) struct Load {
    clock: JoinHandle<()>,
    begun: Instant,
    lookers: JoinSet<Result<Vec<f64>>>,
}

impl Load {
    pub(super) fn start(address: &str, rate: u32) -> Self {
        let (due, looks) = mpsc::unbounded_channel();
        let looks = Arc::new(Mutex::new(looks));
        let mut lookers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            lookers.spawn(look(address.to_owned(), Arc::clone(&looks)));
        }
        let begun = Instant::now();
        let clock = tokio::spawn(async move {
            for number in 0.. {
                let moment = begun + Duration::from_secs(1) * number / rate;
                tokio::time::sleep_until(moment.into()).await;
                if due.send(moment).is_err() {
                    return;
                }
            }
        });
        Load { clock, begun, lookers }
    }

    /// Ends it, and waits for the answers that are due.
    pub(super) async fn stop(mut self) -> Result<Looks> {
        self.clock.abort();
        let seconds = self.begun.elapsed().as_secs_f64();
        let mut looks = Looks { millis: Vec::new(), seconds };
        while let Some(looked) = self.lookers.join_next().await {
            looks.millis.extend(looked??);
        }
        Ok(looks)
    }
}

async fn look(address: String, due: Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>) -> Result<Vec<f64>> {
    let mut connection = TcpStream::connect(&address).await?;
    connection.set_nodelay(true)?;
    let (mut buffer, mut millis) = (Vec::new(), Vec::new());
    loop {
        let next = due.lock().await.recv().await;
        let Some(moment) = next else { return Ok(millis) };
        ask(&mut connection, &mut buffer).await?;
        millis.push(moment.elapsed().as_secs_f64() * 1000.0);
    }
}

/// One page, looked at closely.
pub(super) async fn page(address: &str) -> Result<()> {
    let mut answer = Vec::new();
    ask(&mut TcpStream::connect(address).await?, &mut answer).await?;
    let shown = super::body(&answer)?["jobs"].as_array().map_or(0, Vec::len);
    ensure!(shown == SHOWN, "a page of {shown} jobs");
    Ok(())
}

/// Sends the request and reads the whole answer.
async fn ask(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<()> {
    connection.write_all(REQUEST).await?;
    buffer.clear();
    loop {
        ensure!(connection.read_buf(buffer).await? > 0, "the daemon closed the connection");
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end])?;
        ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let whole = end + 4 + length.context("no content-length")?.parse::<usize>()?;
        buffer.reserve(whole - buffer.len().min(whole));
        while buffer.len() < whole {
            ensure!(connection.read_buf(buffer).await? > 0, "the answer ends early");
        }
        return Ok(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_figures() {
        let mut looks = Looks::default();
        looks.add(Looks { millis: (1..=100).rev().map(f64::from).collect(), seconds: 0.5 });
        assert_eq!((looks.at(0.5), looks.at(0.99), looks.at(1.0)), (50.0, 99.0, 100.0));
        assert_eq!(looks.rate(), 200.0);
    }
}
