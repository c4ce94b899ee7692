//! Looking at jobs and stopping them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use hypersdk_core::{CancelOutcome, ErrorKind, Job, JobId, JobQuery, JobStatus};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ApiState;
use super::extract::{Document, JobPath, Params};
use super::fields::Fields;
use super::model::JobView;
use super::problem::{FieldError, Problem, explain_safely};

/// Jobs of a page, unless asked otherwise.
const PAGE: usize = 100;
/// Jobs of a page at most.
const PAGE_MAX: i64 = 1000;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/jobs", get(list))
        .route("/jobs/{id}", get(show))
        .route("/jobs/{id}/logs", get(logs))
        .route("/jobs/query", post(query))
        .route("/jobs/cancel", post(cancel))
}

pub(super) fn no_such_job(id: &str) -> Problem {
    Problem::not_found(format!("there is no job {id:?}; GET /jobs lists them"))
}

/// The job, or a problem that names it.
pub(super) async fn find(state: &ApiState, id: &JobId) -> Result<Job, Problem> {
    state.manager.get(id).await?.ok_or_else(|| no_such_job(id.as_str()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParams {
    status: Option<String>,
    limit: Option<i64>,
    before: Option<String>,
}

async fn list(
    State(state): State<ApiState>,
    Params(params): Params<ListParams>,
) -> Result<Json<Value>, Problem> {
    let mut errors = Vec::new();
    let mut query = JobQuery { limit: PAGE, ..JobQuery::default() };
    for word in params.status.iter().flat_map(|words| words.split(',')).filter(|word| !word.is_empty()) {
        match word.parse() {
            Ok(status) => query.statuses.push(status),
            Err(message) => errors.push(FieldError::new("status", message)),
        }
    }
    match params.limit {
        Some(limit @ 1..=PAGE_MAX) => query.limit = usize::try_from(limit).unwrap_or(PAGE),
        Some(_) => errors.push(FieldError::new("limit", format!("expected 1 to {PAGE_MAX}"))),
        None => {}
    }
    match params.before.map(|text| text.parse()).transpose() {
        Ok(before) => query.before = before,
        Err(_) => errors.push(FieldError::new("before", "expected the `next` of the page before")),
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    page(&state, query).await
}

async fn query(State(state): State<ApiState>, Document(body): Document) -> Result<Json<Value>, Problem> {
    let mut fields = Fields::open("", body).map_err(|error| Problem::malformed(error.message))?;
    let ids = ids(&mut fields);
    let mut query = JobQuery { ids, limit: PAGE, ..JobQuery::default() };
    if let Some(words) = texts(&mut fields, "status") {
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

async fn page(state: &ApiState, query: JobQuery) -> Result<Json<Value>, Problem> {
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
    Ok(Json(json!({
        "total": total.unwrap_or(jobs.len() as u64),
        "jobs": jobs,
        "next": page.next,
        "timestamp": Utc::now(),
    })))
}

async fn show(State(state): State<ApiState>, JobPath(id): JobPath) -> Result<Json<JobView>, Problem> {
    Ok(Json(JobView::from(find(&state, &id).await?)))
}

pub(super) async fn logs(
    State(state): State<ApiState>,
    JobPath(id): JobPath,
) -> Result<Json<Value>, Problem> {
    find(&state, &id).await?;
    let lines: Vec<Value> = state
        .manager
        .store()
        .log(&id)
        .await?
        .into_iter()
        .map(|line| json!({ "timestamp": line.time, "level": line.level, "message": line.message }))
        .collect();
    Ok(Json(json!({ "job_id": id, "total": lines.len(), "logs": lines })))
}

async fn cancel(State(state): State<ApiState>, Document(body): Document) -> Result<Json<Value>, Problem> {
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
    Ok(Json(json!({
        "success": failed.is_empty(),
        "cancelled": cancelled,
        "stopping": stopping,
        "failed": failed.keys().collect::<Vec<_>>(),
        "errors": failed,
        "timestamp": Utc::now(),
    })))
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
    for text in texts(fields, "job_ids").unwrap_or_default() {
        match text.parse() {
            Ok(id) => ids.push(id),
            Err(error) => fields.wrong("job_ids", format!("{error}")),
        }
    }
    ids
}

/// A list of texts, or one text for a list of one.
fn texts(fields: &mut Fields, name: &'static str) -> Option<Vec<String>> {
    match fields.take(name)? {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => {
            let texts: Option<Vec<String>> =
                items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect();
            if texts.is_none() {
                fields.wrong(name, "expected a list of texts");
            }
            texts
        }
        _ => {
            fields.wrong(name, "expected a list of texts");
            None
        }
    }
}
