//! How schedules and their runs look on the wire.

use chrono::{DateTime, Utc, Weekday};
use hypersdk_core::JobId;
use hypersdk_sched::{CatchUp, Cause, Firing, FiringState, Overlap, Schedule, ScheduleSpec};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::super::openapi::words;
use crate::api::catalogue::RulesView;
use crate::config::display_duration;

/// The words for what happens while the last run goes on.
pub(super) const OVERLAPS: [(&str, Overlap); 3] =
    [("skip", Overlap::Skip), ("queue", Overlap::Queue), ("cancel_previous", Overlap::CancelPrevious)];

/// The words for what happens to times that went by. A hundred are made up for unless a limit is given.
pub(super) const CATCH_UPS: [(&str, CatchUp); 3] =
    [("none", CatchUp::None), ("latest", CatchUp::Latest), ("all", CatchUp::All { limit: 100 })];

/// The words for days.
pub(super) const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

pub(super) fn overlap_words() -> RefOr<Schema> {
    words::of_table(&OVERLAPS)
}

pub(super) fn catch_up_words() -> RefOr<Schema> {
    words::of_table(&CATCH_UPS)
}

fn cause_words() -> RefOr<Schema> {
    words::spelt(&[Cause::Time, Cause::CatchUp, Cause::Manual])
}

fn run_words() -> RefOr<Schema> {
    words::spelt(&FiringState::ALL)
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ScheduleView {
    id: String,
    name: String,
    description: String,
    tags: Vec<String>,
    schedule: String,
    /// The expression in plain words
    schedule_text: String,
    timezone: &'static str,
    enabled: bool,
    job_template: Map<String, Value>,
    #[schema(schema_with = overlap_words)]
    overlap: &'static str,
    catch_up: CatchUpView,
    jitter: String,
    windows: Vec<WindowView>,
    blackouts: Vec<BlackoutView>,
    max_failures: Option<u32>,
    retention: Option<RulesView>,
    next_run: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_runs: Option<Vec<TimeView>>,
    last_run: Option<DateTime<Utc>>,
    run_count: u64,
    missed_count: u64,
    consecutive_failures: u32,
    disabled_because: Option<String>,
    revision: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl ScheduleView {
    /// With so many of its next times.
    pub(super) fn new(schedule: Schedule, now: DateTime<Utc>, times: usize) -> Self {
        let next_run = schedule.next_run(now);
        let spec = schedule.spec;
        let next_runs = (times > 0).then(|| preview(&spec, now.max(schedule.accounted_until), times));
        ScheduleView {
            id: schedule.id.to_string(),
            schedule: spec.schedule.as_str().to_owned(),
            schedule_text: spec.schedule.describe(),
            timezone: spec.timezone.name(),
            enabled: schedule.enabled,
            overlap: OVERLAPS
                .iter()
                .find(|(_, known)| *known == spec.overlap)
                .map_or("unknown", |(word, _)| word),
            catch_up: CatchUpView::from(spec.catch_up),
            jitter: display_duration(spec.jitter),
            windows: spec.windows.iter().map(WindowView::from).collect(),
            blackouts: spec.blackouts.iter().map(BlackoutView::from).collect(),
            max_failures: spec.max_failures,
            retention: spec.retention.map(RulesView::from),
            next_run,
            next_runs,
            last_run: schedule.last_run,
            run_count: schedule.run_count,
            missed_count: schedule.missed_count,
            consecutive_failures: schedule.failures,
            disabled_because: schedule.disabled_because,
            revision: schedule.revision,
            created_at: schedule.created_at,
            updated_at: schedule.updated_at,
            name: spec.name,
            description: spec.description,
            tags: spec.tags,
            job_template: spec.job_template,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct CatchUpView {
    #[schema(schema_with = catch_up_words)]
    policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
}

impl From<CatchUp> for CatchUpView {
    fn from(catch_up: CatchUp) -> Self {
        let (policy, limit) = match catch_up {
            CatchUp::None => ("none", None),
            CatchUp::Latest => ("latest", None),
            CatchUp::All { limit } => ("all", Some(limit)),
        };
        CatchUpView { policy, limit }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct WindowView {
    days: Vec<&'static str>,
    from: String,
    to: String,
}

impl From<&hypersdk_sched::Window> for WindowView {
    fn from(window: &hypersdk_sched::Window) -> Self {
        let days = DAYS.iter().filter(|(_, day)| window.days.contains(day)).map(|(word, _)| *word);
        let time = |time: chrono::NaiveTime| time.format("%H:%M:%S").to_string();
        WindowView { days: days.collect(), from: time(window.from), to: time(window.to) }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct BlackoutView {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    reason: String,
}

impl From<&hypersdk_sched::Blackout> for BlackoutView {
    fn from(blackout: &hypersdk_sched::Blackout) -> Self {
        BlackoutView { from: blackout.from, to: blackout.to, reason: blackout.reason.clone() }
    }
}

/// A time to come.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TimeView {
    planned_at: DateTime<Utc>,
    /// What the schedule's own clock shows then.
    local: String,
    /// Why it will come to nothing, as things stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    blackout: Option<String>,
}

pub(super) fn preview(spec: &ScheduleSpec, after: DateTime<Utc>, count: usize) -> Vec<TimeView> {
    let times = spec.upcoming(after).take(count);
    times
        .map(|planned_at| TimeView {
            planned_at,
            local: planned_at.with_timezone(&spec.timezone).to_rfc3339(),
            blackout: spec.blackout_at(planned_at),
        })
        .collect()
}

/// A firing and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RunView {
    schedule_id: String,
    planned_at: DateTime<Utc>,
    #[schema(schema_with = cause_words)]
    cause: Cause,
    #[schema(schema_with = run_words)]
    status: FiringState,
    #[schema(value_type = Vec<String>)]
    job_ids: Vec<JobId>,
    reason: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    completed_at: Option<DateTime<Utc>>,
}

impl From<Firing> for RunView {
    fn from(firing: Firing) -> Self {
        RunView {
            schedule_id: firing.schedule.to_string(),
            planned_at: firing.planned_at,
            cause: firing.cause,
            status: firing.state,
            job_ids: firing.jobs,
            reason: firing.reason,
            created_at: firing.created_at,
            started_at: firing.fired_at,
            completed_at: firing.ended_at,
        }
    }
}
