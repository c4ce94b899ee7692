//! The daemon in a process of its own, driven over its REST API.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::series::Sample;
use super::simulator::Access;
use super::usage::{self, Usage};

/// How long the daemon may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running daemon. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    base: String,
    http: reqwest::Client,
    /// Kept for as long as the daemon runs, if it is the daemon's own.
    home: Option<tempfile::TempDir>,
}

impl Daemon {
    /// Starts it with an empty database, in a directory of its own below `directory`.
    pub(super) fn start(binary: &Path, access: &Access, directory: &Path, workers: u32) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("daemon-").tempdir_in(directory)?;
        let mut daemon = Self::open(binary, access, home.path(), workers)?;
        daemon.home = Some(home);
        Ok(daemon)
    }

    /// Starts it with the database that is in `directory`, and returns when it listens.
    pub(super) fn open(binary: &Path, access: &Access, directory: &Path, workers: u32) -> Result<Self> {
        let Access { url, username, password } = access;
        let database = directory.join("hypersdk.db");
        let path = directory.join("hypersdk.yaml");
        std::fs::write(
            &path,
            format!(
                "daemon_addr: 127.0.0.1:0\ndatabase_path: {database:?}\nvcenter_url: {url:?}\n\
                 username: {username:?}\npassword: {password:?}\ninsecure: true\n\
                 download_workers: {workers}\nretry_attempts: 0\n\
                 orphan_sweep_interval: 0\n"
            ),
        )?;
        let mut child = Command::new(binary)
            .arg("--config")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let stderr = BufReader::new(child.stderr.take().context("a pipe")?);
        let (found, address) = mpsc::channel();
        let log = directory.join("hypervisord.log");
        std::thread::spawn(move || follow(stderr, &log, &found));
        let Ok(base) = address.recv_timeout(PATIENCE) else {
            _ = child.kill();
            _ = child.wait();
            let said = std::fs::read_to_string(directory.join("hypervisord.log")).unwrap_or_default();
            bail!("the daemon did not listen:\n{said}");
        };
        // A connection kept from before a long wait may be closed by now.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
        Ok(Self { child, base, http, home: None })
    }

    /// Where it listens, `host:port`.
    pub(super) fn address(&self) -> &str {
        self.base.strip_prefix("http://").unwrap_or(&self.base)
    }

    /// Whether `/capabilities` lists `word` under `list`.
    pub(super) async fn can(&self, list: &str, word: &str) -> Result<bool> {
        let answer: Value = self.http.get(format!("{}/capabilities", self.base)).send().await?.json().await?;
        Ok(answer[list].as_array().is_some_and(|words| words.iter().any(|known| known == word)))
    }

    /// What it answers at this path.
    pub(super) async fn get(&self, path: &str) -> Result<Vec<u8>> {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await?.error_for_status()?;
        Ok(answer.bytes().await?.into())
    }

    /// The memory it has now, in bytes.
    pub(super) fn resident(&self) -> Result<u64> {
        usage::resident(&self.child.id().to_string())
    }

    /// The JSON that it answers at this path.
    pub(super) async fn json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&self.get(path).await?)?)
    }

    /// What it answers to `POST`.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.http.post(format!("{}{path}", self.base)).json(body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Submits a job and waits for its end: what it took, as its submitter sees it.
    pub(super) async fn export(&self, job: &Value) -> Result<Sample> {
        let (before, begun) = (self.usage()?, Instant::now());
        let answer = self.http.post(format!("{}/jobs/submit", self.base)).json(job).send().await?;
        let answer: Value = answer.json().await?;
        let id = answer["job_ids"][0].as_str().with_context(|| format!("refused: {answer}"))?;
        // The events end with the job.
        let mut events = self.http.get(format!("{}/jobs/{id}/events", self.base)).send().await?;
        while events.chunk().await?.is_some() {}
        let (wall, used) = (begun.elapsed().as_secs_f64(), self.usage()? - before);
        let job: Value = self.http.get(format!("{}/jobs/{id}", self.base)).send().await?.json().await?;
        if job["status"] != "completed" {
            bail!("the export did not complete: {job:#}");
        }
        let bytes = job["result"]["total_size"].as_u64().with_context(|| format!("no size in {job:#}"))?;
        Ok(Sample { wall, used, bytes })
    }

    /// The most memory it has had, in bytes.
    pub(super) fn peak(&self) -> Result<u64> {
        usage::peak(&self.child.id().to_string())
    }

    /// Ends it in order.
    pub(super) fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(self.child.id().try_into()?).context("a process id")?;
        kill_process(pid, Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the daemon ended with {status}");
        }
        Ok(())
    }

    /// What it has used so far.
    pub(super) fn usage(&self) -> Result<Usage> {
        Usage::of(&self.child.id().to_string())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Keeps the log and looks for the address in it.
fn follow(stderr: impl BufRead, log: &Path, found: &mpsc::Sender<String>) {
    let mut kept = File::create(log).ok();
    for line in stderr.lines().map_while(Result::ok) {
        if let Some(rest) = line.split("listening on ").nth(1) {
            let address = rest.split_whitespace().next().unwrap_or(rest);
            _ = found.send(address.trim_end_matches('/').to_owned());
        }
        _ = kept.as_mut().map(|kept| writeln!(kept, "{line}"));
    }
}
