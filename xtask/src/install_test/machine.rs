//! A root that has booted, and commands in it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long it may take to boot, or to halt.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often to look.
const PERIOD: Duration = Duration::from_millis(200);

/// A container of systemd-nspawn. Dropping it kills what runs in it.
#[derive(Debug)]
pub(super) struct Machine {
    container: Child,
    /// Of its first process.
    leader: u32,
}

impl Machine {
    /// Boots `root` and returns when every unit has settled.
    pub(super) fn boot(root: &Path) -> Result<Self> {
        let console = root.with_extension("console");
        let container = Command::new("systemd-nspawn")
            .args([
                "--quiet",
                "--boot",
                "--register=no",
                "--keep-unit",
                "--link-journal=no",
                "--timezone=off",
            ])
            .args(["--settings=no", "--resolv-conf=off", "--console=pipe", "--directory"])
            .arg(root)
            .stdin(Stdio::null())
            .stdout(File::create(&console)?)
            .stderr(Stdio::inherit())
            .spawn()
            .context("start systemd-nspawn")?;
        let mut machine = Machine { container, leader: 0 };
        let settled = machine.settle();
        if settled.is_err() {
            let said = fs::read_to_string(&console).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(15).collect();
            let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
            return settled.with_context(|| format!("the root did not boot:\n{last}")).map(|()| machine);
        }
        fs::remove_file(&console)?;
        Ok(machine)
    }

    fn settle(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        let children = PathBuf::from(format!("/proc/{0}/task/{0}/children", self.container.id()));
        while Instant::now() < until {
            if let Some(status) = self.container.try_wait()? {
                bail!("systemd-nspawn ended with {status}");
            }
            let first = fs::read_to_string(&children).unwrap_or_default();
            self.leader = first.split_whitespace().next().and_then(|id| id.parse().ok()).unwrap_or(0);
            // Units that have no place in a container may fail: `degraded` is up, too.
            let state = self.output(&["systemctl", "is-system-running"]).unwrap_or_default();
            if matches!(state.trim(), "running" | "degraded") {
                return Ok(());
            }
            std::thread::park_timeout(PERIOD);
        }
        bail!("it has not come up in {} s", PATIENCE.as_secs())
    }

    /// Runs a command in it, as root, and gives what it says.
    pub(super) fn run(&self, command: &[&str]) -> Result<String> {
        let output = self.command(command).output().context("start nsenter")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("{} ended with {}: {said}{errors}", command.join(" "), output.status);
        }
        Ok(said)
    }

    /// Runs `hyperctl` in it.
    pub(super) fn hyperctl(&self, address: &str, arguments: &[&str]) -> Result<String> {
        self.run(&[&["hyperctl", "--url", address], arguments].concat())
    }

    /// Has it halt.
    pub(super) fn stop(mut self) -> Result<()> {
        // The connection may go with the machine.
        _ = self.run(&["systemctl", "poweroff"]);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.container.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::park_timeout(PERIOD);
        }
        bail!("it has not halted in {} s", PATIENCE.as_secs())
    }

    /// What a command says, however it ends.
    fn output(&self, command: &[&str]) -> Result<String> {
        if self.leader == 0 {
            bail!("there is no first process yet");
        }
        let output = self.command(command).output().context("start nsenter")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn command(&self, command: &[&str]) -> Command {
        let mut enter = Command::new("nsenter");
        enter
            .args(["--target", &self.leader.to_string(), "--all", "--root", "--wd=/", "--"])
            .args(command)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("DEBIAN_FRONTEND", "noninteractive");
        enter
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        _ = self.container.kill();
        _ = self.container.wait();
    }
}
