//! How far an export is: a latest value, not a history.

use serde::{Deserialize, Serialize};

/// What a job is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waiting for its turn.
    #[default]
    Queued,
    /// Waiting for other exports to leave the VM's host, its datastores or its whole source alone.
    Waiting,
    /// Finding the VM, taking a snapshot, waiting for the lease.
    Preparing,
    /// Moving bytes.
    Exporting,
    /// Writing descriptor and manifest.
    Finishing,
    /// Reading back what was written.
    Verifying,
    /// Ended.
    Done,
}

/// How far an export is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// What it waits for, e.g. `host esx1`, while it waits.
    pub waiting_for: Option<String>,
    /// The file last begun.
    pub current_file: Option<String>,
    /// Files finished.
    pub files_done: u32,
    /// Files in all.
    pub files_total: u32,
    /// Bytes received.
    pub bytes_done: u64,
    /// Bytes expected in all, a running estimate while disks are thin.
    pub bytes_total: Option<u64>,
    /// Share done, 0 to 1, by position on the disks rather than by bytes; never runs backwards.
    pub fraction: f64,
    /// Bytes a second over the last seconds.
    pub bytes_per_second: f64,
    /// Seconds left at this pace.
    pub remaining_seconds: Option<f64>,
    /// Each file by itself, in the package's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileProgress>,
}

/// How far one file is. A file that is fetched again begins at nothing again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileProgress {
    /// Its name in the package.
    pub name: String,
    /// Bytes received.
    pub bytes_done: u64,
    /// Share done, 0 to 1, by position on the disk rather than by bytes.
    pub fraction: f64,
}
