//! One attempt at a job, from its claim to what became of it.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::claim::Held;
use super::retry::Limits;
use super::{Inner, STOP_PATIENCE, logbook, retry};
use crate::error::{Error, ErrorKind, Result};
use crate::id::JobId;
use crate::job::seat::Seat;
use crate::job::{Claim, Job, JobContext, JobStatus, LogLevel, LogLine, Outcome, RunProgress, Settled};
use crate::progress::{Phase, Progress};

/// The first and the longest wait between two tries to write how an attempt ended.
const SETTLE_WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Why an attempt was told to stop. The first reason counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody cancelled the job.
    User,
    /// The manager stops.
    Drain,
    /// It took too long.
    Timeout,
    /// The job is another's now.
    Lost,
}

/// What others may know of an attempt, and do to it.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) fence: i64,
    pub(super) attempt: u32,
    pub(super) progress: RunProgress,
    cancel: CancellationToken,
    why: OnceLock<Stop>,
    lost: CancellationToken,
}

impl Running {
    /// Waits until the runner is told to stop.
    pub(super) async fn stopped(&self) {
        self.cancel.cancelled().await;
    }

    /// Tells the runner to stop.
    pub(super) fn stop(&self, why: Stop) {
        if why == Stop::Lost {
            self.lost.cancel();
        }
        self.why.get_or_init(|| why);
        self.cancel.cancel();
    }
}

/// Enters the claimed job into the map and begins its attempt.
pub(super) fn spawn(inner: &Arc<Inner>, claim: Claim, seat: Seat) {
    let Claim { job, fence } = claim;
    let cancel = CancellationToken::new();
    let (context, lines) = JobContext::new(job.id.clone(), job.attempt, cancel.clone());
    let limits = Limits::of(&job.spec, inner.retries());
    let seat = Arc::new(seat);
    let context = context.seated(seat.clone());
    let running = Arc::new(Running {
        fence,
        attempt: job.attempt,
        progress: context.progress.clone(),
        cancel,
        why: OnceLock::new(),
        lost: CancellationToken::new(),
    });
    inner.running().insert(job.id.clone(), running.clone());
    let held = Held { inner: inner.clone(), job: job.id.clone(), running: running.clone() };
    let context = context.with_claim(Arc::new(held));
    let end = CancellationToken::new();
    let (store, clock) = (inner.store.clone(), inner.config.clock.clone());
    let log = inner.work.spawn(logbook::keep(store, (job.id.clone(), fence), clock, lines, end.clone()));
    let inner = inner.clone();
    inner.work.clone().spawn(async move {
        let text = format!("attempt {} started by {}", job.attempt, inner.owner);
        context.log(LogLevel::Info, text);
        let result = run(&inner, &job, context, &running, &seat, limits.timeout).await;
        if running.lost.is_cancelled() {
            // The job is another's: not even its log is ours to write.
            log.abort();
        }
        end.cancel();
        if let Err(error) = log.await
            && error.is_panic()
        {
            tracing::error!(job = %job.id, %error, "the task that writes the job's log died");
        }
        let stop = running.why.get().copied();
        let now = inner.config.clock.now();
        let settled = retry::decide(result, stop, job.failures, &limits, now, fastrand::f64());
        let ended = settle(&inner, &job, &running, settled).await;
        if let Some(ended) = &ended {
            let (level, message) = closing_line(ended, &inner, &limits);
            note(&inner, ended, level, message).await;
        }
        drop(seat);
        leave(&inner, &job, ended);
    });
}

/// Has what earlier attempts have left removed, if the job was cancelled between two. Goes on by itself.
pub(super) fn discard(inner: &Arc<Inner>, id: JobId) {
    let owned = Arc::clone(inner);
    inner.work.spawn(async move {
        let discard = async {
            match owned.store.get(&id).await? {
                Some(job) if job.status == JobStatus::Cancelled && job.attempt > 0 => {
                    owned.runner.discard(&job.spec, &job.id, job.attempt).await
                }
                _ => Ok(()),
            }
        };
        if let Err(error) = discard.await {
            tracing::warn!(job = %id, error = %error.chain(), "what a cancelled job left is still there");
        }
    });
}

/// Runs the runner to its end, whatever that is: a result, a panic, a deadline or deafness.
async fn run(
    inner: &Arc<Inner>,
    job: &Job,
    context: JobContext,
    running: &Running,
    seat: &Seat,
    timeout: Option<Duration>,
) -> Result<Outcome> {
    let (runner, spec) = (inner.runner.clone(), job.spec.clone());
    let cancel = context.cancel.clone();
    let span = tracing::info_span!("job", job = %job.id, attempt = job.attempt);
    let work = async move {
        AssertUnwindSafe(runner.run(&spec, context)).catch_unwind().await.unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            Err(Error::new(ErrorKind::Internal, "run job", format!("the runner panicked: {text}")))
        })
    };
    let mut task = inner.work.spawn(work.instrument(span));
    let deadline = async {
        match timeout {
            Some(limit) => worked_for(limit, seat).await,
            None => std::future::pending().await,
        }
    };
    let joined = tokio::select! {
        joined = &mut task => Some(joined),
        () = deadline => {
            running.stop(Stop::Timeout);
            tokio::time::timeout(STOP_PATIENCE, &mut task).await.ok()
        }
        () = async {
            cancel.cancelled().await;
            tokio::time::sleep(STOP_PATIENCE).await;
        } => None,
    };
    match joined {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(Error::new(ErrorKind::Internal, "run job", error.to_string())),
        None => {
            task.abort();
            tracing::error!(job = %job.id, "the runner did not stop when told to; its task was dropped");
            Err(Error::cancelled("run job"))
        }
    }
}

/// Returns when the attempt has worked for `limit`; the time it waited for its turn does not count.
async fn worked_for(limit: Duration, seat: &Seat) {
    let begun = tokio::time::Instant::now();
    loop {
        let due = begun + limit + seat.waited();
        if due <= tokio::time::Instant::now() {
            return;
        }
        tokio::time::sleep_until(due).await;
    }
}

/// Writes how the attempt ended, again and again until that works. `None` if the claim was lost, or the
/// manager gave up: nothing was written then.
async fn settle(inner: &Inner, job: &Job, running: &Running, settled: Settled) -> Option<Job> {
    let progress = last_progress(&settled, running.progress.now());
    let mut wait = SETTLE_WAITS.0;
    loop {
        if running.lost.is_cancelled() {
            tracing::warn!(job = %job.id, "another process took the job; its attempt here is dropped");
            return None;
        }
        match inner.store.settle(&job.id, running.fence, settled.clone(), progress.clone()).await {
            Ok(job) => return Some(job),
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {
                tracing::warn!(job = %job.id, error = %error.chain(), "the attempt's end was not written");
                return None;
            }
            Err(error) => {
                tracing::error!(job = %job.id, error = %error.chain(), "cannot write the attempt's end; will try again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait.mul_f64(0.75 + fastrand::f64() / 2.0)) => {}
            () = running.lost.cancelled() => {}
            () = inner.abandon.cancelled() => return None,
        }
        wait = (wait * 2).min(SETTLE_WAITS.1);
    }
}

/// The progress an ended attempt leaves: complete, as far as it got, or none for one that waits.
fn last_progress(settled: &Settled, now: Progress) -> Progress {
    let still = Progress { bytes_per_second: 0.0, remaining_seconds: None, ..now };
    match settled {
        Settled::Completed(_) => {
            Progress { phase: Phase::Done, fraction: 1.0, remaining_seconds: Some(0.0), ..still }
        }
        Settled::Failed(_) | Settled::Cancelled => still,
        Settled::Requeued { .. } => Progress::default(),
    }
}

/// What the job's log says of how the attempt ended.
fn closing_line(job: &Job, inner: &Inner, limits: &Limits) -> (LogLevel, String) {
    let attempt = job.attempt;
    match (job.status, &job.outcome, &job.failure) {
        (JobStatus::Completed, Some(outcome), _) => {
            (LogLevel::Info, format!("completed: {} ({} bytes)", outcome.ovf_path, outcome.total_size))
        }
        (JobStatus::Failed, _, Some(failure)) => {
            let advice = failure.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
            (LogLevel::Error, format!("attempt {attempt} failed for good: {}{advice}", failure.message))
        }
        (JobStatus::Pending, _, Some(failure)) => {
            let wait = job.not_before.map(|instant| instant - inner.config.clock.now());
            let text = format!(
                "attempt {attempt} failed: {}; retry {} of {} in {:.1} s",
                failure.message,
                job.failures,
                limits.retry_attempts,
                wait.and_then(|wait| wait.to_std().ok()).unwrap_or_default().as_secs_f64(),
            );
            (LogLevel::Warning, text)
        }
        (JobStatus::Pending, ..) => {
            (LogLevel::Info, format!("attempt {attempt} was interrupted; the job is pending again"))
        }
        (status, ..) => (LogLevel::Info, status.to_string()),
    }
}

/// Writes a line of the manager's own into the job's log and the program's.
async fn note(inner: &Inner, job: &Job, level: LogLevel, message: String) {
    match level {
        LogLevel::Info => tracing::info!(job = %job.id, "{message}"),
        LogLevel::Warning => tracing::warn!(job = %job.id, "{message}"),
        LogLevel::Error => tracing::error!(job = %job.id, "{message}"),
    }
    let line = LogLine { time: inner.config.clock.now(), level, message };
    // Without a fence: one that is pending again may be another's by now, but it was ours to settle.
    if let Err(error) = inner.store.append_log(&job.id, None, &[line]).await {
        tracing::warn!(job = %job.id, error = %error.chain(), "cannot write the job's log");
    }
}

/// Takes the attempt out of the map and makes room for the next job.
fn leave(inner: &Inner, job: &Job, ended: Option<Job>) {
    inner.running().remove(&job.id);
    if let Some(report) = &mut *inner.drained.lock().expect("no holder of this lock panics") {
        let list = match ended.map(|job| job.status) {
            Some(JobStatus::Pending) => &mut report.requeued,
            Some(_) => &mut report.ended,
            None => &mut report.abandoned,
        };
        list.push(job.id.clone());
    }
    inner.wake.notify_one();
}
