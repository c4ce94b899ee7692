//! What each change does to a schedule and its firings, for every store alike: the new rows and the events
//! that go with them.
//!
//! Nothing here reads a clock or waits. A store loads the rows, applies the change and writes rows and events
//! in one transaction.

use chrono::{DateTime, Utc};
use hypersdk_core::{Error, ErrorKind, EventKind, Result};
use serde_json::{Value, json};

use crate::firing::{Cause, Firing, FiringState, RunEnd, Step};
use crate::plan::Accounting;
use crate::schedule::{NewSchedule, Overlap, Schedule, ScheduleSpec};

/// The most firings of one schedule that wait for an earlier run.
pub(crate) const LONGEST_QUEUE: usize = 10;

/// An event to be written with the rows.
pub type NewEvent = (EventKind, Value);

/// What accounting for times comes to.
#[derive(Debug, Default)]
pub struct Accounted {
    /// Rows to be added, unless one of the same key is there already.
    pub firings: Vec<Firing>,
    /// Firings that waited and are missed now, to be written again.
    pub replaced: Vec<Firing>,
    /// What to append to the log.
    pub events: Vec<NewEvent>,
}

impl Schedule {
    /// A schedule just made. Its first time is after `now`.
    pub fn created(new: NewSchedule, now: DateTime<Utc>) -> Schedule {
        Schedule {
            id: new.id,
            spec: new.spec,
            enabled: new.enabled,
            revision: 1,
            created_at: now,
            updated_at: now,
            accounted_until: now,
            last_run: None,
            run_count: 0,
            missed_count: 0,
            failures: 0,
            disabled_because: None,
        }
    }

    /// Puts a new definition in the place of the old one. Times that the old one had not dealt with are gone
    /// if the new one has others.
    fn redefine(&mut self, spec: ScheduleSpec, now: DateTime<Utc>) {
        if !self.spec.same_times(&spec) {
            self.accounted_until = now;
        }
        self.spec = spec;
        self.revision += 1;
        self.updated_at = now;
    }

    /// Turns it on or off. Times that went by while it was off are none of its.
    fn set_enabled(&mut self, enabled: bool, now: DateTime<Utc>) {
        if enabled && !self.enabled {
            self.accounted_until = now;
            self.failures = 0;
            self.disabled_because = None;
        }
        self.enabled = enabled;
        self.revision += 1;
        self.updated_at = now;
    }

    /// Whether it is still as somebody saw it; without `revision` it always is.
    ///
    /// # Errors
    /// `Conflict` if it is no longer at `revision`.
    pub fn check_revision(&self, revision: Option<i64>) -> Result<()> {
        if revision.is_some_and(|revision| revision != self.revision) {
            let message = format!("the schedule {} was changed meanwhile", self.id);
            return Err(Error::new(ErrorKind::Conflict, "change schedule", message)
                .with_advice("look at it again before you change it"));
        }
        Ok(())
    }

    /// Puts a new definition, or `enabled`, or both in the place of the old.
    ///
    /// # Errors
    /// `Conflict` if it is no longer at `revision`.
    pub fn change(
        &mut self,
        spec: Option<ScheduleSpec>,
        enabled: Option<bool>,
        revision: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.check_revision(revision)?;
        if let Some(spec) = spec {
            self.redefine(spec, now);
        }
        if let Some(enabled) = enabled {
            self.set_enabled(enabled, now);
        }
        Ok(())
    }

    /// Deals with the times of `accounting`. `open` are the schedule's firings that have not ended, and
    /// `known` tells whether there is a row for a time already.
    ///
    /// `None` if somebody else has dealt with them, or the schedule was changed meanwhile.
    pub fn account(
        &mut self,
        accounting: &Accounting,
        open: &[Firing],
        known: impl Fn(DateTime<Utc>) -> bool,
        now: DateTime<Utc>,
    ) -> Option<Accounted> {
        let current = self.revision == accounting.revision && self.accounted_until == accounting.from;
        if !self.enabled || !current {
            return None;
        }
        self.accounted_until = accounting.to;
        let mut done = Accounted::default();
        let mut missed: Vec<(Firing, u64)> = Vec::new();
        let mut queue: Vec<Firing> = open.to_vec();
        for (planned_at, reason, more) in &accounting.missed {
            if !known(*planned_at) {
                missed.push((self.missed_firing(*planned_at, Cause::Time, reason.clone(), now), *more));
            }
        }
        for (planned_at, cause) in &accounting.due {
            if known(*planned_at) {
                continue;
            }
            let place = match cause {
                // All that are to be caught up are wanted, so they wait for each other, however many there are.
                Cause::CatchUp if queue.is_empty() => Place::Now,
                Cause::CatchUp => Place::Later,
                _ => self.place(&queue, self.spec.overlap),
            };
            match place {
                Place::Now => queue.push(self.firing(*planned_at, *cause, FiringState::Pending, now)),
                Place::Later => queue.push(self.firing(*planned_at, *cause, FiringState::Waiting, now)),
                Place::Instead => {
                    for waiting in queue.extract_if(.., |firing| firing.state == FiringState::Waiting) {
                        let by = planned_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
                        let reason = format!("it had not begun when the next time came, {by}");
                        let replaced = Firing {
                            state: FiringState::Missed,
                            ended_at: Some(now),
                            reason: Some(reason),
                            ..waiting
                        };
                        missed.push((replaced, 0));
                    }
                    queue.push(self.firing(*planned_at, *cause, FiringState::Waiting, now));
                }
                Place::Nowhere(reason) => {
                    missed.push((self.missed_firing(*planned_at, *cause, reason, now), 0));
                }
            }
        }
        let is_old = |firing: &Firing| open.iter().any(|old| old.planned_at == firing.planned_at);
        done.firings.extend(queue.into_iter().filter(|firing| !is_old(firing)));
        self.tell_missed(&missed, &mut done.events);
        for (firing, _) in missed {
            if is_old(&firing) { done.replaced.push(firing) } else { done.firings.push(firing) }
        }
        Some(done)
    }

    /// A firing that somebody asks for now.
    ///
    /// # Errors
    /// `Conflict` if the last run still goes on and the schedule does not allow another beside it.
    pub fn triggered(&self, open: &[Firing], now: DateTime<Utc>) -> Result<Firing> {
        let state = match self.place(open, self.spec.overlap) {
            Place::Now => FiringState::Pending,
            Place::Later | Place::Instead => FiringState::Waiting,
            Place::Nowhere(reason) => {
                return Err(Error::new(ErrorKind::Conflict, "trigger schedule", reason)
                    .with_advice("wait for its end, cancel its jobs, or set overlap to queue"));
            }
        };
        Ok(self.firing(now, Cause::Manual, state, now))
    }

    fn place(&self, open: &[Firing], overlap: Overlap) -> Place {
        let in_time = |firing: &&Firing| firing.cause != Cause::CatchUp;
        let waiting =
            open.iter().filter(|firing| firing.state == FiringState::Waiting).filter(in_time).count();
        match (open.last(), overlap) {
            (None, _) => Place::Now,
            (Some(last), Overlap::Skip) => {
                let planned = last.planned_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
                Place::Nowhere(format!("the run of {planned} still goes on"))
            }
            (Some(_), Overlap::Queue) if waiting >= LONGEST_QUEUE => {
                Place::Nowhere(format!("{waiting} earlier times wait already"))
            }
            (Some(_), Overlap::Queue) => Place::Later,
            (Some(_), Overlap::CancelPrevious) => Place::Instead,
        }
    }

    fn firing(
        &self,
        planned_at: DateTime<Utc>,
        cause: Cause,
        state: FiringState,
        now: DateTime<Utc>,
    ) -> Firing {
        Firing {
            schedule: self.id.clone(),
            planned_at,
            cause,
            state,
            created_at: now,
            fired_at: None,
            ended_at: None,
            jobs: Vec::new(),
            reason: None,
        }
    }

    fn missed_firing(
        &self,
        planned_at: DateTime<Utc>,
        cause: Cause,
        reason: String,
        now: DateTime<Utc>,
    ) -> Firing {
        let firing = self.firing(planned_at, cause, FiringState::Missed, now);
        Firing { ended_at: Some(now), reason: Some(reason), ..firing }
    }

    /// One event a reason, however many times there were.
    fn tell_missed(&mut self, missed: &[(Firing, u64)], events: &mut Vec<NewEvent>) {
        let mut rest = missed;
        while let [(first, _), ..] = rest {
            let alike = rest.iter().take_while(|(firing, _)| firing.reason == first.reason).count();
            let (group, others) = rest.split_at(alike);
            let count = group.iter().map(|(_, more)| 1 + more).sum::<u64>();
            let last = &group[group.len() - 1].0;
            self.missed_count += count;
            let mut data = self.event_data(last);
            data["reason"] = json!(first.reason);
            data["count"] = json!(count);
            data["first_planned_at"] = json!(first.planned_at);
            events.push((EventKind::ScheduleMissed, data));
            rest = others;
        }
    }

    /// Takes a firing one step further.
    ///
    /// # Errors
    /// `Conflict` if that step is not possible; nothing was changed then.
    pub fn step(&mut self, firing: &mut Firing, step: Step, now: DateTime<Utc>) -> Result<Vec<NewEvent>> {
        let Some(state) = firing.state.after(&step) else {
            let message = format!("the firing {} is {}", firing.key(), firing.state.as_str());
            return Err(Error::new(ErrorKind::Conflict, "change firing", message));
        };
        firing.state = state;
        let mut events = Vec::new();
        match step {
            Step::Start { jobs } => {
                firing.jobs = jobs;
                firing.fired_at = Some(now);
                self.last_run = Some(now);
                self.run_count += 1;
                let mut data = self.event_data(firing);
                data["job_ids"] = json!(firing.jobs);
                events.push((EventKind::ScheduleFired, data));
            }
            Step::Miss { reason, failed } => {
                firing.ended_at = Some(now);
                firing.reason = Some(reason);
                self.tell_missed(&[(firing.clone(), 0)], &mut events);
                if failed {
                    self.failed(firing, &mut events);
                }
            }
            Step::End(end) => {
                firing.ended_at = Some(now);
                match end {
                    RunEnd::Succeeded => self.failures = 0,
                    RunEnd::Cancelled => {}
                    RunEnd::Failed { reason } => {
                        firing.reason = Some(reason);
                        self.failed(firing, &mut events);
                    }
                }
            }
        }
        Ok(events)
    }

    /// Counts a failure, and gives up after too many.
    fn failed(&mut self, firing: &Firing, events: &mut Vec<NewEvent>) {
        self.failures = self.failures.saturating_add(1);
        let Some(most) = self.spec.max_failures.filter(|most| self.enabled && self.failures >= *most) else {
            return;
        };
        let last = firing.reason.as_deref().unwrap_or("unknown");
        let reason = format!("disabled after {most} failures in a row; the last: {last}");
        self.enabled = false;
        self.revision += 1;
        let mut data = self.event_data(firing);
        data["reason"] = json!(reason);
        data["count"] = json!(0);
        data["disabled"] = json!(true);
        events.push((EventKind::ScheduleMissed, data));
        self.disabled_because = Some(reason);
    }

    fn event_data(&self, firing: &Firing) -> Value {
        json!({
            "schedule_id": self.id,
            "schedule_name": self.spec.name,
            "planned_at": firing.planned_at,
            "cause": firing.cause,
        })
    }
}

/// Where a new firing goes.
enum Place {
    Now,
    Later,
    /// Later, and nobody else waits.
    Instead,
    Nowhere(String),
}
