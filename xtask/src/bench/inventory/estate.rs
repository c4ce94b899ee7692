//! The simulator with many VMs, in a process of its own that is asked over its standard input.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use hypersdk_vsim::Vsim;
use serde_json::{Value, json};

use crate::bench::simulator::Access;

/// Serves until its standard input closes; answers each line there with one of JSON.
#[derive(Args)]
pub(crate) struct ServeInventory {
    #[arg(long)]
    vms: u32,
    #[arg(long)]
    delay: u64,
}

impl ServeInventory {
    pub(in crate::bench) async fn run(self) -> Result<()> {
        let sim = Vsim::builder()
            .vms(self.vms as usize)
            .disk_size(1 << 20)
            .hosts(20)
            .datastores(10)
            // The client's choice of pages is the one that counts.
            .page_size(100_000)
            .soap_delay(Duration::from_millis(self.delay))
            .start()
            .await?;
        let access =
            json!({ "url": sim.url().as_str(), "username": sim.username(), "password": sim.password() });
        writeln!(std::io::stdout(), "{access}")?;
        tokio::task::spawn_blocking(move || {
            for line in std::io::stdin().lock().lines() {
                let answer = match line?.split_whitespace().collect::<Vec<_>>()[..] {
                    ["calls"] => json!(sim.log().all_calls()),
                    ["sessions"] => json!(sim.log().open_sessions().len()),
                    ["rename", vm, name] => json!(sim.rename(vm, name)?),
                    ref other => bail!("{other:?} is no request"),
                };
                writeln!(std::io::stdout(), "{answer}")?;
            }
            Ok(())
        })
        .await?
    }
}

/// The running process; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Estate {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(super) access: Access,
}

impl Estate {
    pub(super) fn start(xtask: &Path, vms: u32, delay: u64) -> Result<Self> {
        let mut child = Command::new(xtask)
            .args(["bench", "serve-inventory"])
            .args([format!("--vms={vms}"), format!("--delay={delay}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", xtask.display()))?;
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().context("a pipe")?);
        let access = read(&mut output).context("the simulator did not start")?;
        let text = |name: &str| access[name].as_str().unwrap_or_default().to_owned();
        let access = Access { url: text("url"), username: text("username"), password: text("password") };
        Ok(Self { child, input, output, access })
    }

    /// SOAP calls so far.
    pub(super) fn calls(&mut self) -> Result<u64> {
        let calls = self.ask("calls")?;
        Ok(calls.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum())
    }

    /// Sessions that are neither logged out nor ended.
    pub(super) fn sessions(&mut self) -> Result<u64> {
        self.ask("sessions")?.as_u64().context("no number")
    }

    /// Gives a VM another name.
    pub(super) fn rename(&mut self, vm: &str, name: &str) -> Result<()> {
        self.ask(&format!("rename {vm} {name}")).map(drop)
    }

    fn ask(&mut self, request: &str) -> Result<Value> {
        writeln!(self.input.as_mut().context("it was ended")?, "{request}")?;
        read(&mut self.output)
    }
}

fn read(output: &mut impl BufRead) -> Result<Value> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    serde_json::from_str(&line).context("the simulator does not answer")
}

impl Drop for Estate {
    fn drop(&mut self) {
        drop(self.input.take());
        _ = self.child.wait();
    }
}
