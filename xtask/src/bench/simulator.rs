//! The simulator in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;
use hypersdk_vsim::{DiskSpec, FaultKind, FaultRule, ManifestSupport, VmSpec, Vsim};
use serde_json::{Value, json};

/// A machine with one disk of the capacity asked for.
pub(super) const LARGE: &str = "large";
/// A machine with one disk of an eighth of it.
pub(super) const SMALL: &str = "small";
/// A machine with eight disks that together are as large; each stream is capped.
pub(super) const EIGHT: &str = "eight";
/// A machine with one disk of given content.
pub(super) const CONTENT: &str = "content";
/// The cap of each of the eight disks' streams, in bytes a second.
pub(super) const STREAM_RATE: u64 = 30_000_000;
/// Two machines with one large disk each, whose streams are capped: a network that is the bottleneck.
pub(super) const PACED: [&str; 2] = ["paced-a", "paced-b"];
/// The cap of their streams, in bytes a second.
pub(super) const PACED_RATE: u64 = 20_000_000;

/// Serves until its standard input closes.
#[derive(Args)]
pub(crate) struct Simulate {
    #[arg(long)]
    mib: u64,
    #[arg(long)]
    fill: f64,
    #[arg(long)]
    compressibility: f64,
    #[arg(long)]
    content: Option<PathBuf>,
}

impl Simulate {
    pub(super) async fn run(self) -> Result<()> {
        let bytes = self.mib << 20;
        let disk = |seed: u64, bytes: u64| {
            DiskSpec::synth(seed, bytes).fill(self.fill).compressibility(self.compressibility)
        };
        let eight = (0..8).fold(VmSpec::new(EIGHT), |machine, unit| machine.disk(disk(10 + unit, bytes / 8)));
        let mut builder = Vsim::builder()
            // Nobody renews the bare download's lease.
            .lease_timeout(std::time::Duration::from_secs(24 * 3600))
            // Sums are asked for by the daemon alone; their cost here would count against it.
            .manifest(ManifestSupport::Unsupported)
            .vm(VmSpec::new(LARGE).disk(disk(1, bytes)))
            .vm(VmSpec::new(SMALL).disk(disk(2, bytes / 8)))
            .vm(eight)
            .vm(VmSpec::new(PACED[0]).disk(disk(20, bytes)))
            .vm(VmSpec::new(PACED[1]).disk(disk(21, bytes)));
        if let Some(content) = &self.content {
            builder = builder.vm(VmSpec::new(CONTENT).disk(DiskSpec::file(content)));
        }
        let sim = builder.start().await?;
        let cap = FaultKind::RateCap { bytes_per_second: STREAM_RATE };
        sim.add_fault(FaultRule::stream(cap).vm(EIGHT).always());
        for machine in PACED {
            let cap = FaultKind::RateCap { bytes_per_second: PACED_RATE };
            sim.add_fault(FaultRule::stream(cap).vm(machine).always());
        }
        let access =
            json!({ "url": sim.url().as_str(), "username": sim.username(), "password": sim.password() });
        writeln!(std::io::stdout(), "{access}")?;
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
        sim.shutdown().await;
        Ok(())
    }
}

/// How to reach a simulator.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// Its SDK's address.
    pub(super) url: String,
    pub(super) username: String,
    pub(super) password: String,
}

/// The running process; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Simulator {
    child: Child,
    input: Option<ChildStdin>,
    pub(super) access: Access,
}

impl Simulator {
    pub(super) fn start(xtask: &Path, options: &super::Options, content: Option<&Path>) -> Result<Self> {
        let mut command = Command::new(xtask);
        command
            .args(["bench", "simulate"])
            .arg(format!("--mib={}", options.mib))
            .arg(format!("--fill={}", options.fill))
            .arg(format!("--compressibility={}", options.compressibility));
        if let Some(content) = content {
            command.arg("--content").arg(content);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let input = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let access: Value = serde_json::from_str(&line).context("the simulator did not start")?;
        let text = |name: &str| access[name].as_str().unwrap_or_default().to_owned();
        let access = Access { url: text("url"), username: text("username"), password: text("password") };
        Ok(Self { child, input, access })
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.input.take());
        _ = self.child.wait();
    }
}

/// The inventory path of one of the machines.
pub(super) fn path(machine: &str) -> String {
    format!("/DC0/vm/{machine}")
}
