//! A store whose `settle` fails for a while.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Result};
use crate::job::{
    CancelOutcome, Claim, Claimant, Clock, Job, JobCounts, JobPage, JobQuery, JobStore, LogLine, MemoryStore,
    NewJob, Owner, Settled, StopReason,
};
use crate::{Event, EventLog, JobId, Progress, Seq};

#[derive(Debug)]
pub(super) struct FlakyStore {
    inner: MemoryStore,
    /// How many calls are still to fail, and how many have.
    settles: Mutex<(u32, u32)>,
}

impl FlakyStore {
    pub(super) fn new(clock: Clock) -> Self {
        FlakyStore { inner: MemoryStore::with_clock(clock), settles: Mutex::default() }
    }

    pub(super) fn fail_settles(&self, count: u32) {
        self.settles.lock().unwrap().0 = count;
    }

    pub(super) fn failed_settles(&self) -> u32 {
        self.settles.lock().unwrap().1
    }
}

#[async_trait]
impl JobStore for FlakyStore {
    async fn settle(&self, id: &JobId, fence: i64, settled: Settled, progress: Progress) -> Result<Job> {
        {
            let (left, failed) = &mut *self.settles.lock().unwrap();
            if *left > 0 {
                *left -= 1;
                *failed += 1;
                return Err(Error::new(ErrorKind::NoSpace, "settle job", "the disk is full"));
            }
        }
        self.inner.settle(id, fence, settled, progress).await
    }

    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Job>> {
        self.inner.submit(jobs).await
    }

    async fn claim(&self, claimant: &Claimant, limit: usize) -> Result<Vec<Claim>> {
        self.inner.claim(claimant, limit).await
    }

    async fn heartbeat(
        &self,
        owner: &Owner,
        jobs: &[(JobId, i64, Progress)],
    ) -> Result<Vec<(JobId, StopReason)>> {
        self.inner.heartbeat(owner, jobs).await
    }

    async fn recover(&self, owner: &Owner, silence: Duration) -> Result<Vec<JobId>> {
        self.inner.recover(owner, silence).await
    }

    async fn cancel(&self, id: &JobId) -> Result<CancelOutcome> {
        self.inner.cancel(id).await
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>> {
        self.inner.get(id).await
    }

    async fn list(&self, query: &JobQuery) -> Result<JobPage> {
        self.inner.list(query).await
    }

    async fn counts(&self) -> Result<JobCounts> {
        self.inner.counts().await
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>> {
        self.inner.next_due().await
    }

    async fn append_log(&self, id: &JobId, fence: Option<i64>, lines: &[LogLine]) -> Result<()> {
        self.inner.append_log(id, fence, lines).await
    }

    async fn log(&self, id: &JobId) -> Result<Vec<LogLine>> {
        self.inner.log(id).await
    }

    async fn prune(
        &self,
        keep: Option<u64>,
        before: Option<DateTime<Utc>>,
        seen: Seq,
        limit: usize,
    ) -> Result<usize> {
        self.inner.prune(keep, before, seen, limit).await
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}

#[async_trait]
impl EventLog for FlakyStore {
    async fn read_after(&self, after: Seq, job: Option<&JobId>, limit: usize) -> Result<Vec<Event>> {
        self.inner.read_after(after, job, limit).await
    }

    fn latest(&self) -> watch::Receiver<Seq> {
        self.inner.latest()
    }
}
