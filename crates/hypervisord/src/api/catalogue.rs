//! `/packages`: what jobs have made, and what the rules of schedules mean for it.

mod view;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use hypersdk_core::{ErrorKind, JobId, Package, PackageQuery, PackageState, ScheduleId};
use hypersdk_sched::Schedule;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::extract::{NoFields, Params, TextPath};
use super::paging;
use super::problem::{FieldError, Problem};
pub(super) use view::RulesView;
use view::{JudgedView, PackageView};

/// Packages of a page, unless asked otherwise.
const PAGE: usize = 100;
/// Packages of a page at most.
const PAGE_MAX: i64 = 1000;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, remove)).routes(routes!(judge, apply))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// One or several of `present`, `replaced`, `removing`, `removed`, with commas
    state: Option<String>,
    /// Only what this schedule made
    schedule: Option<String>,
    /// Only of the VM of this name, or that was submitted under this `vm_path`
    vm: Option<String>,
    /// Packages of the page; 100 if not given
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// The `next` of the page before
    before: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct PackagePageView {
    packages: Vec<PackageView>,
    /// The `before` of the next page; `null` on the last
    next: Option<String>,
    timestamp: DateTime<Utc>,
}

/// The catalogue: what jobs have made, newest first
#[utoipa::path(get, path = "/packages", tag = "packages", params(ListParams), responses(
    (status = 200, body = PackagePageView, description = "A page"),
))]
async fn list(
    State(state): State<ApiState>,
    Params(params): Params<ListParams>,
) -> Result<Json<PackagePageView>, Problem> {
    let mut errors = Vec::new();
    let mut query = PackageQuery {
        states: paging::words(params.state.as_deref(), "state", &mut errors),
        limit: paging::limit(params.limit, PAGE, PAGE_MAX, &mut errors),
        vm: params.vm,
        ..PackageQuery::default()
    };
    match params.schedule.map(|text| text.parse::<ScheduleId>()).transpose() {
        Ok(schedule) => query.schedule = schedule,
        Err(error) => errors.push(FieldError::new("schedule", error.to_string())),
    }
    match params.before.map(|text| text.parse::<JobId>()).transpose() {
        Ok(before) => query.before = before,
        Err(_) => errors.push(FieldError::new("before", "expected the `next` of the page before")),
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let page =
        state.keeper.remover().catalogue().packages(&query).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Problem::invalid(vec![FieldError::new("before", "there is no such package")])
            }
            _ => Problem::from(error),
        })?;
    Ok(Json(PackagePageView {
        packages: page.packages.iter().map(PackageView::brief).collect(),
        next: page.next.map(|id| id.to_string()),
        timestamp: Utc::now(),
    }))
}

/// A package
#[utoipa::path(get, path = "/packages/{id}", tag = "packages",
    params(("id" = String, Path, description = "The job that made it")), responses(
    (status = 200, body = PackageView, description = "The package"),
))]
async fn show(State(state): State<ApiState>, TextPath(id): TextPath) -> Result<Json<PackageView>, Problem> {
    Ok(Json(PackageView::whole(&find(&state, &id).await?)))
}

/// Remove a package
///
/// Its files and its receipt go, and nothing else; it stays in the catalogue as `removed`.
#[utoipa::path(delete, path = "/packages/{id}", tag = "packages",
    params(("id" = String, Path, description = "The job that made it")), responses(
    (status = 200, body = PackageView, description = "It is gone"),
))]
async fn remove(State(state): State<ApiState>, TextPath(id): TextPath) -> Result<Json<PackageView>, Problem> {
    let package = find(&state, &id).await?;
    if package.state == PackageState::Removed {
        return Ok(Json(PackageView::whole(&package)));
    }
    let gone = state.keeper.remover().remove(package, "asked for".to_owned()).await?;
    Ok(Json(PackageView::whole(&gone)))
}

#[derive(Serialize, ToSchema)]
struct RetentionView {
    schedule_id: String,
    /// The rules; `null` if the schedule has none, and everything stays
    retention: Option<RulesView>,
    /// Whether nothing was removed by this
    dry_run: bool,
    /// What goes or went
    remove: Vec<JudgedView>,
    /// What stays
    keep: Vec<JudgedView>,
    timestamp: DateTime<Utc>,
}

/// What a schedule's rules would remove, and why; nothing is
#[utoipa::path(get, path = "/schedules/{id}/retention", tag = "packages",
    params(("id" = String, Path, description = "The schedule")), responses(
    (status = 200, body = RetentionView, description = "Each package that is present, newest first"),
))]
async fn judge(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
) -> Result<Json<RetentionView>, Problem> {
    let schedule = find_schedule(&state, &id).await?;
    let verdicts = state.keeper.judge(&schedule).await?;
    let (remove, keep): (Vec<_>, Vec<_>) = verdicts.iter().partition(|verdict| verdict.goes);
    Ok(Json(RetentionView {
        schedule_id: schedule.id.to_string(),
        retention: schedule.spec.retention.map(RulesView::from),
        dry_run: true,
        remove: remove.into_iter().map(JudgedView::from).collect(),
        keep: keep.into_iter().map(JudgedView::from).collect(),
        timestamp: Utc::now(),
    }))
}

/// Apply a schedule's rules now
#[utoipa::path(post, path = "/schedules/{id}/retention", tag = "packages",
    params(("id" = String, Path, description = "The schedule")), responses(
    (status = 200, body = RetentionView, description = "What was removed, and what is left"),
))]
async fn apply(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    _: NoFields,
) -> Result<Json<RetentionView>, Problem> {
    let schedule = find_schedule(&state, &id).await?;
    let gone = state.keeper.apply(&schedule).await?;
    let left = state.keeper.judge(&schedule).await?;
    Ok(Json(RetentionView {
        schedule_id: schedule.id.to_string(),
        retention: schedule.spec.retention.map(RulesView::from),
        dry_run: false,
        remove: gone.iter().map(JudgedView::from).collect(),
        keep: left.iter().map(JudgedView::from).collect(),
        timestamp: Utc::now(),
    }))
}

/// The package, or a problem that names it. What is no identifier names no package.
pub(super) async fn find(state: &ApiState, id: &str) -> Result<Package, Problem> {
    let unknown = || Problem::not_found(format!("there is no package {id:?}; GET /packages lists them"));
    let parsed = id.parse::<JobId>().map_err(|_| unknown())?;
    state.keeper.remover().catalogue().package(&parsed).await?.ok_or_else(unknown)
}

async fn find_schedule(state: &ApiState, id: &str) -> Result<Schedule, Problem> {
    let unknown = || Problem::not_found(format!("there is no schedule {id}"));
    let parsed = id.parse::<ScheduleId>().map_err(|_| unknown())?;
    state.scheduler.store().schedule(&parsed).await?.ok_or_else(unknown)
}
