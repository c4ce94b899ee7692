//! `POST /jobs/submit`.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use hypersdk_core::ErrorKind;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::extract::Document;
use super::problem::{FieldError, Problem, explain_safely};
use super::replay::{self, Course, Key};
use super::request::{Entry, SubmitBody, entries};
use crate::auth::Identity;
use crate::readiness::Stage;
use crate::submission::{Fault, Submitted};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(submit))
}

#[derive(Serialize, ToSchema)]
struct SubmitAnswer {
    job_ids: Vec<String>,
    accepted: usize,
    rejected: usize,
    /// Why jobs of the same request were refused
    errors: Vec<FieldError>,
    /// What of the request was ignored
    warnings: Vec<String>,
    timestamp: DateTime<Utc>,
}

/// Submit jobs
///
/// One job, a list of jobs, or `{"jobs": [...]}`. A glob in `vm_path` becomes one job a VM.
///
/// Sent again with the same `Idempotency-Key` within a day, it is not carried out again: the answer is the one before.
#[utoipa::path(post, path = "/jobs/submit", tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "A text of your own for this one request, 1 to 255 characters", max_length = 255)),
    request_body(content((SubmitBody = "application/json"), (SubmitBody = "application/yaml"))),
    responses((status = 202, body = SubmitAnswer, description = "At least one was accepted and is on disk",
        headers(("location" = String, description = "The job, if it is exactly one")))),
)]
async fn submit(
    State(state): State<ApiState>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Problem> {
    let key = match replay::course(&state, &identity, &headers, &body).await? {
        Course::CarryOut(key) => key,
        Course::Again(response) => return Ok(response),
    };
    match (carry_out(&state, body, key.as_ref()).await, key) {
        (Ok(answer), key) => {
            if let Some(key) = key {
                key.finish(&state, StatusCode::ACCEPTED, &answer).await;
            }
            Ok(accepted(answer))
        }
        (Err(problem), key) => {
            // That a job of a key that was begun exists may not be forgotten with it.
            if let Some(key) = key.filter(|key| !key.is_begun) {
                key.forget(&state).await;
            }
            Err(problem)
        }
    }
}

async fn carry_out(state: &ApiState, body: Value, key: Option<&Key>) -> Result<SubmitAnswer, Problem> {
    if state.readiness.stage() == Stage::Stopping {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping; try again later"));
    }
    let mut warnings = Vec::new();
    let mut errors = Vec::new();
    let mut rejected = 0usize;
    let mut paths = Vec::new();
    let mut requests = Vec::new();
    // Identifiers that follow from the key, by the request's position.
    let mut derived = BTreeMap::new();
    for Entry { path, request, warnings: noted } in entries(body)? {
        warnings.extend(noted);
        match request {
            Ok(mut request) => {
                let is_glob = request.spec.vm.is_glob();
                if let Some(key) = key.filter(|key| key.is_begun && is_glob) {
                    tracing::debug!(?key, "begun before, with a glob");
                    return Err(unknown_outcome());
                }
                if let Some(key) = key.filter(|_| request.id.is_none() && !is_glob) {
                    let id = key.job(requests.len());
                    request.id = Some(id.clone());
                    derived.insert(requests.len(), id);
                }
                paths.push(path);
                requests.push(request);
            }
            Err(found) => {
                rejected += 1;
                errors.extend(found);
            }
        }
    }
    let Submitted { jobs, rejected: mut refused } = state.submission.submit(requests).await?;
    let mut ids: Vec<String> = jobs.iter().map(|job| job.id.to_string()).collect();
    // Those were accepted when the request was carried out the first time.
    refused.retain(|(index, fault)| {
        let is_ours = fault.field == "id" && fault.error.kind() == ErrorKind::Conflict;
        let known = derived.get(index).filter(|_| is_ours);
        ids.extend(known.map(ToString::to_string));
        known.is_none()
    });
    rejected += refused.len();
    if ids.is_empty() {
        return Err(nothing_accepted(errors, refused, &paths));
    }
    errors.extend(refused.iter().map(|(index, fault)| field_error(&paths[*index], fault)));
    Ok(SubmitAnswer { accepted: ids.len(), job_ids: ids, rejected, errors, warnings, timestamp: Utc::now() })
}

fn accepted(answer: SubmitAnswer) -> Response {
    let location = match answer.job_ids.as_slice() {
        [id] => format!("/jobs/{id}").parse().ok(),
        _ => None,
    };
    let mut response = (StatusCode::ACCEPTED, Json(answer)).into_response();
    if let Some(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn unknown_outcome() -> Problem {
    let detail = "a request with this Idempotency-Key was begun, and what became of it is not known: it is under way, or \
                  the daemon stopped in the middle; look with GET /jobs, then use another key";
    Problem::new(StatusCode::CONFLICT, detail)
}

/// The answer if no job was accepted: the status of what the requests have in common.
fn nothing_accepted(mut errors: Vec<FieldError>, refused: Vec<(usize, Fault)>, paths: &[String]) -> Problem {
    let malformed = !errors.is_empty();
    errors.extend(refused.iter().map(|(index, fault)| field_error(&paths[*index], fault)));
    let kinds: Vec<ErrorKind> = refused.iter().map(|(_, fault)| fault.error.kind()).collect();
    let all_conflict = !malformed && kinds.iter().all(|kind| *kind == ErrorKind::Conflict);
    // That a VM or a provider does not exist is about the fields of this request, not about its address.
    let theirs = kinds.iter().position(|kind| {
        !matches!(
            kind,
            ErrorKind::Conflict | ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Unsupported
        )
    });
    let mut refused = refused;
    match theirs {
        Some(position) if !malformed => {
            Problem::from(refused.swap_remove(position).1.error).with_errors(errors)
        }
        _ if all_conflict => {
            Problem::new(StatusCode::CONFLICT, "no job was accepted: a job with this id exists already")
                .with_errors(errors)
        }
        _ => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "no job was accepted: see errors")
            .with_errors(errors),
    }
}

fn field_error(path: &str, fault: &Fault) -> FieldError {
    FieldError::new(join(path, fault.field), explain_safely(&fault.error))
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}
