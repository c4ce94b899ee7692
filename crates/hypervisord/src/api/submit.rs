//! `POST /jobs/submit`.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use chrono::Utc;
use hypersdk_core::ErrorKind;
use serde_json::json;

use super::ApiState;
use super::extract::Document;
use super::problem::{FieldError, Problem, explain_safely};
use super::request::{Entry, entries};
use crate::readiness::Stage;
use crate::submission::{Fault, Submitted};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/jobs/submit", post(submit))
}

async fn submit(State(state): State<ApiState>, Document(body): Document) -> Result<Response, Problem> {
    if state.readiness.stage() == Stage::Stopping {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping; try again later"));
    }
    let mut warnings = Vec::new();
    let mut errors = Vec::new();
    let mut rejected = 0usize;
    let mut paths = Vec::new();
    let mut requests = Vec::new();
    for Entry { path, request, warnings: noted } in entries(body)? {
        warnings.extend(noted);
        match request {
            Ok(request) => {
                paths.push(path);
                requests.push(request);
            }
            Err(found) => {
                rejected += 1;
                errors.extend(found);
            }
        }
    }
    let Submitted { jobs, rejected: refused } = state.submission.submit(requests).await?;
    rejected += refused.len();
    if jobs.is_empty() {
        return Err(nothing_accepted(errors, refused, &paths));
    }
    errors.extend(refused.iter().map(|(index, fault)| field_error(&paths[*index], fault)));
    let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    let answer = Json(json!({
        "job_ids": ids,
        "accepted": ids.len(),
        "rejected": rejected,
        "errors": errors,
        "warnings": warnings,
        "timestamp": Utc::now(),
    }));
    let mut response = (StatusCode::ACCEPTED, answer).into_response();
    if let [id] = ids.as_slice()
        && let Ok(location) = format!("/jobs/{id}").parse()
    {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
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
