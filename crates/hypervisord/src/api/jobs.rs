//! Looking at jobs and stopping them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use hypersdk_core::{CancelOutcome, ErrorKind, Job, JobId, JobQuery, JobStatus};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::extract::{Document, JobPath, Params};
use super::fields::Fields;
use super::model::JobView;
use super::paging;
use super::problem::{FieldError, Problem, explain_safely};

/// Jobs of a page, unless asked otherwise.
const PAGE: usize = 100;
/// Jobs of a page at most.
const PAGE_MAX: i64 = 1000;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(logs))
        .routes(routes!(query))
        .routes(routes!(cancel))
}

pub(super) fn no_such_job(id: &str) -> Problem {
    Problem::not_found(format!("there is no job {id:?}; GET /jobs lists them"))
}

/// The job, or a problem that names it.
pub(super) async fn find(state: &ApiState, id: &JobId) -> Result<Job, Problem> {
    state.manager.get(id).await?.ok_or_else(|| no_such_job(id.as_str()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// One or several of `pending`, `running`, `completed`, `failed`, `cancelled`, with commas
    status: Option<String>,
    /// Jobs of the page; 100 if not given
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// The `next` of the page before
    before: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct JobPage {
    /// How many match, on all pages
    total: u64,
    jobs: Vec<JobView>,
    /// The `before` of the next page; `null` on the last
    next: Option<String>,
    timestamp: DateTime<Utc>,
}

/// The jobs, newest first
#[utoipa::path(get, path = "/jobs", tag = "jobs", params(ListParams), responses(
    (status = 200, body = JobPage, description = "A page"),
))]
async fn list(
    State(state): State<ApiState>,
    Params(params): Params<ListParams>,
) -> Result<Json<JobPage>, Problem> {
    let mut errors = Vec::new();
    let mut query = JobQuery {
        statuses: paging::words(params.status.as_deref(), "status", &mut errors),
        limit: paging::limit(params.limit, PAGE, PAGE_MAX, &mut errors),
        ..JobQuery::default()
    };
    match params.before.map(|text| text.parse()).transpose() {
        Ok(before) => query.before = before,
        Err(_) => errors.push(FieldError::new("before", "expected the `next` of the page before")),
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    page(&state, query).await
}

/// Every field is optional.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `query` takes from its fields")]
struct QueryBody {
    job_ids: Option<Vec<String>>,
    /// As in `GET /jobs`, a list
    status: Option<Vec<String>>,
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    before: Option<String>,
}

/// The jobs that a body describes, newest first
#[utoipa::path(post, path = "/jobs/query", tag = "jobs", request_body = QueryBody, responses(
    (status = 200, body = JobPage, description = "A page"),
))]
async fn query(State(state): State<ApiState>, Document(body): Document) -> Result<Json<JobPage>, Problem> {
    let mut fields = Fields::open("", body).map_err(|error| Problem::malformed(error.message))?;
    let ids = ids(&mut fields);
    let mut query = JobQuery { ids, limit: PAGE, ..JobQuery::default() };
    if let Some(words) = fields.texts("status") {
        for word in words {
            match word.parse() {
                Ok(status) => query.statuses.push(status),
                Err(message) => fields.wrong("status", message),
            }
        }
    }
    if let Some(limit) = fields.integer("limit", 1, PAGE_MAX) {
        query.limit = usize::try_from(limit).unwrap_or(PAGE);
    }
    query.before = fields.parsed("before", |text| text.parse().map_err(|_| "expected a job id".to_owned()));
    let errors = fields.close();
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    page(&state, query).await
}

async fn page(state: &ApiState, query: JobQuery) -> Result<Json<JobPage>, Problem> {
    let page = state.manager.list(&query).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Problem::invalid(vec![FieldError::new("before", "there is no such job")]),
        _ => Problem::from(error),
    })?;
    let counts = state.manager.store().counts().await?;
    let count = |status: &JobStatus| match status {
        JobStatus::Pending => counts.pending,
        JobStatus::Running => counts.running,
        JobStatus::Completed => counts.completed,
        JobStatus::Failed => counts.failed,
        JobStatus::Cancelled => counts.cancelled,
    };
    let total = match (query.ids.is_empty(), query.statuses.is_empty()) {
        (true, true) => Some(counts.total()),
        (true, false) => {
            Some(JobStatus::ALL.iter().filter(|status| query.statuses.contains(status)).map(count).sum())
        }
        (false, _) => None,
    };
    let jobs: Vec<JobView> = page.jobs.into_iter().map(JobView::from).collect();
    Ok(Json(JobPage {
        total: total.unwrap_or(jobs.len() as u64),
        jobs,
        next: page.next.map(|id| id.to_string()),
        timestamp: Utc::now(),
    }))
}

/// A job
#[utoipa::path(get, path = "/jobs/{id}", tag = "jobs", params(("id" = String, Path, description = "The job")), responses(
    (status = 200, body = JobView, description = "The job"),
))]
async fn show(State(state): State<ApiState>, JobPath(id): JobPath) -> Result<Json<JobView>, Problem> {
    Ok(Json(JobView::from(find(&state, &id).await?)))
}

#[derive(Serialize, ToSchema)]
pub(super) struct LogsView {
    job_id: String,
    total: usize,
    logs: Vec<LineView>,
}

#[derive(Serialize, ToSchema)]
struct LineView {
    timestamp: DateTime<Utc>,
    /// `info`, `warning`, `error`
    #[schema(value_type = String)]
    level: hypersdk_core::LogLevel,
    message: String,
}

/// A job's log
#[utoipa::path(get, path = "/jobs/{id}/logs", tag = "jobs", params(("id" = String, Path, description = "The job")), responses(
    (status = 200, body = LogsView, description = "Its lines, oldest first"),
))]
pub(super) async fn logs(
    State(state): State<ApiState>,
    JobPath(id): JobPath,
) -> Result<Json<LogsView>, Problem> {
    find(&state, &id).await?;
    let logs: Vec<LineView> = state
        .manager
        .store()
        .log(&id)
        .await?
        .into_iter()
        .map(|line| LineView { timestamp: line.time, level: line.level, message: line.message })
        .collect();
    Ok(Json(LogsView { job_id: id.to_string(), total: logs.len(), logs }))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `cancel` takes from its fields")]
struct CancelBody {
    job_ids: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct CancelAnswer {
    /// Whether all of them were cancelled
    success: bool,
    cancelled: Vec<String>,
    /// Those that were running, and take a moment to stop
    stopping: Vec<String>,
    failed: Vec<String>,
    /// Why, by job
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    errors: Map<String, Value>,
    timestamp: DateTime<Utc>,
}

/// Cancel jobs
#[utoipa::path(post, path = "/jobs/cancel", tag = "jobs", request_body = CancelBody, responses(
    (status = 200, body = CancelAnswer, description = "At least one was cancelled"),
))]
async fn cancel(
    State(state): State<ApiState>,
    Document(body): Document,
) -> Result<Json<CancelAnswer>, Problem> {
    let mut fields = Fields::open("", body).map_err(|error| Problem::malformed(error.message))?;
    let ids = ids(&mut fields);
    if ids.is_empty() {
        fields.wrong("job_ids", "name at least one job");
    }
    let errors = fields.close();
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let (mut cancelled, mut stopping, mut failed) = (Vec::new(), Vec::new(), Map::new());
    let mut kinds = Vec::new();
    for id in ids {
        match state.manager.cancel(&id).await {
            Ok(CancelOutcome::Cancelled) => cancelled.push(id),
            Ok(CancelOutcome::Requested) => {
                cancelled.push(id.clone());
                stopping.push(id);
            }
            Ok(CancelOutcome::AlreadyEnded(status)) => {
                kinds.push(ErrorKind::Conflict);
                failed.insert(id.to_string(), format!("it is {status} already").into());
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                kinds.push(ErrorKind::NotFound);
                failed.insert(id.to_string(), "there is no such job".into());
            }
            Err(error) => {
                tracing::error!(job = %id, "cancel: {}", error.chain());
                kinds.push(error.kind());
                failed.insert(id.to_string(), explain_safely(&error).into());
            }
        }
    }
    if cancelled.is_empty() {
        return Err(nothing_cancelled(&kinds, &failed));
    }
    let texts = |ids: Vec<JobId>| ids.iter().map(ToString::to_string).collect();
    Ok(Json(CancelAnswer {
        success: failed.is_empty(),
        cancelled: texts(cancelled),
        stopping: texts(stopping),
        failed: failed.keys().cloned().collect(),
        errors: failed,
        timestamp: Utc::now(),
    }))
}

fn nothing_cancelled(kinds: &[ErrorKind], failed: &Map<String, Value>) -> Problem {
    let errors = failed
        .iter()
        .map(|(id, why)| FieldError::new("job_ids", format!("{id}: {}", why.as_str().unwrap_or_default())))
        .collect();
    let status = if kinds.iter().all(|kind| *kind == ErrorKind::NotFound) {
        StatusCode::NOT_FOUND
    } else if kinds.iter().all(|kind| matches!(kind, ErrorKind::NotFound | ErrorKind::Conflict)) {
        StatusCode::CONFLICT
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    Problem::new(status, "no job was cancelled: see errors").with_errors(errors)
}

fn ids(fields: &mut Fields) -> Vec<JobId> {
    let mut ids = Vec::new();
    for text in fields.texts("job_ids").unwrap_or_default() {
        match text.parse() {
            Ok(id) => ids.push(id),
            Err(error) => fields.wrong("job_ids", format!("{error}")),
        }
    }
    ids
}
