//! What schedules did, and what they are going to do.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::ApiState;
use super::super::extract::{Document, Params, TextPath};
use super::super::problem::Problem;
use super::read::{self, TimesFields};
use super::view::{RunView, TimeView, preview};
use super::{at_most, find, parse};

/// How many a preview shows unasked.
const PREVIEW: usize = 10;
/// Runs of a page, unless asked otherwise.
const PAGE: usize = 100;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(runs))
        .routes(routes!(next))
        .routes(routes!(preview_unsaved))
        .routes(routes!(stats))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RunParams {
    /// Runs of the page; 100 if not given
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next` of the page before
    before: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
struct RunPage {
    schedule_id: String,
    runs: Vec<RunView>,
    /// The `before` of the next page; `null` on the last
    next: Option<DateTime<Utc>>,
}

/// The runs of a schedule, newest first
#[utoipa::path(get, path = "/schedules/{id}/runs", tag = "schedules", params(("id" = String, Path, description = "The schedule"), RunParams), responses(
    (status = 200, body = RunPage, description = "A page"),
))]
async fn runs(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    Params(params): Params<RunParams>,
) -> Result<Json<RunPage>, Problem> {
    let limit = at_most("limit", params.limit.unwrap_or(PAGE))?;
    let id = parse(&id)?;
    let firings = state.scheduler.store().firings(&id, params.before, limit + 1).await?;
    let next = (firings.len() > limit).then(|| firings[limit - 1].planned_at);
    let runs = firings.into_iter().take(limit).map(RunView::from).collect();
    Ok(Json(RunPage { schedule_id: id.to_string(), runs, next }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct NextParams {
    /// How many times; 10 if not given
    #[param(minimum = 0, maximum = 1000)]
    n: Option<usize>,
    /// The same
    #[param(minimum = 0, maximum = 1000)]
    next: Option<usize>,
}

impl NextParams {
    fn count(&self) -> Result<usize, Problem> {
        at_most("n", self.n.or(self.next).unwrap_or(PREVIEW))
    }
}

#[derive(Serialize, ToSchema)]
struct NextTimes {
    schedule_id: String,
    enabled: bool,
    #[serde(flatten)]
    times: Times,
}

#[derive(Serialize, ToSchema)]
struct Times {
    schedule: String,
    /// The expression in plain words
    schedule_text: String,
    timezone: &'static str,
    next: Vec<TimeView>,
}

impl Times {
    fn of(spec: &hypersdk_sched::ScheduleSpec, after: DateTime<Utc>, count: usize) -> Self {
        Times {
            schedule: spec.schedule.as_str().to_owned(),
            schedule_text: spec.schedule.describe(),
            timezone: spec.timezone.name(),
            next: preview(spec, after, count),
        }
    }
}

/// The next times of a schedule
///
/// Also of one that is off.
#[utoipa::path(get, path = "/schedules/{id}/next", tag = "schedules", params(("id" = String, Path, description = "The schedule"), NextParams), responses(
    (status = 200, body = NextTimes, description = "They"),
))]
async fn next(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    Params(params): Params<NextParams>,
) -> Result<Json<NextTimes>, Problem> {
    let count = params.count()?;
    let schedule = find(&state, &id).await?;
    let after = state.scheduler.clock().now().max(schedule.accounted_until);
    Ok(Json(NextTimes {
        schedule_id: schedule.id.to_string(),
        enabled: schedule.enabled,
        times: Times::of(&schedule.spec, after, count),
    }))
}

/// The next times of a schedule that is not there yet
///
/// The body is that of `POST /schedules`, or only its times.
#[utoipa::path(post, path = "/schedules/preview", tag = "schedules", params(NextParams), request_body = TimesFields, responses(
    (status = 200, body = Times, description = "They"),
))]
async fn preview_unsaved(
    State(state): State<ApiState>,
    Params(params): Params<NextParams>,
    Document(body): Document,
) -> Result<Json<Times>, Problem> {
    let count = params.count()?;
    let spec = read::times(body).map_err(Problem::invalid)?;
    Ok(Json(Times::of(&spec, state.scheduler.clock().now(), count)))
}

#[derive(Serialize, ToSchema)]
struct ScheduleStats {
    total_schedules: usize,
    enabled_schedules: usize,
    disabled_schedules: usize,
    /// Those whose last run failed
    failing_schedules: usize,
    total_runs: u64,
    missed_runs: u64,
    /// Runs that have not ended
    open_runs: usize,
    next_run: Option<DateTime<Utc>>,
    timestamp: DateTime<Utc>,
}

/// What the schedules do
#[utoipa::path(get, path = "/stats/schedules", tag = "schedules", responses(
    (status = 200, body = ScheduleStats, description = "Sums over all of them"),
))]
async fn stats(State(state): State<ApiState>) -> Result<Json<ScheduleStats>, Problem> {
    let schedules = state.scheduler.store().schedules().await?;
    let now = state.scheduler.clock().now();
    let enabled = schedules.iter().filter(|schedule| schedule.enabled).count();
    Ok(Json(ScheduleStats {
        total_schedules: schedules.len(),
        enabled_schedules: enabled,
        disabled_schedules: schedules.len() - enabled,
        failing_schedules: schedules.iter().filter(|schedule| schedule.failures > 0).count(),
        total_runs: schedules.iter().map(|schedule| schedule.run_count).sum(),
        missed_runs: schedules.iter().map(|schedule| schedule.missed_count).sum(),
        open_runs: state.scheduler.store().open_firings().await?.len(),
        next_run: schedules.iter().filter_map(|schedule| schedule.next_run(now)).min(),
        timestamp: now,
    }))
}
