//! `/schedules`: what is to be done when, and what came of it.

mod looking;
mod read;
mod view;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hypersdk_core::{Error, ErrorKind, ScheduleId};
use hypersdk_sched::{FiringState, NewSchedule, Schedule};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::extract::{Document, NoFields, Params, TextPath};
use super::problem::{FieldError, Problem};
use super::versioned::{self, ChangeHeaders, Known, LookHeaders};
use read::ScheduleFields;
pub(crate) use read::{read_schedule, read_template};
use view::{RunView, ScheduleView};

/// The most times a preview shows, and the most runs a page has.
const MOST: usize = 1000;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, replace, remove))
        .routes(routes!(enable))
        .routes(routes!(disable))
        .routes(routes!(trigger))
        .merge(looking::routes())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only those with this tag
    tag: Option<String>,
    /// With so many of their next times
    #[param(minimum = 0, maximum = 1000)]
    next: Option<usize>,
}

/// The schedules
///
/// A bare list, as its users have come to rely on.
#[utoipa::path(get, path = "/schedules", tag = "schedules", params(ListParams, LookHeaders), responses(
    (status = 200, body = Vec<ScheduleView>, description = "All of them, by id", headers(("ETag" = String))),
    (status = 304, description = "They are as `If-None-Match` knows them"),
))]
async fn list(
    State(state): State<ApiState>,
    Params(params): Params<ListParams>,
    known: Known,
) -> Result<Response, Problem> {
    let times = at_most("next", params.next.unwrap_or(0))?;
    let now = state.scheduler.clock().now();
    let schedules = state.scheduler.store().schedules().await?;
    let wanted = schedules
        .into_iter()
        .filter(|schedule| params.tag.as_ref().is_none_or(|tag| schedule.spec.tags.contains(tag)));
    let views: Vec<ScheduleView> = wanted.map(|schedule| ScheduleView::new(schedule, now, times)).collect();
    Ok(known.answer(0, &views))
}

/// Make a schedule
#[utoipa::path(post, path = "/schedules", tag = "schedules", request_body = ScheduleFields, responses(
    (status = 201, body = ScheduleView, description = "It is there", headers(("Location" = String), ("ETag" = String))),
))]
async fn create(State(state): State<ApiState>, Document(body): Document) -> Result<Response, Problem> {
    let request = read::request(body).map_err(Problem::invalid)?;
    let id = match request.id {
        Some(id) => id,
        None => made_up_id(),
    };
    let new = NewSchedule { id, spec: request.spec, enabled: request.enabled.unwrap_or(true) };
    let id = new.id.clone();
    let schedule = state.scheduler.create(new).await.map_err(|error| match error.kind() {
        ErrorKind::Conflict => {
            let message = format!("a schedule {id} exists already; change it with PUT /schedules/{id}");
            Problem::new(StatusCode::CONFLICT, "the schedule was not created: see errors")
                .with_errors(vec![FieldError::new("id", message)])
        }
        _ => Problem::from(error),
    })?;
    let mut response = changed(&state, StatusCode::CREATED, schedule);
    if let Ok(location) = format!("/schedules/{id}").parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn made_up_id() -> ScheduleId {
    format!("schedule-{}", uuid::Uuid::now_v7()).parse().expect("letters, digits and dashes")
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ShowParams {
    /// With so many of its next times
    #[param(minimum = 0, maximum = 1000)]
    next: Option<usize>,
}

/// A schedule
#[utoipa::path(get, path = "/schedules/{id}", tag = "schedules", params(("id" = String, Path, description = "The schedule"), ShowParams, LookHeaders), responses(
    (status = 200, body = ScheduleView, description = "The schedule", headers(("ETag" = String))),
    (status = 304, description = "It is as `If-None-Match` knows it"),
))]
async fn show(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    Params(params): Params<ShowParams>,
    known: Known,
) -> Result<Response, Problem> {
    let times = at_most("next", params.next.unwrap_or(0))?;
    let schedule = find(&state, &id).await?;
    let revision = schedule.revision;
    Ok(known.answer(revision, &ScheduleView::new(schedule, state.scheduler.clock().now(), times)))
}

/// Put a whole definition in the place of the old one
///
/// `enabled` stays as it is if it is not given.
#[utoipa::path(put, path = "/schedules/{id}", tag = "schedules", params(("id" = String, Path, description = "The schedule"), ChangeHeaders), request_body = ScheduleFields, responses(
    (status = 200, body = ScheduleView, description = "What it is now", headers(("ETag" = String))),
))]
async fn replace(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    known: Known,
    Document(body): Document,
) -> Result<Response, Problem> {
    let old = find(&state, &id).await?;
    let expected = known.expects(old.revision, &path(&old.id))?;
    let request = read::request(body).map_err(Problem::invalid)?;
    if request.id.as_ref().is_some_and(|id| *id != old.id) {
        let message = "a schedule keeps its id; create another one instead";
        return Err(Problem::invalid(vec![FieldError::new("id", message)]));
    }
    if expected.is_some() && request.revision.is_some_and(|revision| Some(revision) != expected) {
        let message = "is not the one that If-Match names; leave one of them out";
        return Err(Problem::invalid(vec![FieldError::new("revision", message)]));
    }
    let enabled = request.enabled.filter(|enabled| *enabled != old.enabled);
    let revision = expected.or(request.revision);
    let now = state.scheduler.change(&old.id, Some(request.spec), enabled, revision).await;
    let now = now.map_err(|error| refusal(&old.id, expected, error))?;
    Ok(changed(&state, StatusCode::OK, now))
}

/// Remove a schedule
///
/// Jobs that it started go on.
#[utoipa::path(delete, path = "/schedules/{id}", tag = "schedules", params(("id" = String, Path, description = "The schedule"), ChangeHeaders), responses(
    (status = 204, description = "It is gone"),
))]
async fn remove(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    known: Known,
) -> Result<StatusCode, Problem> {
    let old = find(&state, &id).await?;
    let expected = known.expects(old.revision, &path(&old.id))?;
    let removed = state.scheduler.remove(&old.id, expected).await;
    removed.map_err(|error| refusal(&old.id, expected, error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Switch a schedule on
#[utoipa::path(post, path = "/schedules/{id}/enable", tag = "schedules", params(("id" = String, Path, description = "The schedule"), ChangeHeaders), responses(
    (status = 200, body = ScheduleView, description = "What it is now", headers(("ETag" = String))),
))]
async fn enable(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    known: Known,
    _: NoFields,
) -> Result<Response, Problem> {
    switch(&state, &id, &known, true).await
}

/// Switch a schedule off
#[utoipa::path(post, path = "/schedules/{id}/disable", tag = "schedules", params(("id" = String, Path, description = "The schedule"), ChangeHeaders), responses(
    (status = 200, body = ScheduleView, description = "What it is now", headers(("ETag" = String))),
))]
async fn disable(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    known: Known,
    _: NoFields,
) -> Result<Response, Problem> {
    switch(&state, &id, &known, false).await
}

async fn switch(state: &ApiState, id: &str, known: &Known, enabled: bool) -> Result<Response, Problem> {
    let schedule = find(state, id).await?;
    let expected = known.expects(schedule.revision, &path(&schedule.id))?;
    let schedule = match schedule.enabled == enabled {
        true => schedule,
        false => {
            let now = state.scheduler.change(&schedule.id, None, Some(enabled), expected).await;
            now.map_err(|error| refusal(&schedule.id, expected, error))?
        }
    };
    Ok(changed(state, StatusCode::OK, schedule))
}

/// Fire a schedule now
///
/// Whatever its times say. The answer comes once the jobs are accepted.
#[utoipa::path(post, path = "/schedules/{id}/trigger", tag = "schedules", params(("id" = String, Path, description = "The schedule")), responses(
    (status = 202, body = RunView, description = "The run"),
))]
async fn trigger(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    _: NoFields,
) -> Result<Response, Problem> {
    let id = parse(&id)?;
    let firing = state.scheduler.trigger(&id).await?;
    if firing.state == FiringState::Missed {
        let reason = firing.reason.as_deref().unwrap_or("nothing was started");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("nothing was started: {reason}")));
    }
    Ok((StatusCode::ACCEPTED, Json(RunView::from(firing))).into_response())
}

/// The answer to a change.
fn changed(state: &ApiState, status: StatusCode, schedule: Schedule) -> Response {
    let revision = schedule.revision;
    versioned::changed(status, revision, &ScheduleView::new(schedule, state.scheduler.clock().now(), 0))
}

/// What the store found when it changed a schedule.
fn refusal(id: &ScheduleId, expected: Option<i64>, error: Error) -> Problem {
    match error.kind() {
        ErrorKind::Conflict if expected.is_some() => versioned::outdated(&path(id)),
        _ => Problem::from(error),
    }
}

fn path(id: &ScheduleId) -> String {
    format!("/schedules/{id}")
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
