//! The bare download: one loop that reads, hashes and writes, and a sync at the end. It looks at nothing.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::lease::{Lease, http};
use super::series::Sample;
use super::simulator::Access;
use super::usage::{self, Usage};

/// Downloads, and prints what it took as JSON.
#[derive(Args)]
pub(crate) struct Download {
    #[arg(long)]
    url: String,
    #[arg(long)]
    output: PathBuf,
}

impl Download {
    pub(super) async fn run(self) -> Result<()> {
        let client = http()?;
        let (before, begun) = (Usage::of("self")?, Instant::now());
        let mut response = client.get(&self.url).send().await?.error_for_status()?;
        let mut file = File::create_new(&self.output)?;
        let mut sha256 = Sha256::new();
        let mut bytes = 0;
        while let Some(chunk) = response.chunk().await? {
            sha256.update(&chunk);
            file.write_all(&chunk)?;
            bytes += chunk.len();
        }
        file.sync_all()?;
        let (wall, used) = (begun.elapsed().as_secs_f64(), Usage::of("self")? - before);
        let told = json!({
            "wall": wall,
            "user": used.user,
            "system": used.system,
            "written": used.written,
            "bytes": bytes,
            "peak": usage::peak("self")?,
            "sha256": hex::encode(sha256.finalize()),
        });
        writeln!(std::io::stdout(), "{told}")?;
        Ok(())
    }
}

/// Downloads a machine's one disk to `output` in a process of its own.
pub(super) async fn measure(
    xtask: &Path,
    access: &Access,
    machine: &str,
    output: &Path,
) -> Result<(Sample, u64)> {
    let lease = Lease::open(access, machine).await?;
    let child = Command::new(xtask)
        .args(["bench", "download", "--url", &lease.url, "--output"])
        .arg(output)
        .stderr(Stdio::inherit())
        .output()
        .context("start the download")?;
    if !child.status.success() {
        bail!("the download ended with {}", child.status);
    }
    lease.complete().await?;
    let told = serde_json::from_slice(&child.stdout)?;
    Ok((told_sample(&told)?, told["peak"].as_u64().context("peak")?))
}

/// A measurement as a child tells it.
pub(super) fn told_sample(told: &Value) -> Result<Sample> {
    let number = |name: &str| told[name].as_f64().with_context(|| format!("no {name} in {told}"));
    let used = Usage { user: number("user")?, system: number("system")?, written: number("written")? as u64 };
    Ok(Sample { wall: number("wall")?, used, bytes: number("bytes")? as u64 })
}
