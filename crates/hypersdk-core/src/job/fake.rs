//! A runner that does what it is told, for tests of whatever manages jobs.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{JobContext, JobSpec, LogLevel, Outcome, Runner};
use crate::error::{Error, ErrorKind, Result, RetryHint};
use crate::id::JobId;
use crate::progress::Phase;

/// What one run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FakeRun {
    /// Completes after this long, unless it is cancelled.
    Succeed(Duration),
    /// Fails with this kind.
    Fail(ErrorKind),
    /// Fails with `Unavailable` and says when to come back.
    Busy(Duration),
    /// Panics.
    Panic,
    /// Goes half way and waits there until [`FakeRunner::release`], then completes; heeds its cancellation.
    Hold,
    /// Waits aside, its place free for others, until [`FakeRunner::release`].
    Aside,
    /// As `Hold`, but never looks whether it was cancelled.
    Deaf,
}

/// A runner that follows a plan, one entry a run in the order they start, and succeeds at once afterwards.
#[derive(Debug)]
pub struct FakeRunner {
    plan: Mutex<VecDeque<FakeRun>>,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    started: Vec<(JobId, u32)>,
    running: usize,
    peak: usize,
    released: bool,
    discarded: Vec<(JobId, u32)>,
}

impl FakeRunner {
    /// A runner with this plan.
    pub fn new(plan: impl IntoIterator<Item = FakeRun>) -> Self {
        FakeRunner { plan: Mutex::new(plan.into_iter().collect()), state: watch::Sender::default() }
    }

    /// Every run so far, by job and attempt, in the order they started.
    pub fn started(&self) -> Vec<(JobId, u32)> {
        self.state.borrow().started.clone()
    }

    /// Waits until `count` runs have started in all.
    pub async fn until_started(&self, count: usize) {
        let mut state = self.state.subscribe();
        state.wait_for(|state| state.started.len() >= count).await.expect("the sender is in self");
    }

    /// Waits until `count` jobs have been discarded, and gives them with their attempts.
    pub async fn discarded(&self, count: usize) -> Vec<(JobId, u32)> {
        let mut state = self.state.subscribe();
        let enough = state.wait_for(|state| state.discarded.len() >= count).await;
        enough.expect("the sender is in self").discarded.clone()
    }

    /// The most runs there ever were at one time.
    pub fn peak(&self) -> usize {
        self.state.borrow().peak
    }

    /// The runs there are now.
    pub fn running(&self) -> usize {
        self.state.borrow().running
    }

    /// Lets every run that holds, now or later, go on.
    pub fn release(&self) {
        self.state.send_modify(|state| state.released = true);
    }

    async fn released(&self) {
        let mut state = self.state.subscribe();
        state.wait_for(|state| state.released).await.expect("the sender is in self");
    }
}

/// Counts a run for as long as it lives, however it ends.
struct Running<'a>(&'a FakeRunner);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.running -= 1);
    }
}

#[async_trait]
impl Runner for FakeRunner {
    async fn run(&self, spec: &JobSpec, context: JobContext) -> Result<Outcome> {
        self.state.send_modify(|state| {
            state.started.push((context.id.clone(), context.attempt));
            state.running += 1;
            state.peak = state.peak.max(state.running);
        });
        let _running = Running(self);
        context.log(LogLevel::Info, format!("the fake runs {}", spec.vm));
        context.progress.update(|progress| {
            progress.phase = Phase::Exporting;
            progress.fraction = 0.5;
        });
        let next = self.plan.lock().expect("no holder of this lock panics").pop_front();
        match next.unwrap_or(FakeRun::Succeed(Duration::ZERO)) {
            FakeRun::Succeed(after) => or_cancelled(&context, tokio::time::sleep(after)).await?,
            FakeRun::Fail(kind) => return Err(Error::new(kind, "fake export", "told to fail")),
            FakeRun::Busy(pause) => {
                return Err(Error::new(ErrorKind::Unavailable, "fake export", "told to be busy")
                    .with_retry(RetryHint::After(pause)));
            }
            FakeRun::Panic => panic!("told to panic"),
            FakeRun::Hold => or_cancelled(&context, self.released()).await?,
            FakeRun::Aside => context.wait_aside("a turn", self.released()).await?,
            FakeRun::Deaf => self.released().await,
        }
        Ok(Outcome {
            vm_name: spec.vm.to_string(),
            output_dir: spec.output_dir.display().to_string(),
            ovf_path: spec.output_dir.join("fake.ova").display().to_string(),
            files: Vec::new(),
            total_size: 0,
            duration_seconds: 0.0,
            checksum: String::new(),
            warnings: Vec::new(),
        })
    }

    async fn discard(&self, _: &JobSpec, job: &JobId, attempts: u32) -> Result<()> {
        self.state.send_modify(|state| state.discarded.push((job.clone(), attempts)));
        Ok(())
    }
}

async fn or_cancelled(context: &JobContext, work: impl Future<Output = ()>) -> Result<()> {
    tokio::select! {
        () = work => Ok(()),
        () = context.cancel.cancelled() => Err(Error::cancelled("fake export")),
    }
}
