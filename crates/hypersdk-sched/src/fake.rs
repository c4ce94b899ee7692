//! A launcher that does what it is told, for tests of whatever fires schedules.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hypersdk_core::{Error, ErrorKind, Event, EventKind, EventLog, JobId, Result, ScheduleId, Seq};
use tokio::sync::watch;

use crate::firing::Firing;
use crate::launcher::{Launcher, Standing};
use crate::schedule::Schedule;

/// A launcher whose jobs, one a firing, stay open until they are told to end; and the log that tells so.
#[derive(Debug, Default)]
pub struct FakeLauncher {
    state: watch::Sender<State>,
    latest: watch::Sender<Seq>,
    plan: Mutex<VecDeque<ErrorKind>>,
    takes: Duration,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<(ScheduleId, DateTime<Utc>)>,
    jobs: BTreeMap<JobId, Option<bool>>,
    cancelled: Vec<JobId>,
    events: Vec<Event>,
}

impl State {
    fn tell(&mut self, kind: EventKind, job: JobId) {
        let seq = Seq(self.events.len() as i64 + 1);
        self.events.push(Event {
            seq,
            time: Utc::now(),
            kind,
            job: Some(job),
            data: serde_json::Value::Null,
        });
    }
}

impl FakeLauncher {
    /// A launcher that fails with these kinds first.
    pub fn failing(kinds: impl IntoIterator<Item = ErrorKind>) -> Self {
        FakeLauncher { plan: Mutex::new(kinds.into_iter().collect()), ..FakeLauncher::default() }
    }

    /// A launcher that takes so long each time.
    pub fn slow(takes: Duration) -> Self {
        FakeLauncher { takes, ..FakeLauncher::default() }
    }

    /// Every successful launch so far.
    pub fn launched(&self) -> Vec<(ScheduleId, DateTime<Utc>)> {
        self.state.borrow().calls.clone()
    }

    /// How many jobs there ever were: launching a firing twice makes none twice.
    pub fn jobs(&self) -> Vec<JobId> {
        self.state.borrow().jobs.keys().cloned().collect()
    }

    /// The jobs that were asked to stop.
    pub fn cancelled(&self) -> Vec<JobId> {
        self.state.borrow().cancelled.clone()
    }

    /// Waits until there were `count` jobs.
    pub async fn until_jobs(&self, count: usize) {
        let mut state = self.state.subscribe();
        state.wait_for(|state| state.jobs.len() >= count).await.expect("the sender is in self");
    }

    /// Ends every open job, well or not.
    pub fn end_all(&self, well: bool) {
        self.state.send_modify(|state| {
            let open = state.jobs.iter_mut().filter(|(_, end)| end.is_none());
            let ended: Vec<JobId> = open
                .map(|(job, end)| {
                    *end = Some(well);
                    job.clone()
                })
                .collect();
            let kind = if well { EventKind::JobCompleted } else { EventKind::JobFailed };
            ended.into_iter().for_each(|job| state.tell(kind, job));
        });
        self.announce();
    }

    fn announce(&self) {
        self.latest.send_replace(Seq(self.state.borrow().events.len() as i64));
    }
}

#[async_trait]
impl Launcher for FakeLauncher {
    async fn launch(&self, schedule: &Schedule, firing: &Firing) -> Result<Vec<JobId>> {
        if let Some(kind) = self.plan.lock().expect("no holder of this lock panics").pop_front() {
            return Err(Error::new(kind, "fake launch", "told to fail"));
        }
        tokio::time::sleep(self.takes).await;
        let text = format!("{}-{}", schedule.id, firing.planned_at.timestamp_micros());
        let job: JobId = text.parse().expect("a schedule's id and a number");
        self.state.send_modify(|state| {
            state.calls.push((schedule.id.clone(), firing.planned_at));
            state.jobs.entry(job.clone()).or_insert(None);
        });
        Ok(vec![job])
    }

    async fn standing(&self, jobs: &[JobId]) -> Result<Standing> {
        let state = self.state.borrow();
        let mut standing = Standing::default();
        for job in jobs {
            if state.cancelled.contains(job) {
                standing.cancelled += 1;
                continue;
            }
            match state.jobs.get(job) {
                Some(None) => standing.open.push(job.clone()),
                Some(Some(false)) => standing.failed.push((job.clone(), "told to fail".to_owned())),
                Some(Some(true)) | None => {}
            }
        }
        Ok(standing)
    }

    async fn cancel(&self, jobs: &[JobId]) -> Result<()> {
        self.state.send_modify(|state| {
            for job in jobs {
                state.cancelled.push(job.clone());
                state.jobs.insert(job.clone(), Some(true));
                state.tell(EventKind::JobCancelled, job.clone());
            }
        });
        self.announce();
        Ok(())
    }
}

#[async_trait]
impl EventLog for FakeLauncher {
    async fn read_after(&self, after: Seq, job: Option<&JobId>, limit: usize) -> Result<Vec<Event>> {
        let state = self.state.borrow();
        let wanted = state.events.iter().filter(|event| event.seq > after);
        let wanted = wanted.filter(|event| job.is_none() || event.job.as_ref() == job);
        Ok(wanted.take(limit).cloned().collect())
    }

    fn latest(&self) -> watch::Receiver<Seq> {
        self.latest.subscribe()
    }
}
