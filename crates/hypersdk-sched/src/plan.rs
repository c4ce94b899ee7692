//! Which times of a schedule have come, and what is to be done about each. Pure: the clock is an argument.
//!
//! A schedule remembers up to which time all has been dealt with, so it matters little how the clock got
//! where it is. Set forward, or after a suspend, the times in between have gone by and are caught up with or
//! missed. Set back, nothing happens until it is past that time again; set back by more than a day, the
//! memory is no longer trusted, and the rows of firings alone keep times from coming twice.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hypersdk_core::ScheduleId;

use crate::firing::Cause;
use crate::schedule::{CatchUp, Schedule, ScheduleSpec};
use crate::window;

/// A clock that is this far behind what was dealt with was wrong before.
const FORGET: TimeDelta = TimeDelta::days(1);

/// Times that went by, of which each gets a row of its own.
const ROWS: usize = 100;

/// Times that are counted one by one before most are passed over.
const COUNTED: usize = 50_000;

/// Times that have come, and what is to be done about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounting {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The definition that the times follow from.
    pub revision: i64,
    /// Up to where all had been dealt with.
    pub from: DateTime<Utc>,
    /// Up to where it is now.
    pub to: DateTime<Utc>,
    /// Times to be started, the earliest first.
    pub due: Vec<(DateTime<Utc>, Cause)>,
    /// Times that come to nothing, why, and how many earlier ones are meant as well.
    pub missed: Vec<(DateTime<Utc>, String, u64)>,
}

/// The next time of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next {
    /// What its expression says.
    pub(crate) planned_at: DateTime<Utc>,
    /// When it is to be started.
    pub(crate) due_at: DateTime<Utc>,
}

impl ScheduleSpec {
    /// The first time after `after` that lies in a window. `None` if there is none before the year 2100.
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut after = after;
        // Each round passes over the time to another opening of a window; four years have every date.
        for _ in 0..4 * 366 * 8 {
            let next = self.schedule.next_after(self.timezone, after)?;
            if window::any_open(&self.windows, self.timezone, next) {
                return Some(next);
            }
            after = window::before_next_opening(&self.windows, self.timezone, next)?;
        }
        None
    }

    /// The times after `after` that lie in windows.
    pub fn upcoming(&self, after: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        std::iter::successors(self.next_after(after), move |last| self.next_after(*last))
    }

    /// Why nothing is started at `at`, if a blackout forbids it.
    pub fn blackout_at(&self, at: DateTime<Utc>) -> Option<String> {
        let blackout = self.blackouts.iter().find(|blackout| blackout.contains(at))?;
        Some(match blackout.reason.as_str() {
            "" => "a blackout".to_owned(),
            reason => format!("a blackout: {reason}"),
        })
    }
}

impl Schedule {
    /// The next time it will deal with, if it is enabled.
    pub(crate) fn next(&self, now: DateTime<Utc>) -> Option<Next> {
        if !self.enabled {
            return None;
        }
        if self.is_ahead(now) {
            // What was dealt with is to be forgotten first, at once.
            return Some(Next { planned_at: self.spec.next_after(now)?, due_at: now });
        }
        let planned_at = self.spec.next_after(self.accounted_until)?;
        Some(Next { planned_at, due_at: planned_at + self.delay(planned_at) })
    }

    /// When it will next fire, for people.
    pub fn next_run(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.next(now).map(|next| next.planned_at)
    }

    /// Whether it has dealt with times that the clock is too far from to be right.
    fn is_ahead(&self, now: DateTime<Utc>) -> bool {
        self.accounted_until - now > FORGET
    }

    /// How much later than planned a time comes: always the same for the same time, in every process.
    fn delay(&self, planned_at: DateTime<Utc>) -> TimeDelta {
        let most = u64::try_from(self.spec.jitter.as_micros()).unwrap_or(u64::MAX);
        if most == 0 {
            return TimeDelta::zero();
        }
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in self.id.as_str().bytes().chain(planned_at.timestamp_micros().to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // The low bits of this hash alone are not even.
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        TimeDelta::microseconds(i64::try_from((u128::from(hash) * u128::from(most)) >> 64).unwrap_or(0))
    }

    /// What has come by `now`. A time that is later than `grace` has gone by unused. `None` if nothing has.
    pub(crate) fn due(&self, now: DateTime<Utc>, grace: Duration) -> Option<Accounting> {
        let accounting = |to| Accounting {
            schedule: self.id.clone(),
            revision: self.revision,
            from: self.accounted_until,
            to,
            due: Vec::new(),
            missed: Vec::new(),
        };
        if self.is_ahead(now) {
            return Some(accounting(now));
        }
        let grace = TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX);
        let (mut late, mut in_time) = (VecDeque::new(), Vec::new());
        let (mut dropped, mut counted, mut passed_over) = (0_u64, 0_usize, false);
        let mut last = None;
        let mut at = self.accounted_until;
        while let Some(planned_at) = self.spec.next_after(at) {
            let due_at = planned_at + self.delay(planned_at);
            if due_at > now {
                break;
            }
            (at, last) = (planned_at, Some(planned_at));
            if now - due_at <= grace {
                in_time.push(planned_at);
                continue;
            }
            late.push_back(planned_at);
            if late.len() > self.kept() {
                late.pop_front();
                dropped += 1;
            }
            counted += 1;
            if counted == COUNTED {
                // A schedule of seconds after a long sleep: nobody wants to know how many there were.
                passed_over = true;
                at = at.max(now - TimeDelta::days(1));
            }
        }
        let to = last?;
        let mut accounting = accounting(to);
        self.catch_up(late.into(), !in_time.is_empty(), (dropped, passed_over), now, &mut accounting);
        for planned_at in in_time {
            match self.spec.blackout_at(planned_at) {
                None => accounting.due.push((planned_at, Cause::Time)),
                Some(reason) => accounting.missed.push((planned_at, reason, 0)),
            }
        }
        Some(accounting)
    }

    /// How many late times must be remembered.
    fn kept(&self) -> usize {
        match self.spec.catch_up {
            // One more, so that those dropped have a row to be counted at.
            CatchUp::All { limit } => ROWS.max(limit as usize) + 1,
            CatchUp::None | CatchUp::Latest => ROWS,
        }
    }

    fn catch_up(
        &self,
        late: Vec<DateTime<Utc>>,
        superseded: bool,
        (dropped, passed_over): (u64, bool),
        now: DateTime<Utc>,
        accounting: &mut Accounting,
    ) {
        let wanted = match self.spec.catch_up {
            CatchUp::None => 0,
            CatchUp::Latest => usize::from(!superseded),
            CatchUp::All { limit } => limit as usize,
        };
        let forbidden = self.spec.blackout_at(now).or_else(|| {
            let open = window::any_open(&self.spec.windows, self.spec.timezone, now);
            (!open).then(|| "its windows are closed now".to_owned())
        });
        let (missed, due) = late.split_at(late.len().saturating_sub(wanted));
        let why = match self.spec.catch_up {
            CatchUp::None => "it went by while nothing could be started",
            CatchUp::Latest => "it went by while nothing could be started, and a later one is made up for",
            CatchUp::All { .. } => {
                "it went by while nothing could be started, and the limit of catch_up is reached"
            }
        };
        let more = if passed_over { " (there were more than could be counted)" } else { "" };
        for (place, planned_at) in missed.iter().enumerate() {
            let earlier = if place == 0 { dropped } else { 0 };
            accounting.missed.push((*planned_at, format!("{why}{more}"), earlier));
        }
        for planned_at in due {
            match &forbidden {
                None => accounting.due.push((*planned_at, Cause::CatchUp)),
                Some(forbidden) => {
                    let reason = format!("it went by while nothing could be started, and {forbidden}");
                    accounting.missed.push((*planned_at, reason, 0));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
