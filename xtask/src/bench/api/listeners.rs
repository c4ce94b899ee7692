//! Many who follow what happens, at one time.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::super::lab::Lab;
use super::super::report::{Check, Report};
use super::super::simulator::SMALL;
use super::{LISTENERS_MIB, start};

const PATIENCE: Duration = Duration::from_secs(60);
const MIB: f64 = 1_048_576.0;

/// Has them all hear of one export from its beginning to its end.
pub(super) async fn measure(report: &mut Report, lab: &Lab, home: &Path, count: usize) -> Result<()> {
    raise_limit()?;
    let daemon = start(lab, home)?;
    lab.empty()?;
    let export = lab.job(SMALL, &json!({ "format": "ova" }));
    // What an export takes is not what they take.
    daemon.export(&export).await?;
    lab.empty()?;
    let before = daemon.resident()?;
    let mut listeners = JoinSet::new();
    for _ in 0..count {
        let mut connection = TcpStream::connect(daemon.address()).await?;
        connection.write_all(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        let heard = until(&mut connection, "\r\n\r\n").await?;
        ensure!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
        listeners.spawn(async move {
            until(&mut connection, "event: job.completed").await?;
            anyhow::Ok(connection)
        });
    }
    daemon.export(&export).await?;
    let mut open = Vec::new();
    while let Some(listener) = listeners.join_next().await {
        open.push(listener??);
    }
    let taken = daemon.resident()?.saturating_sub(before) as f64 / MIB;
    ensure!(open.len() == count, "{} of {count} heard of the end", open.len());
    drop(open);
    daemon.stop()?;
    report.checks.push(Check::at_most(format!("MiB more with {count} listeners"), taken, LISTENERS_MIB));
    Ok(())
}

/// Reads until the text was there, and gives all of it.
async fn until(connection: &mut TcpStream, text: &str) -> Result<String> {
    let mut heard = Vec::new();
    let reading = async {
        loop {
            ensure!(connection.read_buf(&mut heard).await? > 0, "the stream ends early");
            let said = String::from_utf8_lossy(&heard);
            if said.contains(text) {
                return Ok(said.into_owned());
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.with_context(|| format!("{text:?} did not come"))?
}

/// This process has as many connections as the daemon.
fn raise_limit() -> Result<()> {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).context("raise the limit of files")
}
