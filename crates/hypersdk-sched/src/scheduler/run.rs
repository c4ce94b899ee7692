//! The task that owns what is in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hypersdk_core::{EventKind, JobId, Result, ScheduleId, Seq};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::fire::Done;
use super::{Command, Inner};
use crate::firing::{Firing, FiringKey, FiringState};
use crate::schedule::{Overlap, Schedule};

/// The longest sleep: a clock that is set wakes nobody.
const TICK: Duration = Duration::from_secs(1);

/// A clock that goes this much faster or slower than time does was set.
const JUMP: TimeDelta = TimeDelta::seconds(2);

/// The wait before times are dealt with again after the store failed.
const AGAIN: TimeDelta = TimeDelta::seconds(1);

/// How often a run is looked after although no event says that it has ended.
const LOOK_AFTER: Duration = Duration::from_secs(60);

/// Events read at once.
const BATCH: usize = 500;

/// How long what is being started has to come to an end at a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What is in memory.
pub(super) struct Run {
    inner: Arc<Inner>,
    entries: HashMap<ScheduleId, Entry>,
    /// When each schedule is next due. One whose times are just being dealt with is not in it.
    queue: BTreeSet<(DateTime<Utc>, ScheduleId)>,
    open: BTreeMap<FiringKey, Tracked>,
    by_job: HashMap<JobId, FiringKey>,
    replies: HashMap<FiringKey, oneshot::Sender<Firing>>,
    tasks: JoinSet<Done>,
    /// The ends of jobs up to here are known.
    seen: Seq,
    grown: watch::Receiver<Seq>,
    /// The store's number of changes when all schedules were last read.
    changed: i64,
    /// Rises whenever a firing is tracked: what was read before knows nothing of it.
    tracked: u64,
    looking: bool,
    looked: bool,
    clock: (DateTime<Utc>, Instant),
}

struct Entry {
    schedule: Schedule,
    queued: Option<DateTime<Utc>>,
    /// Its times are being dealt with.
    busy: bool,
}

struct Tracked {
    firing: Firing,
    /// Jobs of a run that have not ended.
    left: HashSet<JobId>,
    /// A task is at it.
    busy: bool,
    /// When its jobs were last looked after.
    checked: Instant,
    /// Its jobs were asked to stop.
    cancelled: bool,
}

impl Run {
    pub(super) async fn load(inner: Arc<Inner>) -> Result<Run> {
        let grown = inner.jobs.latest();
        let seen = *grown.borrow();
        let changed = inner.store.schedules_changed().await?;
        let schedules = inner.store.schedules().await?;
        let now = inner.config.clock.now();
        let mut run = Run {
            entries: HashMap::with_capacity(schedules.len()),
            queue: BTreeSet::new(),
            open: BTreeMap::new(),
            by_job: HashMap::new(),
            replies: HashMap::new(),
            tasks: JoinSet::new(),
            seen,
            grown,
            changed,
            tracked: 0,
            looking: false,
            looked: false,
            clock: (now, Instant::now()),
            inner,
        };
        for schedule in schedules {
            run.put(schedule);
        }
        Ok(run)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let stopping = self.inner.stopping.clone();
        let mut look = tokio::time::interval(self.inner.config.look);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let pause = self.fire_due();
            tokio::select! {
                () = stopping.cancelled() => break,
                Some(command) = commands.recv() => self.command(command),
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => match done {
                    Ok(done) => self.done(done),
                    Err(error) => tracing::error!(%error, "a task of the scheduler died"),
                },
                Ok(()) = self.grown.changed() => self.follow().await,
                _ = look.tick(), if !self.looking => {
                    self.looking = true;
                    self.tasks.spawn(Arc::clone(&self.inner).look(self.changed, self.tracked));
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
        let finish = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_PATIENCE, finish).await.is_err() {
            tracing::warn!("firings that were just being started are left to the next start");
        }
        self.tasks.shutdown().await;
    }

    /// Begins to deal with every time that has come, and returns how long to sleep.
    fn fire_due(&mut self) -> Duration {
        let now = self.inner.config.clock.now();
        self.mind_the_clock(now);
        while let Some((due, _)) = self.queue.first() {
            if *due > now {
                return (*due - now).to_std().unwrap_or(TICK).min(TICK);
            }
            let (_, id) = self.queue.pop_first().expect("it was just looked at");
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.queued = None;
                entry.busy = true;
                self.tasks.spawn(Arc::clone(&self.inner).account(entry.schedule.clone()));
            }
        }
        TICK
    }

    /// Finds out whether the clock was set, and then asks every schedule anew what is next.
    fn mind_the_clock(&mut self, now: DateTime<Utc>) {
        let (before, then) = self.clock;
        let passed = TimeDelta::from_std(then.elapsed()).unwrap_or(TimeDelta::MAX);
        let jump = (now - before).checked_sub(&passed).unwrap_or(TimeDelta::MAX);
        self.clock = (now, Instant::now());
        if jump.abs() < JUMP {
            return;
        }
        tracing::warn!("the clock went {} ms off: it was set, or the machine slept", jump.num_milliseconds());
        let ids: Vec<ScheduleId> = self.entries.keys().cloned().collect();
        for id in ids {
            self.plan(&id, now);
        }
    }

    /// Puts a schedule where it belongs in the queue.
    fn plan(&mut self, id: &ScheduleId, now: DateTime<Utc>) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let due = if entry.busy { None } else { entry.schedule.next(now).map(|next| next.due_at) };
        if let Some(queued) = entry.queued.take() {
            self.queue.remove(&(queued, id.clone()));
        }
        entry.queued = due;
        if let Some(due) = due {
            self.queue.insert((due, id.clone()));
        }
    }

    /// Takes a schedule in, or a newer state of it.
    fn put(&mut self, schedule: Schedule) {
        let older = self.entries.get(&schedule.id).is_some_and(|entry| {
            let known = &entry.schedule;
            // A schedule removed and made again begins anew.
            schedule.created_at <= known.created_at
                && (schedule.revision < known.revision
                    || (schedule.revision == known.revision
                        && schedule.accounted_until < known.accounted_until))
        });
        if !older {
            self.set(schedule);
        }
    }

    fn set(&mut self, schedule: Schedule) {
        let id = schedule.id.clone();
        match self.entries.get_mut(&id) {
            Some(entry) => entry.schedule = schedule,
            None => drop(self.entries.insert(id.clone(), Entry { schedule, queued: None, busy: false })),
        }
        self.plan(&id, self.inner.config.clock.now());
    }

    fn remove(&mut self, id: &ScheduleId) {
        if let Some(queued) = self.entries.remove(id).and_then(|entry| entry.queued) {
            self.queue.remove(&(queued, id.clone()));
        }
        for key in self.keys_of(id) {
            self.untrack(&key);
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Reload(id) => {
                self.tasks.spawn(Arc::clone(&self.inner).reload(id));
            }
            Command::Track(firing, reply) => {
                if firing.state == FiringState::Pending {
                    self.replies.insert(firing.key(), reply);
                } else {
                    // Nobody waits for the end of another run.
                    let _ = reply.send(firing.clone());
                }
                let id = firing.schedule.clone();
                self.track(firing);
                self.advance(&id);
            }
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Accounted { id, result } => self.accounted(&id, result),
            Done::Launched { key, result } => {
                let Some((firing, schedule)) = result else {
                    // Another's, or nobody's for now: the next look finds out.
                    self.untrack(&key);
                    return;
                };
                if let Some(reply) = self.replies.remove(&key) {
                    let _ = reply.send(firing.clone());
                }
                if firing.state == FiringState::Running {
                    tracing::info!(firing = %key, jobs = firing.jobs.len(), "fired");
                }
                self.untrack(&key);
                self.put(schedule);
                self.track(firing);
                self.advance(&key.schedule);
            }
            Done::Stands { key, standing } => {
                if let Some(tracked) = self.open.get_mut(&key) {
                    tracked.busy = false;
                    tracked.left = standing.open.iter().cloned().collect();
                    for job in standing.open {
                        self.by_job.insert(job, key.clone());
                    }
                }
            }
            Done::Ended { key, result } => {
                if let Some((firing, schedule)) = result {
                    match &firing.reason {
                        Some(reason) => tracing::warn!(firing = %key, "the run failed: {reason}"),
                        None => tracing::info!(firing = %key, state = firing.state.as_str(), "the run ended"),
                    }
                    if let Some(reason) = &schedule.disabled_because {
                        tracing::error!(schedule = %key.schedule, "{reason}");
                    }
                    self.put(schedule);
                }
                self.untrack(&key);
                self.advance(&key.schedule);
            }
            Done::Looked { changed, open, schedules, tracked } => {
                self.looking = false;
                self.looked(changed, open, schedules, tracked);
            }
            Done::Reloaded { id, schedule: Some(schedule) } => {
                debug_assert_eq!(id, schedule.id);
                self.put(schedule);
            }
            Done::Reloaded { id, schedule: None } => self.remove(&id),
            Done::LookFailed => self.looking = false,
            Done::Nothing => {}
        }
    }

    fn accounted(&mut self, id: &ScheduleId, result: Result<(Option<Schedule>, Vec<Firing>)>) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.busy = false;
        }
        let (schedule, firings) = match result {
            Ok(accounted) => accounted,
            Err(error) => {
                tracing::error!(schedule = %id, "deal with its times: {}", error.chain());
                let due = self.inner.config.clock.now() + AGAIN;
                if let Some(entry) = self.entries.get_mut(id) {
                    entry.queued = Some(due);
                    self.queue.insert((due, id.clone()));
                }
                return;
            }
        };
        match schedule {
            // Not compared with what is known: after a clock was set back a newer state may look older.
            Some(schedule) => self.set(schedule),
            None => self.remove(id),
        }
        for firing in firings {
            if firing.state == FiringState::Missed {
                let reason = firing.reason.as_deref().unwrap_or_default();
                tracing::warn!(firing = %firing.key(), "missed: {reason}");
                self.untrack(&firing.key());
            } else {
                self.track(firing);
            }
        }
        self.advance(id);
    }

    /// Sees to a firing that is open. Pending ones are ours.
    fn track(&mut self, firing: Firing) {
        let key = firing.key();
        if !firing.state.is_open() {
            return;
        }
        self.tracked += 1;
        match firing.state {
            FiringState::Pending => {
                self.tasks.spawn(Arc::clone(&self.inner).launch(firing.clone()));
            }
            FiringState::Running => {
                for job in &firing.jobs {
                    self.by_job.insert(job.clone(), key.clone());
                }
                // They may have ended before they were in the map.
                self.tasks.spawn(Arc::clone(&self.inner).check(firing.clone()));
            }
            _ => {}
        }
        let busy = firing.state != FiringState::Waiting;
        let left = firing.jobs.iter().cloned().collect();
        self.open.insert(key, Tracked { firing, left, busy, checked: Instant::now(), cancelled: false });
    }

    fn untrack(&mut self, key: &FiringKey) {
        if let Some(tracked) = self.open.remove(key) {
            for job in &tracked.firing.jobs {
                self.by_job.remove(job);
            }
        }
    }

    fn keys_of(&self, id: &ScheduleId) -> Vec<FiringKey> {
        let first = FiringKey { schedule: id.clone(), planned_at: DateTime::<Utc>::MIN_UTC };
        self.open.range(first..).map(|(key, _)| key).take_while(|key| key.schedule == *id).cloned().collect()
    }

    /// Lets the first waiting firing of a schedule go if no run is under way, or stops that run if it is to.
    fn advance(&mut self, id: &ScheduleId) {
        let keys = self.keys_of(id);
        let is = |key: &&FiringKey, state| self.open[*key].firing.state == state;
        let Some(waiting) = keys.iter().find(|key| is(key, FiringState::Waiting)).cloned() else { return };
        let under_way: Vec<&FiringKey> = keys.iter().filter(|key| !is(key, FiringState::Waiting)).collect();
        if under_way.is_empty() {
            let tracked = self.open.get_mut(&waiting).expect("it was just found");
            if !tracked.busy {
                tracked.busy = true;
                let firing = tracked.firing.clone();
                let silence = self.inner.config.silence;
                self.tasks.spawn(Arc::clone(&self.inner).take_over(firing, silence));
            }
            return;
        }
        let cancels =
            self.entries.get(id).is_some_and(|entry| entry.schedule.spec.overlap == Overlap::CancelPrevious);
        if !cancels {
            return;
        }
        let mut to_cancel = Vec::new();
        for key in under_way {
            let tracked = self.open.get_mut(key).expect("it was just found");
            if tracked.firing.state == FiringState::Running && !tracked.cancelled {
                tracked.cancelled = true;
                to_cancel.push(tracked.firing.clone());
            }
        }
        if !to_cancel.is_empty() {
            self.tasks.spawn(Arc::clone(&self.inner).cancel(to_cancel));
        }
    }

    /// Reads what happened to jobs.
    async fn follow(&mut self) {
        let latest = *self.grown.borrow_and_update();
        if self.by_job.is_empty() {
            // Whatever is tracked later is looked at when it is.
            self.seen = self.seen.max(latest);
            return;
        }
        loop {
            let events = match self.inner.jobs.read_after(self.seen, None, BATCH).await {
                Ok(events) => events,
                Err(error) => {
                    tracing::warn!("read events: {}", error.chain());
                    return;
                }
            };
            let Some(last) = events.last() else { return };
            self.seen = last.seq;
            for event in &events {
                let ended = matches!(
                    event.kind,
                    EventKind::JobCompleted | EventKind::JobFailed | EventKind::JobCancelled
                );
                if let Some(job) = event.job.as_ref().filter(|_| ended) {
                    self.job_ended(job);
                }
            }
            if events.len() < BATCH {
                return;
            }
        }
    }

    fn job_ended(&mut self, job: &JobId) {
        let Some(key) = self.by_job.remove(job) else { return };
        let Some(tracked) = self.open.get_mut(&key) else { return };
        tracked.left.remove(job);
        if tracked.left.is_empty() && tracked.firing.state == FiringState::Running {
            tracked.busy = true;
            self.tasks.spawn(Arc::clone(&self.inner).check(tracked.firing.clone()));
        }
    }

    /// Compares what is in memory with what is in the store.
    fn looked(&mut self, changed: i64, open: Vec<Firing>, schedules: Option<Vec<Schedule>>, tracked: u64) {
        self.changed = changed;
        if let Some(schedules) = schedules {
            let there: HashSet<ScheduleId> = schedules.iter().map(|schedule| schedule.id.clone()).collect();
            let gone: Vec<ScheduleId> =
                self.entries.keys().filter(|id| !there.contains(*id)).cloned().collect();
            for id in gone {
                // It may have been made since the list was read.
                self.tasks.spawn(Arc::clone(&self.inner).reload(id));
            }
            for schedule in schedules {
                self.put(schedule);
            }
        }
        let first = !std::mem::replace(&mut self.looked, true);
        let silence =
            if first && self.inner.config.exclusive { Duration::ZERO } else { self.inner.config.silence };
        let nothing_newer = tracked == self.tracked;
        let there: HashSet<FiringKey> = open.iter().map(Firing::key).collect();
        if nothing_newer {
            let ended: Vec<FiringKey> = self
                .open
                .iter()
                .filter(|(key, tracked)| !tracked.busy && !there.contains(*key))
                .map(|(key, _)| key.clone())
                .collect();
            ended.iter().for_each(|key| self.untrack(key));
        }
        let mut of: BTreeSet<ScheduleId> = BTreeSet::new();
        for firing in open {
            let key = firing.key();
            of.insert(key.schedule.clone());
            match self.open.get_mut(&key) {
                Some(known) if known.busy || known.firing.state == firing.state => {
                    // A run whose last event was not seen is looked after here.
                    let overdue = known.checked.elapsed() >= LOOK_AFTER;
                    if !known.busy && firing.state == FiringState::Running && overdue {
                        known.busy = true;
                        known.checked = Instant::now();
                        self.tasks.spawn(Arc::clone(&self.inner).check(firing));
                    }
                }
                _ if firing.state == FiringState::Pending => {
                    self.untrack(&key);
                    let tracked = Tracked {
                        firing: firing.clone(),
                        left: HashSet::new(),
                        busy: true,
                        checked: Instant::now(),
                        cancelled: false,
                    };
                    self.open.insert(key, tracked);
                    self.tasks.spawn(Arc::clone(&self.inner).take_over(firing, silence));
                }
                _ => {
                    self.untrack(&key);
                    self.track(firing);
                }
            }
        }
        for id in of {
            self.advance(&id);
        }
    }
}
