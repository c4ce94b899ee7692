//! The port to whatever does a job's work.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::seat::Seat;
use super::{JobSpec, LogLevel};
use crate::error::{Error, Result};
use crate::id::JobId;
use crate::progress::{Phase, Progress};

/// Does the work of one job.
#[async_trait]
pub trait Runner: fmt::Debug + Send + Sync + 'static {
    /// Runs the job to its end.
    ///
    /// # Errors
    /// Whatever went wrong; the manager tries again if the error is retryable. When `context.cancel` fires,
    /// returns within a second with an error of kind `Cancelled`, everything at the source released.
    async fn run(&self, spec: &JobSpec, context: JobContext) -> Result<Outcome>;

    /// Removes what the `attempts` of a job have left for the next one, which will not come: the job was cancelled
    /// while none was running. Does nothing unless implemented.
    ///
    /// # Errors
    /// Something is still there; the manager logs it and does not ask again.
    async fn discard(&self, spec: &JobSpec, job: &JobId, attempts: u32) -> Result<()> {
        let _ = (spec, job, attempts);
        Ok(())
    }
}

/// Proves that a job is still its owner's.
#[async_trait]
pub trait ClaimCheck: fmt::Debug + Send + Sync + 'static {
    /// Asks the store, as often as it takes to get an answer.
    ///
    /// # Errors
    /// `Conflict` if the claim was lost, `Cancelled` if the job is to stop.
    async fn confirm(&self) -> Result<()>;
}

/// What a running job may use.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// The job.
    pub id: JobId,
    /// Which start this is, from 1.
    pub attempt: u32,
    /// Fires when the job is to stop.
    pub cancel: CancellationToken,
    /// Where to say how far it is.
    pub progress: RunProgress,
    claim: Option<Arc<dyn ClaimCheck>>,
    log: mpsc::UnboundedSender<(LogLevel, String)>,
    seat: Option<Arc<Seat>>,
}

impl JobContext {
    /// A context, with the receiving end of its log lines.
    pub fn new(
        id: JobId,
        attempt: u32,
        cancel: CancellationToken,
    ) -> (Self, mpsc::UnboundedReceiver<(LogLevel, String)>) {
        let (log, lines) = mpsc::unbounded_channel();
        (
            JobContext { id, attempt, cancel, progress: RunProgress::new(), claim: None, log, seat: None },
            lines,
        )
    }

    /// The same, with the means to prove that the job is still this process's.
    #[must_use]
    pub fn with_claim(self, claim: Arc<dyn ClaimCheck>) -> Self {
        JobContext { claim: Some(claim), ..self }
    }

    /// Makes sure that the job is still this process's and nobody has asked for it to stop. Called right before
    /// what was made gets its final name: a process that slept may have lost its claim without knowing.
    ///
    /// # Errors
    /// `Conflict` if the claim was lost, `Cancelled` if the job is to stop.
    pub async fn confirm_claim(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::cancelled("confirm the claim"));
        }
        match &self.claim {
            Some(claim) => claim.confirm().await,
            None => Ok(()),
        }
    }

    pub(super) fn seated(self, seat: Arc<Seat>) -> Self {
        JobContext { seat: Some(seat), ..self }
    }

    /// Waits for `turn` without keeping other jobs from working meanwhile. What it waits for is shown in the
    /// progress, and the time does not count as the job's own.
    ///
    /// # Errors
    /// `Cancelled` as soon as the job is to stop.
    pub async fn wait_aside<T>(&self, waiting_for: &str, turn: impl Future<Output = T>) -> Result<T> {
        let phase = self.progress.now().phase;
        self.progress.update(|progress| {
            progress.phase = Phase::Waiting;
            progress.waiting_for = Some(waiting_for.to_owned());
        });
        let waited = async {
            match &self.seat {
                Some(seat) => seat.aside(turn).await,
                None => turn.await,
            }
        };
        let waited = tokio::select! {
            waited = waited => Ok(waited),
            () = self.cancel.cancelled() => Err(Error::cancelled(format!("wait for {waiting_for}"))),
        };
        self.progress.update(|progress| {
            progress.phase = phase;
            progress.waiting_for = None;
        });
        waited
    }

    /// Writes a line into the job's log, and into the program's.
    pub fn log(&self, level: LogLevel, line: impl Into<String>) {
        let line = line.into();
        match level {
            LogLevel::Info => tracing::info!(job = %self.id, "{line}"),
            LogLevel::Warning => tracing::warn!(job = %self.id, "{line}"),
            LogLevel::Error => tracing::error!(job = %self.id, "{line}"),
        }
        // A manager that has gone no longer keeps lines; the program's log has them.
        let _ = self.log.send((level, line));
    }
}

/// The writing end of a job's progress: a latest value that anybody may watch.
#[derive(Debug, Clone)]
pub struct RunProgress {
    sender: Arc<watch::Sender<Progress>>,
    highest: Arc<Mutex<f64>>,
}

impl RunProgress {
    fn new() -> Self {
        RunProgress { sender: Arc::new(watch::Sender::default()), highest: Arc::default() }
    }

    /// Changes the value. The fraction is kept within 0 to 1 and never falls.
    pub fn update(&self, change: impl FnOnce(&mut Progress)) {
        self.sender.send_modify(|progress| {
            change(progress);
            let mut highest = self.highest.lock().expect("no holder of this lock panics");
            *highest = highest.max(progress.fraction.clamp(0.0, 1.0));
            progress.fraction = *highest;
        });
    }

    /// The value now.
    pub fn now(&self) -> Progress {
        self.sender.borrow().clone()
    }

    /// Follows the value.
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.sender.subscribe()
    }
}

/// What a completed job made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The VM's name.
    pub vm_name: String,
    /// The directory the package is in.
    pub output_dir: String,
    /// The package's main file: the OVA, or the descriptor of an OVF directory.
    pub ovf_path: String,
    /// Every file of the package.
    pub files: Vec<OutcomeFile>,
    /// Bytes of the package on storage.
    pub total_size: u64,
    /// Seconds from start to end.
    pub duration_seconds: f64,
    /// SHA-256 of the manifest, lower-case hexadecimal: one value that stands for the whole package.
    pub checksum: String,
    /// Warnings worth a look.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeFile {
    /// Its name in the package.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// The source attested the bytes it came as.
    #[serde(default)]
    pub attested: bool,
    /// Its size in bytes as it came from the source; another one if it was compressed or converted.
    #[serde(default)]
    pub source_size: u64,
    /// The SHA-256 of what came from the source, lower-case hexadecimal.
    #[serde(default)]
    pub source_sha256: String,
    /// The SHA-256 that the source names for what it sent, lower-case hexadecimal; `None` if it names none. An
    /// export in which the two differ fails.
    #[serde(default)]
    pub host_sha256: Option<String>,
    /// If it is cut in chunks, these, in order; its own size and digest are those of the whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<OutcomeChunk>,
}

/// A piece of a file that is cut in chunks: a file of its own in the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeChunk {
    /// Its name in the package.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest as the manifest has it, lower-case hexadecimal.
    pub digest: String,
}
