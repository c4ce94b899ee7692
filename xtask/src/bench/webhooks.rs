//! How fast deliveries leave, and how much memory those that wait take.
//!
//! The events are put into the daemon's database while it is down, so that nothing but webhooks is measured:
//! first the daemon turns them into deliveries for a receiver that never answers (memory while all of them
//! wait, of half as many and of all), then it delivers them to one that does (rate, and whether each arrived).

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::binaries::release;
use super::report::{Check, Report};
use super::usage::{self, Usage};

const PATIENCE: Duration = Duration::from_secs(30);
const MIB: f64 = 1_048_576.0;
/// Deliveries a second on two cores.
const RATE: f64 = 3000.0;
/// How much more memory waiting deliveries may take than none, however many they are: SQLite's caches fill, 16 MiB for
/// the connection that writes and 2 MiB for each of the four that read, and there is what is under way.
const FILLED_MIB: f64 = 32.0;
/// How much more memory twice as many may take.
const GROWTH_MIB: f64 = 8.0;

/// What the measurement can be told.
#[derive(Args, Clone)]
pub(crate) struct WebhookOptions {
    /// Events, each one delivery; half of them of a job's beginning, half of its end
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    /// Only print; a missed bound is no failure
    #[arg(long)]
    pub(super) no_gate: bool,
}

/// Takes webhooks until its standard input closes; answers `GET` with what it has taken.
#[derive(Args)]
pub(crate) struct Receive {}

pub(super) async fn run(options: &WebhookOptions) -> Result<Report> {
    let [daemon, xtask] = release(["hypervisord", "xtask"])?;
    let mut report = Report::with_setting("webhooks", json!({ "events": options.events }));
    let home = tempfile::tempdir()?;
    let receiver = Receiver::start(&xtask)?;

    let half = tempfile::tempdir()?;
    let half = wait(&daemon, half.path(), &receiver, options.events / 2).await?;
    let all = wait(&daemon, home.path(), &receiver, options.events).await?;
    report.ratio("events turned into deliveries a second", all.rate);

    let sending = Daemon::start(&daemon, home.path(), &receiver.url("take"))?;
    let before = sending.usage()?;
    sending.until(|stats| waits(stats) == 0).await?;
    let used = sending.usage()? - before;
    let taken = receiver.taken().await?;
    let sending_peak = sending.stop()? as f64 / MIB;
    let rate = taken.requests as f64 / taken.seconds;
    report.ratio("requests", taken.requests as f64);
    report.ratio(
        "CPU seconds of the daemon for a thousand",
        (used.user + used.system) * 1000.0 / options.events as f64,
    );
    report.ratio("peak MiB with nothing to do", all.idle);
    report.ratio("peak MiB while all are delivered", sending_peak);
    report.checks.push(Check::at_least("deliveries a second", rate, RATE));
    report.checks.push(Check::at_most(
        "events that did not arrive",
        options.events as f64 - taken.unique as f64,
        0.0,
    ));
    report.checks.push(Check::at_most("MiB more while all of them wait", all.peak - all.idle, FILLED_MIB));
    report.checks.push(Check::at_most("MiB more while all wait than half", all.peak - half.peak, GROWTH_MIB));
    report.end();
    Ok(report)
}

/// What a daemon took whose deliveries all wait.
struct Waiting {
    /// MiB at the peak, with nothing to do.
    idle: f64,
    /// MiB at the peak, while all wait.
    peak: f64,
    /// Events turned into deliveries a second.
    rate: f64,
}

/// Has a new daemon turn events into deliveries that all wait.
async fn wait(daemon: &Path, home: &Path, receiver: &Receiver, events: u64) -> Result<Waiting> {
    // It makes the tables.
    let empty = Daemon::start(daemon, home, &receiver.url("hang"))?;
    empty.until(|_| true).await?;
    let idle = empty.stop()? as f64 / MIB;
    fill(home, events)?;
    let waiting = Daemon::start(daemon, home, &receiver.url("hang"))?;
    let begun = Instant::now();
    waiting.until(|stats| waits(stats) == events).await?;
    let rate = events as f64 / begun.elapsed().as_secs_f64();
    Ok(Waiting { idle, peak: waiting.stop()? as f64 / MIB, rate })
}

/// How many deliveries have not ended.
fn waits(stats: &Value) -> u64 {
    stats["pending"].as_u64().unwrap_or_default()
        + stats["endpoints"]["bench"]["in_flight"].as_u64().unwrap_or_default()
}

/// Puts jobs and events into the database, and the cursor before them.
fn fill(home: &Path, events: u64) -> Result<()> {
    let jobs = events.div_ceil(2);
    let spec = r#"{"vm":"/DC0/vm/prod/web01","output_dir":"/srv/exports"}"#;
    let data = r#"json_object('job_id', 'job-' || n, 'job_name', 'nightly', 'vm_path', '/DC0/vm/prod/web01',
                 'output_dir', '/srv/exports', 'provider', 'default', 'attempt', 0)"#;
    let sql = format!(
        "BEGIN;
         WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {jobs})
         INSERT INTO jobs (id, spec, priority, status, created_at, updated_at, completed_at, progress)
         SELECT 'job-' || n, '{spec}', 0, 'cancelled', 1, 1, 1, '{{}}' FROM c;
         WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {jobs})
         INSERT INTO events (time, kind, job, data) SELECT 1800000000000000, 'job.created', 'job-' || n, {data} FROM c;
         WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {events} - {jobs})
         INSERT INTO events (time, kind, job, data) SELECT 1800000000000001, 'job.cancelled', 'job-' || n, {data} FROM c;
         UPDATE webhook_cursor SET position = 0;
         COMMIT;"
    );
    let mut child = Command::new("sqlite3")
        .arg("-bail")
        .arg(home.join("hypersdk.db"))
        .stdin(Stdio::piped())
        .spawn()
        .context("start sqlite3")?;
    child.stdin.take().context("a pipe")?.write_all(sql.as_bytes())?;
    ensure!(child.wait()?.success(), "sqlite3 failed");
    Ok(())
}

/// The daemon in a process of its own. Dropping it kills it.
struct Daemon {
    child: Child,
    base: String,
    http: reqwest::Client,
}

impl Daemon {
    fn start(binary: &Path, home: &Path, url: &str) -> Result<Self> {
        let config = home.join("hypersdk.yaml");
        let database = home.join("hypersdk.db");
        std::fs::write(
            &config,
            format!(
                "daemon_addr: 127.0.0.1:0\ndatabase_path: {database:?}\nlog_level: error,hypervisord=info\n\
                 webhooks:\n  - name: bench\n    url: {url}\n    allow_private: true\n    timeout: 5m\n    \
                 secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"
            ),
        )?;
        let mut child = Command::new(binary)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let stderr = BufReader::new(child.stderr.take().context("a pipe")?);
        let (found, address) = mpsc::channel();
        let mut kept = File::create(home.join("hypervisord.log"))?;
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some(rest) = line.split("listening on ").nth(1) {
                    _ = found.send(rest.split_whitespace().next().unwrap_or(rest).to_owned());
                }
                _ = writeln!(kept, "{line}");
            }
        });
        let Ok(base) = address.recv_timeout(PATIENCE) else {
            _ = child.kill();
            bail!("the daemon did not listen:\n{}", std::fs::read_to_string(home.join("hypervisord.log"))?);
        };
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { child, base: base.trim_end_matches('/').to_owned(), http })
    }

    /// Waits until its statistics are as wanted; ten minutes at most.
    async fn until(&self, wanted: impl Fn(&Value) -> bool) -> Result<()> {
        let begun = Instant::now();
        loop {
            let answer = self.http.get(format!("{}/stats/webhooks", self.base)).send().await?;
            let stats: Value = answer.json().await?;
            if wanted(&stats) {
                return Ok(());
            }
            ensure!(begun.elapsed() < Duration::from_secs(600), "it did not come to pass: {stats}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn usage(&self) -> Result<Usage> {
        Usage::of(&self.child.id().to_string())
    }

    /// Ends it in order and gives the most memory it has had.
    fn stop(mut self) -> Result<u64> {
        let peak = usage::peak(&self.child.id().to_string())?;
        let pid = Pid::from_raw(self.child.id().try_into()?).context("a process id")?;
        kill_process(pid, Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the daemon ended with {status}");
        Ok(peak)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// What has been taken: requests, different messages, and seconds from the first to the last.
struct Taken {
    requests: u64,
    unique: u64,
    seconds: f64,
}

/// The receiver in a process of its own; it ends when this is dropped.
struct Receiver {
    child: Child,
    address: String,
}

impl Receiver {
    fn start(xtask: &Path) -> Result<Self> {
        let mut child = Command::new(xtask)
            .args(["bench", "receive"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the receiver")?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut address)?;
        Ok(Self { child, address: address.trim().to_owned() })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    async fn taken(&self) -> Result<Taken> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let taken: Value = http.get(self.url("")).send().await?.json().await?;
        Ok(Taken {
            requests: taken["requests"].as_u64().context("a number")?,
            unique: taken["unique"].as_u64().context("a number")?,
            seconds: taken["seconds"].as_f64().context("a number")?,
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[derive(Default)]
struct Ledger {
    requests: u64,
    seen: HashSet<String>,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Receive {
    pub(super) async fn run(self) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let closed =
            tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        tokio::pin!(closed);
        loop {
            tokio::select! {
                _ = &mut closed => return Ok(()),
                accepted = listener.accept() => {
                    let (connection, _) = accepted?;
                    connection.set_nodelay(true)?;
                    tokio::spawn(serve(connection, ledger.clone()));
                }
            }
        }
    }
}

/// Answers what comes through one connection, one request after the other.
async fn serve(connection: TcpStream, ledger: Arc<Mutex<Ledger>>) -> Result<()> {
    let mut connection = tokio::io::BufReader::new(connection);
    loop {
        let (mut id, mut length, mut request) = (String::new(), 0, String::new());
        let mut line = String::new();
        while connection.read_line(&mut line).await? > 2 {
            match line.trim_end().split_once(": ") {
                Some(("webhook-id", value)) => value.clone_into(&mut id),
                Some(("content-length", value)) => length = value.parse()?,
                Some(_) => {}
                None => request.clone_from(&line),
            }
            line.clear();
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body).await?;
        let mut answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
        if request.is_empty() {
            return Ok(());
        } else if request.contains("/hang") {
            std::future::pending::<()>().await;
        } else if request.starts_with("GET") {
            let ledger = ledger.lock().expect("no holder panics");
            let seconds =
                ledger.first.zip(ledger.last).map_or(0.0, |(first, last)| (last - first).as_secs_f64());
            let taken =
                json!({ "requests": ledger.requests, "unique": ledger.seen.len(), "seconds": seconds });
            let body = taken.to_string();
            answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        } else {
            let mut ledger = ledger.lock().expect("no holder panics");
            ledger.requests += 1;
            ledger.seen.insert(id);
            ledger.last = Some(Instant::now());
            ledger.first = ledger.first.or(ledger.last);
        }
        connection.get_mut().write_all(answer.as_bytes()).await?;
    }
}
