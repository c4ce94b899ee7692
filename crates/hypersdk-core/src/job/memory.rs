//! A store in memory: for tests, and for programs whose jobs need not outlive them.

mod catalogue;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use tokio::sync::watch;

use super::{
    CancelOutcome, Claim, Claimant, Clock, Job, JobCounts, JobPage, JobQuery, JobStatus, JobStore, Lane,
    LogLine, NewJob, Node, NodeReport, NodeStore, Owner, Settled, StopReason, take_turns,
};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventKind, EventLog};
use crate::id::{JobId, Seq};
use crate::package::Package;
use crate::progress::Progress;

/// Jobs, events and logs in memory.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Clock,
    rows: Mutex<Rows>,
    latest: watch::Sender<Seq>,
}

#[derive(Debug, Default)]
struct Rows {
    /// In the order they were accepted.
    jobs: Vec<Row>,
    places: HashMap<JobId, usize>,
    events: Vec<Event>,
    newest: Seq,
    nodes: BTreeMap<String, Node>,
    /// In the order they were made.
    packages: Vec<Package>,
}

#[derive(Debug)]
struct Row {
    job: Job,
    fence: i64,
    owner: Option<Owner>,
    heard_at: DateTime<Utc>,
    log: Vec<LogLine>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        MemoryStore::with_clock(Clock::system())
    }

    /// An empty store that takes the time from `clock`.
    pub fn with_clock(clock: Clock) -> Self {
        MemoryStore { clock, rows: Mutex::default(), latest: watch::Sender::new(Seq::START) }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().expect("no holder of this lock panics")
    }

    /// Says that the log has grown, after the rows are unlocked.
    fn announce(&self, seq: Seq) {
        self.latest.send_if_modified(|latest| {
            let grown = seq > *latest;
            *latest = seq.max(*latest);
            grown
        });
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new()
    }
}

impl Rows {
    fn row(&mut self, id: &JobId, operation: &'static str) -> Result<&mut Row> {
        let place = *self.places.get(id).ok_or_else(|| unknown(id, operation))?;
        Ok(&mut self.jobs[place])
    }

    fn append(&mut self, kind: EventKind, place: usize, time: DateTime<Utc>) {
        let job = &self.jobs[place].job;
        let (id, data) = (job.id.clone(), job.event_data(kind));
        self.newest = self.newest.next();
        self.events.push(Event { seq: self.newest, time, kind, job: Some(id), data });
    }

    fn newest(&self) -> Seq {
        self.newest
    }

    /// True if a job that this one comes after is unfinished.
    fn is_blocked(&self, job: &Job) -> bool {
        job.spec.after.iter().any(|id| match self.places.get(id) {
            Some(place) => self.jobs[*place].job.status != JobStatus::Completed,
            // Forgotten since: only completed ones are while somebody comes after them.
            None => false,
        })
    }

    /// Ends what was to come after a job that ended without being completed, and so on.
    fn forgo_after(&mut self, place: usize, now: DateTime<Utc>) -> Result<()> {
        let mut ended = vec![place];
        while let Some(place) = ended.pop() {
            let (id, status) = (self.jobs[place].job.id.clone(), self.jobs[place].job.status);
            if !status.is_final() || status == JobStatus::Completed {
                continue;
            }
            for place in 0..self.jobs.len() {
                let job = &mut self.jobs[place].job;
                if job.status == JobStatus::Pending && job.spec.after.contains(&id) {
                    let kind = job.forgo(&id, status, now).map_err(|illegal| refused(&illegal, "end job"))?;
                    self.append(kind, place, now);
                    ended.push(place);
                }
            }
        }
        Ok(())
    }
}

fn unknown(id: &JobId, operation: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, operation, format!("there is no job {id}"))
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Job>> {
        let now = self.clock.now();
        let mut rows = self.rows();
        let mut seen = HashSet::new();
        if let Some(taken) =
            jobs.iter().find(|job| rows.places.contains_key(&job.id) || !seen.insert(&job.id))
        {
            let message = format!("a job {} exists already", taken.id);
            return Err(Error::new(ErrorKind::Conflict, "submit jobs", message));
        }
        let mut before = HashSet::new();
        for job in &jobs {
            for id in &job.spec.after {
                let status = rows.places.get(id).map(|place| rows.jobs[*place].job.status);
                if !before.contains(id) && status.is_none_or(is_failed) {
                    return Err(cannot_come_after(&job.id, id, status));
                }
            }
            before.insert(&job.id);
        }
        let mut accepted = Vec::with_capacity(jobs.len());
        for new in jobs {
            let job = Job::accepted(new, now);
            accepted.push(job.clone());
            let place = rows.jobs.len();
            rows.places.insert(job.id.clone(), place);
            rows.jobs.push(Row { job, fence: 0, owner: None, heard_at: now, log: Vec::new() });
            rows.append(EventKind::JobCreated, place, now);
        }
        let newest = rows.newest();
        drop(rows);
        self.announce(newest);
        Ok(accepted)
    }

    async fn claim(&self, claimant: &Claimant, limit: usize) -> Result<Vec<Claim>> {
        let now = self.clock.now();
        let owner = &claimant.owner;
        let mut rows = self.rows();
        let mut lanes: BTreeMap<Lane, (u64, Vec<usize>)> = BTreeMap::new();
        for (place, row) in rows.jobs.iter().enumerate() {
            let job = &row.job;
            let lane = || Lane::of(&job.spec);
            match job.status {
                JobStatus::Running => lanes.entry(lane()).or_default().0 += 1,
                JobStatus::Pending
                    if job.not_before.is_none_or(|instant| instant <= now) && !rows.is_blocked(job) =>
                {
                    lanes.entry(lane()).or_default().1.push(place);
                }
                _ => {}
            }
        }
        lanes.retain(|lane, _| claimant.serves(lane));
        let due = take_turns(lanes.into_values().collect(), limit, |place| {
            (rows.jobs[*place].job.spec.priority, i64::try_from(*place).unwrap_or(i64::MAX))
        });
        let mut claims = Vec::with_capacity(due.len());
        for place in due {
            let row = &mut rows.jobs[place];
            let kind = row.job.start(now).map_err(|illegal| refused(&illegal, "claim jobs"))?;
            row.fence += 1;
            row.owner = Some(owner.clone());
            row.heard_at = now;
            claims.push(Claim { job: row.job.clone(), fence: row.fence });
            rows.append(kind, place, now);
        }
        let newest = rows.newest();
        drop(rows);
        self.announce(newest);
        Ok(claims)
    }

    async fn heartbeat(
        &self,
        owner: &Owner,
        jobs: &[(JobId, i64, Progress)],
    ) -> Result<Vec<(JobId, StopReason)>> {
        let now = self.clock.now();
        let mut rows = self.rows();
        let mut stop = Vec::new();
        for (id, fence, progress) in jobs {
            match rows.row(id, "keep claims") {
                Ok(row) if row.owner.as_ref() == Some(owner) && row.fence == *fence => {
                    row.heard_at = now;
                    row.job.progress = progress.clone();
                    row.job.updated_at = now;
                    if row.job.cancel_requested {
                        stop.push((id.clone(), StopReason::CancelRequested));
                    }
                }
                _ => stop.push((id.clone(), StopReason::ClaimLost)),
            }
        }
        Ok(stop)
    }

    async fn settle(&self, id: &JobId, fence: i64, settled: Settled, progress: Progress) -> Result<Job> {
        let now = self.clock.now();
        let settled = match settled {
            Settled::Requeued { failure, not_before } => {
                Settled::Requeued { failure, not_before: not_before.map(|instant| instant.trunc_subsecs(6)) }
            }
            settled => settled,
        };
        let mut rows = self.rows();
        let row = rows.row(id, "settle job")?;
        if row.fence != fence || row.owner.is_none() {
            let message = format!("the claim on job {id} was lost");
            return Err(Error::new(ErrorKind::Conflict, "settle job", message));
        }
        let kind =
            row.job.settle(settled, progress, now).map_err(|illegal| refused(&illegal, "settle job"))?;
        row.owner = None;
        let job = row.job.clone();
        let place = rows.places[id];
        rows.append(kind, place, now);
        rows.enter_package(&job, now)?;
        rows.forgo_after(place, now)?;
        let newest = rows.newest();
        drop(rows);
        self.announce(newest);
        Ok(job)
    }

    async fn recover(&self, owner: &Owner, silence: Duration) -> Result<Vec<JobId>> {
        let now = self.clock.now();
        let mut rows = self.rows();
        let mut taken_back = Vec::new();
        for place in 0..rows.jobs.len() {
            let row = &mut rows.jobs[place];
            let gone = match &row.owner {
                None => false,
                Some(other) if silence.is_zero() => other != owner,
                Some(_) => row.heard_at + silence <= now,
            };
            if gone {
                let kind = row.job.take_back(now).map_err(|illegal| refused(&illegal, "recover jobs"))?;
                row.owner = None;
                taken_back.push(row.job.id.clone());
                rows.append(kind, place, now);
                rows.forgo_after(place, now)?;
            }
        }
        let newest = rows.newest();
        drop(rows);
        self.announce(newest);
        Ok(taken_back)
    }

    async fn cancel(&self, id: &JobId) -> Result<CancelOutcome> {
        let now = self.clock.now();
        let mut rows = self.rows();
        let (outcome, kind) = rows.row(id, "cancel job")?.job.ask_to_stop(now);
        if let Some(kind) = kind {
            let place = rows.places[id];
            rows.append(kind, place, now);
            rows.forgo_after(place, now)?;
        }
        let newest = rows.newest();
        drop(rows);
        self.announce(newest);
        Ok(outcome)
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>> {
        let rows = self.rows();
        Ok(rows.places.get(id).map(|place| rows.jobs[*place].job.clone()))
    }

    async fn list(&self, query: &JobQuery) -> Result<JobPage> {
        let rows = self.rows();
        let end = match &query.before {
            Some(id) => *rows.places.get(id).ok_or_else(|| unknown(id, "list jobs"))?,
            None => rows.jobs.len(),
        };
        let mut found = rows.jobs[..end].iter().rev().map(|row| &row.job).filter(|job| {
            (query.statuses.is_empty() || query.statuses.contains(&job.status))
                && (query.ids.is_empty() || query.ids.contains(&job.id))
        });
        let jobs: Vec<Job> = found.by_ref().take(query.limit).cloned().collect();
        let next = found.next().and_then(|_| jobs.last()).map(|job| job.id.clone());
        Ok(JobPage { jobs, next })
    }

    async fn counts(&self) -> Result<JobCounts> {
        let mut counts = JobCounts::default();
        for row in &self.rows().jobs {
            *counts.of_mut(row.job.status) += 1;
        }
        Ok(counts)
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>> {
        let rows = self.rows();
        let waiting = rows.jobs.iter().filter(|row| row.job.status == JobStatus::Pending);
        Ok(waiting.filter_map(|row| row.job.not_before).min())
    }

    async fn append_log(&self, id: &JobId, fence: Option<i64>, lines: &[LogLine]) -> Result<()> {
        let mut rows = self.rows();
        let row = rows.row(id, "write job log")?;
        if fence.is_some_and(|fence| fence != row.fence) {
            let message = format!("the claim on job {id} was lost");
            return Err(Error::new(ErrorKind::Conflict, "write job log", message));
        }
        row.log.extend_from_slice(lines);
        Ok(())
    }

    async fn log(&self, id: &JobId) -> Result<Vec<LogLine>> {
        Ok(self.rows().row(id, "read job log")?.log.clone())
    }

    async fn prune(
        &self,
        keep: Option<u64>,
        before: Option<DateTime<Utc>>,
        seen: Seq,
        limit: usize,
    ) -> Result<usize> {
        let mut rows = self.rows();
        let wanted: HashSet<JobId> = rows
            .jobs
            .iter()
            .filter(|row| row.job.status == JobStatus::Pending)
            .flat_map(|row| row.job.spec.after.iter().cloned())
            .collect();
        let ended: Vec<&Job> =
            rows.jobs.iter().rev().map(|row| &row.job).filter(|job| job.status.is_final()).collect();
        let mut gone: Vec<JobId> = ended
            .iter()
            .enumerate()
            .filter(|(index, job)| {
                let old = job.completed_at.zip(before).is_some_and(|(ended, before)| ended < before);
                let beyond = keep.is_some_and(|keep| *index as u64 >= keep);
                let told =
                    rows.events.iter().all(|event| event.job.as_ref() != Some(&job.id) || event.seq <= seen);
                (old || beyond) && told && !wanted.contains(&job.id)
            })
            .map(|(_, job)| job.id.clone())
            .collect();
        gone.reverse();
        gone.truncate(limit);
        let gone: HashSet<JobId> = gone.into_iter().collect();
        rows.events.retain(|event| event.job.as_ref().is_none_or(|id| !gone.contains(id)));
        rows.jobs.retain(|row| !gone.contains(&row.job.id));
        let places = rows.jobs.iter().enumerate().map(|(place, row)| (row.job.id.clone(), place)).collect();
        rows.places = places;
        Ok(gone.len())
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl NodeStore for MemoryStore {
    async fn report(&self, report: &NodeReport) -> Result<bool> {
        let heard_at = self.clock.now();
        let mut rows = self.rows();
        let paused = rows.nodes.get(&report.name).is_some_and(|node| node.paused);
        rows.nodes.insert(report.name.clone(), Node { report: report.clone(), heard_at, paused });
        Ok(paused)
    }

    async fn nodes(&self) -> Result<(Vec<Node>, DateTime<Utc>)> {
        Ok((self.rows().nodes.values().cloned().collect(), self.clock.now()))
    }

    async fn set_paused(&self, name: &str, paused: bool) -> Result<()> {
        match self.rows().nodes.get_mut(name) {
            Some(node) => {
                node.paused = paused;
                Ok(())
            }
            None => Err(Error::new(ErrorKind::NotFound, "pause node", format!("there is no node {name}"))),
        }
    }
}

fn is_failed(status: JobStatus) -> bool {
    status.is_final() && status != JobStatus::Completed
}

fn cannot_come_after(job: &JobId, after: &JobId, status: Option<JobStatus>) -> Error {
    let message = match status {
        None => format!("job {job} is to come after {after}, which neither exists nor stands before it"),
        Some(status) => format!("job {job} is to come after {after}, which is {status}"),
    };
    Error::new(ErrorKind::Invalid, "submit jobs", message)
}

fn refused(illegal: &super::IllegalTransition, operation: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, operation, illegal.to_string())
}

#[async_trait]
impl EventLog for MemoryStore {
    async fn read_after(&self, after: Seq, job: Option<&JobId>, limit: usize) -> Result<Vec<Event>> {
        let rows = self.rows();
        let start = rows.events.partition_point(|event| event.seq <= after);
        let wanted =
            rows.events[start..].iter().filter(|event| job.is_none_or(|id| event.job.as_ref() == Some(id)));
        Ok(wanted.take(limit).cloned().collect())
    }

    fn latest(&self) -> watch::Receiver<Seq> {
        self.latest.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::job::conformance;
    use crate::package::PackageCatalogue;

    #[tokio::test]
    async fn it_does_what_every_store_does() {
        conformance::job_store(&|clock| {
            Box::pin(async { Arc::new(MemoryStore::with_clock(clock)) as Arc<dyn JobStore> })
        })
        .await;
        conformance::node_store(Arc::new(MemoryStore::new())).await;
        crate::package::conformance::package_catalogue(&|clock| {
            Box::pin(async {
                let store = Arc::new(MemoryStore::with_clock(clock));
                (store.clone() as Arc<dyn JobStore>, store as Arc<dyn PackageCatalogue>)
            })
        })
        .await;
    }
}
