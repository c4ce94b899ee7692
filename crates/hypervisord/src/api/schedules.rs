//! `/schedules`: what is to be done when, and what came of it.

mod read;
mod view;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use hypersdk_core::ScheduleId;
use hypersdk_sched::{FiringState, NewSchedule, Schedule};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiState;
use super::extract::{Document, Params, TextPath};
use super::problem::{FieldError, Problem};
pub(crate) use read::read_template;
use view::{RunView, ScheduleView, preview};

/// The most times a preview shows, and the most runs a page has.
const MOST: usize = 1000;

/// How many a preview shows unasked.
const PREVIEW: usize = 10;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/schedules", get(list).post(create))
        .route("/schedules/preview", post(preview_unsaved))
        .route("/schedules/{id}", get(show).put(replace).delete(remove))
        .route("/schedules/{id}/enable", post(enable))
        .route("/schedules/{id}/disable", post(disable))
        .route("/schedules/{id}/trigger", post(trigger))
        .route("/schedules/{id}/runs", get(runs))
        .route("/schedules/{id}/next", get(next))
        .route("/stats/schedules", get(stats))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParams {
    tag: Option<String>,
    next: Option<usize>,
}

/// A bare list, as its users have come to rely on.
async fn list(
    State(state): State<ApiState>,
    Params(params): Params<ListParams>,
) -> Result<Json<Vec<ScheduleView>>, Problem> {
    let times = at_most("next", params.next.unwrap_or(0))?;
    let now = state.scheduler.clock().now();
    let schedules = state.scheduler.store().schedules().await?;
    let wanted = schedules
        .into_iter()
        .filter(|schedule| params.tag.as_ref().is_none_or(|tag| schedule.spec.tags.contains(tag)));
    Ok(Json(wanted.map(|schedule| ScheduleView::new(schedule, now, times)).collect()))
}

async fn create(State(state): State<ApiState>, Document(body): Document) -> Result<Response, Problem> {
    let request = read::request(body).map_err(Problem::invalid)?;
    let id = match request.id {
        Some(id) => id,
        None => made_up_id(),
    };
    let new = NewSchedule { id, spec: request.spec, enabled: request.enabled.unwrap_or(true) };
    let id = new.id.clone();
    let schedule = state.scheduler.create(new).await.map_err(|error| match error.kind() {
        hypersdk_core::ErrorKind::Conflict => {
            let message = format!("a schedule {id} exists already; change it with PUT /schedules/{id}");
            Problem::new(StatusCode::CONFLICT, "the schedule was not created: see errors")
                .with_errors(vec![FieldError::new("id", message)])
        }
        _ => Problem::from(error),
    })?;
    let view = ScheduleView::new(schedule, state.scheduler.clock().now(), 0);
    let mut response = (StatusCode::CREATED, Json(view)).into_response();
    if let Ok(location) = format!("/schedules/{id}").parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn made_up_id() -> ScheduleId {
    format!("schedule-{}", uuid::Uuid::now_v7()).parse().expect("letters, digits and dashes")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowParams {
    next: Option<usize>,
}

async fn show(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    Params(params): Params<ShowParams>,
) -> Result<Json<ScheduleView>, Problem> {
    let times = at_most("next", params.next.unwrap_or(0))?;
    let schedule = find(&state, &id).await?;
    Ok(Json(ScheduleView::new(schedule, state.scheduler.clock().now(), times)))
}

/// Puts a whole definition in the place of the old one. `enabled` stays as it is if it is not given.
async fn replace(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    Document(body): Document,
) -> Result<Json<ScheduleView>, Problem> {
    let old = find(&state, &id).await?;
    let request = read::request(body).map_err(Problem::invalid)?;
    if request.id.as_ref().is_some_and(|id| *id != old.id) {
        let message = "a schedule keeps its id; create another one instead";
        return Err(Problem::invalid(vec![FieldError::new("id", message)]));
    }
    let enabled = request.enabled.filter(|enabled| *enabled != old.enabled);
    let changed = state.scheduler.change(&old.id, Some(request.spec), enabled, request.revision).await?;
    Ok(Json(ScheduleView::new(changed, state.scheduler.clock().now(), 0)))
}

async fn remove(State(state): State<ApiState>, TextPath(id): TextPath) -> Result<StatusCode, Problem> {
    let id = parse(&id)?;
    state.scheduler.remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn enable(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
) -> Result<Json<ScheduleView>, Problem> {
    switch(&state, &id, true).await
}

async fn disable(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
) -> Result<Json<ScheduleView>, Problem> {
    switch(&state, &id, false).await
}

async fn switch(state: &ApiState, id: &str, enabled: bool) -> Result<Json<ScheduleView>, Problem> {
    let schedule = find(state, id).await?;
    let schedule = match schedule.enabled == enabled {
        true => schedule,
        false => state.scheduler.change(&schedule.id, None, Some(enabled), None).await?,
    };
    Ok(Json(ScheduleView::new(schedule, state.scheduler.clock().now(), 0)))
}

/// Fires it now, and answers with its run once the jobs are accepted.
async fn trigger(State(state): State<ApiState>, TextPath(id): TextPath) -> Result<Response, Problem> {
    let id = parse(&id)?;
    let firing = state.scheduler.trigger(&id).await?;
    if firing.state == FiringState::Missed {
        let reason = firing.reason.as_deref().unwrap_or("nothing was started");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("nothing was started: {reason}")));
    }
    Ok((StatusCode::ACCEPTED, Json(RunView::from(firing))).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunParams {
    limit: Option<usize>,
    before: Option<DateTime<Utc>>,
}

async fn runs(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    Params(params): Params<RunParams>,
) -> Result<Json<Value>, Problem> {
    let limit = at_most("limit", params.limit.unwrap_or(100))?;
    let id = parse(&id)?;
    let firings = state.scheduler.store().firings(&id, params.before, limit + 1).await?;
    let next = (firings.len() > limit).then(|| firings[limit - 1].planned_at);
    let runs: Vec<RunView> = firings.into_iter().take(limit).map(RunView::from).collect();
    Ok(Json(json!({ "schedule_id": id, "runs": runs, "next": next })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NextParams {
    n: Option<usize>,
    next: Option<usize>,
}

/// The next times, also of a schedule that is off.
async fn next(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    Params(params): Params<NextParams>,
) -> Result<Json<Value>, Problem> {
    let count = at_most("n", params.n.or(params.next).unwrap_or(PREVIEW))?;
    let schedule = find(&state, &id).await?;
    let now = state.scheduler.clock().now();
    Ok(Json(json!({
        "schedule_id": schedule.id,
        "schedule": schedule.spec.schedule.as_str(),
        "schedule_text": schedule.spec.schedule.describe(),
        "timezone": schedule.spec.timezone.name(),
        "enabled": schedule.enabled,
        "next": preview(&schedule.spec, now.max(schedule.accounted_until), count),
    })))
}

/// The next times of a schedule that is not there yet: the body of `POST /schedules`, or only its times.
async fn preview_unsaved(
    State(state): State<ApiState>,
    Params(params): Params<NextParams>,
    Document(body): Document,
) -> Result<Json<Value>, Problem> {
    let count = at_most("n", params.n.or(params.next).unwrap_or(PREVIEW))?;
    let spec = read::times(body).map_err(Problem::invalid)?;
    Ok(Json(json!({
        "schedule": spec.schedule.as_str(),
        "schedule_text": spec.schedule.describe(),
        "timezone": spec.timezone.name(),
        "next": preview(&spec, state.scheduler.clock().now(), count),
    })))
}

async fn stats(State(state): State<ApiState>) -> Result<Json<Value>, Problem> {
    let schedules = state.scheduler.store().schedules().await?;
    let now = state.scheduler.clock().now();
    let enabled = schedules.iter().filter(|schedule| schedule.enabled).count();
    Ok(Json(json!({
        "total_schedules": schedules.len(),
        "enabled_schedules": enabled,
        "disabled_schedules": schedules.len() - enabled,
        "failing_schedules": schedules.iter().filter(|schedule| schedule.failures > 0).count(),
        "total_runs": schedules.iter().map(|schedule| schedule.run_count).sum::<u64>(),
        "missed_runs": schedules.iter().map(|schedule| schedule.missed_count).sum::<u64>(),
        "open_runs": state.scheduler.store().open_firings().await?.len(),
        "next_run": schedules.iter().filter_map(|schedule| schedule.next_run(now)).min(),
        "timestamp": now,
    })))
}

async fn find(state: &ApiState, id: &str) -> Result<Schedule, Problem> {
    let found = state.scheduler.store().schedule(&parse(id)?).await?;
    found.ok_or_else(|| no_such_schedule(id))
}

/// What is no identifier names no schedule.
fn parse(id: &str) -> Result<ScheduleId, Problem> {
    id.parse().map_err(|_| no_such_schedule(id))
}

fn no_such_schedule(id: &str) -> Problem {
    Problem::not_found(format!("there is no schedule {id}"))
}

fn at_most(name: &str, count: usize) -> Result<usize, Problem> {
    let least = usize::from(name == "limit");
    if (least..=MOST).contains(&count) {
        return Ok(count);
    }
    let message = format!("expected a whole number from {least} to {MOST}");
    Err(Problem::invalid(vec![FieldError::new(name, message)]))
}
