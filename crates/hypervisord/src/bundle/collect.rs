//! What goes into a bundle, raw. A part that cannot be had says why, or is left out; none holds up the rest.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use hypersdk_store::Database;
use serde_json::{Value, json};

use crate::config::Config;
use crate::doctor::get;

/// Jobs that are listed at most.
const JOBS: u32 = 200;
/// Of a log, the end of this length.
const LOG_BYTES: u64 = 4 << 20;
/// How long the journal may take.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(20);
/// What a running daemon says of itself, where it is asked without a token.
const ANSWERS: [(&str, &str); 9] = [
    ("health", "/health"),
    ("ready", "/health/ready"),
    ("status", "/status"),
    ("stats", "/stats"),
    ("stats-pool", "/stats/pool"),
    ("stats-schedules", "/stats/schedules"),
    ("capabilities", "/capabilities"),
    ("schedules", "/schedules"),
    ("metrics", "/metrics"),
];

/// Program, system and machine.
pub(super) fn versions() -> Value {
    let file = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let os = file("/etc/os-release").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(line.trim_matches('"').to_owned())
    });
    let memory = file("/proc/meminfo").and_then(|text| text.lines().next().map(str::to_owned));
    json!({
        "hypervisord": env!("CARGO_PKG_VERSION"),
        "architecture": std::env::consts::ARCH,
        "os": os,
        "kernel": file("/proc/sys/kernel/osrelease"),
        "cores": std::thread::available_parallelism().map(usize::from).ok(),
        "memory": memory,
        "time": chrono::Utc::now(),
    })
}

/// The database from outside.
pub(super) async fn database(config: &Config) -> Value {
    match Database::inspect(&config.database, JOBS).await {
        Ok(found) => json!(found),
        Err(error) => json!({ "error": error.chain() }),
    }
}

/// The end of the log file, if there is one.
pub(super) fn log_file(config: &Config) -> Option<String> {
    let path = config.log.file.as_deref()?;
    Some(tail(path).unwrap_or_else(|error| format!("{}: {error}", path.display())))
}

fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(LOG_BYTES);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // The first line may be half of one: half a secret would not be known for one.
    Ok(match text.split_once('\n') {
        Some((_, rest)) if begin > 0 => rest.to_owned(),
        _ => text,
    })
}

/// What the journal has of the service, if there is a journal.
pub(super) async fn journal() -> Option<String> {
    let output = tokio::process::Command::new("journalctl")
        .args(["--unit=hypervisord", "--lines=5000", "--no-pager", "--output=short-iso"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(JOURNAL_PATIENCE, output).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success() && !text.starts_with("-- No entries")).then_some(text)
}

/// The answers of a daemon that runs with this configuration.
pub(super) async fn daemon(config: &Config) -> Vec<(&'static str, String)> {
    let addr = config.daemon_addr.to_string();
    let mut answers = Vec::new();
    for (name, path) in ANSWERS {
        if let Some(answer) = get(&addr, path).await {
            answers.push((name, answer));
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_the_end_is_taken_from_the_beginning_of_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let line = format!("{}\n", "x".repeat(1023));
        std::fs::write(&path, line.repeat(5000) + "last\n").unwrap();
        let text = tail(&path).unwrap();
        assert!(text.ends_with("\nlast\n") && text.len() as u64 <= LOG_BYTES);
        assert_eq!(text.lines().next().unwrap().len(), 1023);
    }
}
