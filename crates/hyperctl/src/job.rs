//! A job as the daemon shows it: the part that this program needs to understand.

use hypersdk_core::Progress as CoreProgress;
use serde::Deserialize;
use serde_json::Value;

/// A job.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Job {
    pub(crate) definition: Definition,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) progress: Progress,
    pub(crate) result: Option<Outcome>,
    pub(crate) error: Option<String>,
}

/// What it is to do.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Definition {
    pub(crate) id: String,
    pub(crate) vm_path: String,
}

/// How far it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    pub(crate) phase: String,
    pub(crate) percent_complete: f64,
    pub(crate) bytes_per_second: f64,
    pub(crate) bytes_downloaded: u64,
    pub(crate) estimated_remaining: Option<f64>,
    pub(crate) files: Vec<FileProgress>,
}

/// How far one of its files is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FileProgress {
    pub(crate) name: String,
    pub(crate) bytes_downloaded: u64,
    pub(crate) percent_complete: f64,
}

/// What it made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Outcome {
    pub(crate) ovf_path: String,
    pub(crate) total_size: u64,
    pub(crate) duration: f64,
    pub(crate) warnings: Vec<String>,
}

impl Job {
    /// Reads the part of an answer that is a job.
    pub(crate) fn read(json: &Value) -> Result<Self, crate::failure::Failure> {
        Job::deserialize(json).map_err(|error| {
            crate::failure::Failure::Unreachable(format!(
                "the daemon shows a job in an unknown form: {error}"
            ))
        })
    }

    /// The last part of the VM's path, or its id.
    pub(crate) fn short_name(&self) -> &str {
        let path = self.definition.vm_path.trim_end_matches('/');
        path.rsplit('/').next().unwrap_or(path)
    }

    pub(crate) fn is_final(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }
}

impl From<&CoreProgress> for Progress {
    fn from(progress: &CoreProgress) -> Self {
        Progress {
            phase: serde_json::to_value(progress.phase)
                .ok()
                .and_then(|word| word.as_str().map(str::to_owned))
                .unwrap_or_default(),
            percent_complete: progress.fraction * 100.0,
            bytes_per_second: progress.bytes_per_second,
            bytes_downloaded: progress.bytes_done,
            estimated_remaining: progress.remaining_seconds,
            files: progress
                .files
                .iter()
                .map(|file| FileProgress {
                    name: file.name.clone(),
                    bytes_downloaded: file.bytes_done,
                    percent_complete: file.fraction * 100.0,
                })
                .collect(),
        }
    }
}
