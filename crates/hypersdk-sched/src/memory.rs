//! A store in memory: for tests, and for programs whose schedules need not outlive them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hypersdk_core::{Clock, Error, ErrorKind, Event, EventLog, JobId, Owner, Result, ScheduleId, Seq};
use tokio::sync::watch;

use crate::change::NewEvent;
use crate::firing::{Firing, FiringKey, FiringState, Step};
use crate::plan::Accounting;
use crate::schedule::{NewSchedule, Schedule, ScheduleSpec};
use crate::store::{KEPT_FIRINGS, KEPT_FIRINGS_FOR, ScheduleStore};

/// Schedules, firings and their events in memory.
#[derive(Debug)]
pub struct MemorySchedules {
    clock: Clock,
    rows: Mutex<Rows>,
    latest: watch::Sender<Seq>,
}

#[derive(Debug, Default)]
struct Rows {
    schedules: BTreeMap<ScheduleId, Schedule>,
    firings: BTreeMap<FiringKey, Row>,
    events: Vec<Event>,
    changes: i64,
}

#[derive(Debug)]
struct Row {
    firing: Firing,
    claim: Option<(Owner, DateTime<Utc>)>,
}

impl MemorySchedules {
    /// An empty store.
    pub fn new() -> Self {
        MemorySchedules::with_clock(Clock::system())
    }

    /// An empty store that takes the time from `clock`.
    pub fn with_clock(clock: Clock) -> Self {
        MemorySchedules { clock, rows: Mutex::default(), latest: watch::Sender::new(Seq::START) }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().expect("no holder of this lock panics")
    }

    fn announce(&self, rows: MutexGuard<'_, Rows>) {
        let newest = rows.events.last().map_or(Seq::START, |event| event.seq);
        drop(rows);
        self.latest.send_if_modified(|latest| {
            let grown = newest > *latest;
            *latest = newest.max(*latest);
            grown
        });
    }
}

impl Default for MemorySchedules {
    fn default() -> Self {
        MemorySchedules::new()
    }
}

impl Rows {
    fn find(&self, id: &ScheduleId, operation: &'static str) -> Result<Schedule> {
        self.schedules.get(id).cloned().ok_or_else(|| unknown(id, operation))
    }

    fn open(&self, id: &ScheduleId) -> Vec<Firing> {
        let firings = self.firings.values().map(|row| &row.firing);
        firings.filter(|firing| firing.schedule == *id && firing.state.is_open()).cloned().collect()
    }

    fn put(&mut self, firing: Firing, owner: &Owner, now: DateTime<Utc>) {
        let claim = (firing.state == FiringState::Pending).then(|| (owner.clone(), now));
        self.firings.insert(firing.key(), Row { firing, claim });
    }

    fn append(&mut self, events: Vec<NewEvent>, time: DateTime<Utc>) {
        for (kind, data) in events {
            let seq = Seq(self.events.last().map_or(0, |event| event.seq.0) + 1);
            self.events.push(Event { seq, time, kind, job: None, data });
        }
    }

    fn forget_old(&mut self, id: &ScheduleId, now: DateTime<Utc>) {
        let ended =
            self.firings.iter().filter(|(key, row)| key.schedule == *id && !row.firing.state.is_open());
        let keys: Vec<FiringKey> = ended.map(|(key, _)| key.clone()).collect();
        for key in &keys[..keys.len().saturating_sub(KEPT_FIRINGS)] {
            if key.planned_at < now - KEPT_FIRINGS_FOR {
                self.firings.remove(key);
            }
        }
    }
}

fn unknown(id: &ScheduleId, operation: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, operation, format!("there is no schedule {id}"))
}

#[async_trait]
impl ScheduleStore for MemorySchedules {
    async fn create_schedule(&self, new: NewSchedule) -> Result<Schedule> {
        let now = self.clock.now();
        let mut rows = self.rows();
        if rows.schedules.contains_key(&new.id) {
            let message = format!("a schedule {} exists already", new.id);
            return Err(Error::new(ErrorKind::Conflict, "create schedule", message));
        }
        let schedule = Schedule::created(new, now);
        rows.schedules.insert(schedule.id.clone(), schedule.clone());
        rows.changes += 1;
        Ok(schedule)
    }

    async fn change_schedule(
        &self,
        id: &ScheduleId,
        spec: Option<ScheduleSpec>,
        enabled: Option<bool>,
        revision: Option<i64>,
    ) -> Result<Schedule> {
        let now = self.clock.now();
        let mut rows = self.rows();
        let mut schedule = rows.find(id, "change schedule")?;
        schedule.change(spec, enabled, revision, now)?;
        rows.schedules.insert(id.clone(), schedule.clone());
        rows.changes += 1;
        Ok(schedule)
    }

    async fn remove_schedule(&self, id: &ScheduleId, revision: Option<i64>) -> Result<()> {
        let mut rows = self.rows();
        rows.find(id, "remove schedule")?.check_revision(revision)?;
        rows.schedules.remove(id);
        rows.firings.retain(|key, _| key.schedule != *id);
        rows.changes += 1;
        Ok(())
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        Ok(self.rows().schedules.get(id).cloned())
    }

    async fn schedules(&self) -> Result<Vec<Schedule>> {
        Ok(self.rows().schedules.values().cloned().collect())
    }

    async fn schedules_changed(&self) -> Result<i64> {
        Ok(self.rows().changes)
    }

    async fn account(
        &self,
        owner: &Owner,
        accounting: Accounting,
    ) -> Result<Option<(Schedule, Vec<Firing>)>> {
        let now = self.clock.now();
        let mut rows = self.rows();
        let id = &accounting.schedule;
        let Some(mut schedule) = rows.schedules.get(id).cloned() else { return Ok(None) };
        let open = rows.open(id);
        let known = |planned_at| rows.firings.contains_key(&FiringKey { schedule: id.clone(), planned_at });
        let Some(done) = schedule.account(&accounting, &open, known, now) else { return Ok(None) };
        let firings = [done.firings, done.replaced].concat();
        for firing in &firings {
            rows.put(firing.clone(), owner, now);
        }
        rows.append(done.events, now);
        rows.forget_old(id, now);
        rows.schedules.insert(id.clone(), schedule.clone());
        self.announce(rows);
        Ok(Some((schedule, firings)))
    }

    async fn trigger(&self, owner: &Owner, id: &ScheduleId) -> Result<Firing> {
        let now = self.clock.now();
        let mut rows = self.rows();
        let schedule = rows.find(id, "trigger schedule")?;
        let firing = schedule.triggered(&rows.open(id), now)?;
        if rows.firings.contains_key(&firing.key()) {
            let message = format!("the firing {} exists already", firing.key());
            return Err(Error::new(ErrorKind::Conflict, "trigger schedule", message));
        }
        rows.put(firing.clone(), owner, now);
        Ok(firing)
    }

    async fn claim_firing(
        &self,
        owner: &Owner,
        key: &FiringKey,
        silence: Duration,
    ) -> Result<Option<Firing>> {
        let now = self.clock.now();
        let mut rows = self.rows();
        let Some(row) = rows.firings.get_mut(key) else { return Ok(None) };
        let free = match (&row.firing.state, &row.claim) {
            (FiringState::Waiting | FiringState::Pending, None) => true,
            (FiringState::Pending, Some((other, heard))) => other == owner || *heard + silence <= now,
            _ => false,
        };
        if !free {
            return Ok(None);
        }
        row.firing.state = FiringState::Pending;
        row.claim = Some((owner.clone(), now));
        Ok(Some(row.firing.clone()))
    }

    async fn step_firing(&self, owner: &Owner, key: &FiringKey, step: Step) -> Result<(Firing, Schedule)> {
        let now = self.clock.now();
        let mut rows = self.rows();
        let row = rows.firings.get(key);
        let row = row.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "change firing", format!("there is no firing {key}"))
        })?;
        if row.claim.as_ref().is_some_and(|(other, _)| other != owner) {
            let message = format!("the firing {key} is another's");
            return Err(Error::new(ErrorKind::Conflict, "change firing", message));
        }
        let mut firing = row.firing.clone();
        let mut schedule = rows.find(&key.schedule, "change firing")?;
        let was_enabled = schedule.enabled;
        let events = schedule.step(&mut firing, step, now)?;
        rows.changes += i64::from(was_enabled != schedule.enabled);
        rows.firings.insert(key.clone(), Row { firing: firing.clone(), claim: None });
        rows.schedules.insert(key.schedule.clone(), schedule.clone());
        rows.append(events, now);
        self.announce(rows);
        Ok((firing, schedule))
    }

    async fn open_firings(&self) -> Result<Vec<Firing>> {
        let rows = self.rows();
        let firings = rows.firings.values().map(|row| &row.firing);
        Ok(firings.filter(|firing| firing.state.is_open()).cloned().collect())
    }

    async fn firings(
        &self,
        id: &ScheduleId,
        before: Option<DateTime<Utc>>,
        limit: usize,
    ) -> Result<Vec<Firing>> {
        let rows = self.rows();
        rows.find(id, "list firings")?;
        let firings = rows.firings.values().rev().map(|row| &row.firing);
        let wanted = firings.filter(|firing| {
            firing.schedule == *id && before.is_none_or(|before| firing.planned_at < before)
        });
        Ok(wanted.take(limit).cloned().collect())
    }
}

#[async_trait]
impl EventLog for MemorySchedules {
    async fn read_after(&self, after: Seq, job: Option<&JobId>, limit: usize) -> Result<Vec<Event>> {
        let rows = self.rows();
        let wanted = rows.events.iter().filter(|event| event.seq > after && job.is_none());
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
    use crate::conformance;

    #[tokio::test]
    async fn it_does_what_every_store_does() {
        conformance::schedule_store(&|clock| {
            Box::pin(async { Arc::new(MemorySchedules::with_clock(clock)) as Arc<dyn ScheduleStore> })
        })
        .await;
    }
}
