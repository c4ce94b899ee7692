//! The port to whatever keeps schedules.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hypersdk_core::{EventLog, Owner, Result, ScheduleId};

use crate::firing::{Firing, FiringKey, Step};
use crate::plan::Accounting;
use crate::schedule::{NewSchedule, Schedule, ScheduleSpec};

/// Keeps schedules, their firings, and the log of what happened to them.
///
/// # Guarantees
/// - A change of a firing, of its schedule and their event are one write: all are there after a crash, or
///   none.
/// - What returned `Ok` survives the death of the process and, for a durable store, of the machine.
/// - There is one firing for a schedule and a planned time, whoever adds it and how often.
/// - Times are kept in whole microseconds.
///
/// What each change does is written once, in the methods of [`Schedule`]: a store loads the rows, applies the
/// change, and writes rows and events.
#[async_trait]
pub trait ScheduleStore: EventLog {
    /// Adds a schedule.
    ///
    /// # Errors
    /// `Conflict` if the identifier exists.
    async fn create_schedule(&self, new: NewSchedule) -> Result<Schedule>;

    /// Puts a new definition, or `enabled`, or both in the place of the old. With `revision` only if the
    /// schedule is still at that one.
    ///
    /// # Errors
    /// `NotFound` for an unknown schedule, `Conflict` if it is at another revision.
    async fn change_schedule(
        &self,
        id: &ScheduleId,
        spec: Option<ScheduleSpec>,
        enabled: Option<bool>,
        revision: Option<i64>,
    ) -> Result<Schedule>;

    /// Removes a schedule and its firings, with `revision` only if it is still at that one. Jobs that it started stay.
    ///
    /// # Errors
    /// `NotFound` for an unknown schedule, `Conflict` if it is at another revision.
    async fn remove_schedule(&self, id: &ScheduleId, revision: Option<i64>) -> Result<()>;

    /// A schedule.
    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>>;

    /// Every schedule, by identifier.
    async fn schedules(&self) -> Result<Vec<Schedule>>;

    /// A number that is another one after any schedule was added, changed by somebody, or removed.
    async fn schedules_changed(&self) -> Result<i64>;

    /// Deals with times that have come. Firings that can start at once are claimed by `owner`. Returns the
    /// schedule as it then stands and the firings that were added or changed, or `None` if somebody else has
    /// dealt with those times or the schedule was changed meanwhile.
    async fn account(&self, owner: &Owner, accounting: Accounting)
    -> Result<Option<(Schedule, Vec<Firing>)>>;

    /// Adds a firing for this moment, claimed by `owner` if it can start at once.
    ///
    /// # Errors
    /// `NotFound` for an unknown schedule, `Conflict` if its last run goes on and it allows no other.
    async fn trigger(&self, owner: &Owner, id: &ScheduleId) -> Result<Firing>;

    /// Takes a waiting or pending firing for `owner`, which makes it pending: if nobody has it, or nobody has
    /// spoken for it (by this call) for `silence`, or it is the owner's already. `None` if it is another's or
    /// no longer to be started.
    async fn claim_firing(&self, owner: &Owner, key: &FiringKey, silence: Duration)
    -> Result<Option<Firing>>;

    /// Takes a firing one step further. Returns it, and the schedule, as they then stand.
    ///
    /// # Errors
    /// `NotFound` for an unknown firing; `Conflict` if the step is not possible, or if the firing is pending
    /// and another has it. Nothing was changed then.
    async fn step_firing(&self, owner: &Owner, key: &FiringKey, step: Step) -> Result<(Firing, Schedule)>;

    /// Every firing that has not come to its end, by schedule and time.
    async fn open_firings(&self) -> Result<Vec<Firing>>;

    /// Up to `limit` firings of a schedule, the latest first; before a planned time if one is given.
    ///
    /// # Errors
    /// `NotFound` for an unknown schedule.
    async fn firings(
        &self,
        id: &ScheduleId,
        before: Option<DateTime<Utc>>,
        limit: usize,
    ) -> Result<Vec<Firing>>;
}

/// Ended firings of one schedule that are kept beyond those of the last days.
pub const KEPT_FIRINGS: usize = 500;

/// Firings planned later than this before now are all kept: a clock that is set back meets them again.
pub const KEPT_FIRINGS_FOR: chrono::TimeDelta = chrono::TimeDelta::days(2);
