//! Where events go: endpoints, what was delivered to them, and what is to be sent again.

mod deliveries;
mod feed;
mod input;
mod view;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
use chrono::{DateTime, Utc};
use hypersdk_core::{Error, ErrorKind};
use hypersdk_webhook::{DeliveryCounts, Endpoint, EndpointSpec, Origin};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::extract::{Document, NoFields, TextPath};
use super::problem::{FieldError, Problem, explain};
use super::versioned::{self, ChangeHeaders, Known, LookHeaders};
pub(crate) use feed::JobProgress;
use input::EndpointFields;
use view::{EndpointView, RequestView};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, replace, remove))
        .routes(routes!(test))
        .routes(routes!(resume))
        .merge(deliveries::routes())
}

#[derive(Serialize, ToSchema)]
struct EndpointList {
    total: usize,
    /// Those of the configuration first
    webhooks: Vec<EndpointView>,
    timestamp: DateTime<Utc>,
}

/// The webhooks
#[utoipa::path(get, path = "/webhooks", tag = "webhooks", params(LookHeaders), responses(
    (status = 200, body = EndpointList, description = "All of them", headers(("ETag" = String))),
    (status = 304, description = "They are as `If-None-Match` knows them"),
))]
async fn list(State(state): State<ApiState>, known: Known) -> Result<Response, Problem> {
    let counts = state.webhooks.store().delivery_counts().await?;
    let views: Vec<EndpointView> = state
        .webhooks
        .endpoints()
        .iter()
        .map(|endpoint| EndpointView::new(endpoint, counts.get(&endpoint.id).copied()))
        .collect();
    let list = EndpointList { total: views.len(), webhooks: views, timestamp: Utc::now() };
    Ok(known.answer_about(0, &list.webhooks, &list))
}

/// Make a webhook
///
/// It gets events from now on.
#[utoipa::path(post, path = "/webhooks", tag = "webhooks", request_body = EndpointFields, responses(
    (status = 201, body = EndpointView, description = "It is there", headers(("Location" = String), ("ETag" = String))),
))]
async fn create(State(state): State<ApiState>, Document(body): Document) -> Result<Response, Problem> {
    let (id, spec) = input::read(body, state.webhook_allow_private, None)?;
    let made = state.webhooks.create(id, spec).await.map_err(refusal)?;
    let view = EndpointView::new(&made, Some(DeliveryCounts::default()));
    let mut response = versioned::changed(StatusCode::CREATED, made.version, &view);
    if let Ok(location) = format!("/webhooks/{}", made.id).parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// A webhook
///
/// Secrets, and the values of its headers, are never shown.
#[utoipa::path(get, path = "/webhooks/{id}", tag = "webhooks", params(("id" = String, Path, description = "The webhook"), LookHeaders), responses(
    (status = 200, body = EndpointView, description = "The webhook", headers(("ETag" = String))),
    (status = 304, description = "It is as `If-None-Match` knows it"),
))]
async fn show(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    known: Known,
) -> Result<Response, Problem> {
    let endpoint = find(&state, &id)?;
    Ok(known.answer(endpoint.version, &view(&state, &endpoint).await?))
}

/// Put a whole webhook in the place of what it was
///
/// A secret that is given as it is shown stays what it is.
#[utoipa::path(put, path = "/webhooks/{id}", tag = "webhooks", params(("id" = String, Path, description = "The webhook"), ChangeHeaders), request_body = EndpointFields, responses(
    (status = 200, body = EndpointView, description = "What it is now", headers(("ETag" = String))),
))]
async fn replace(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    known: Known,
    Document(body): Document,
) -> Result<Response, Problem> {
    let current = find(&state, &id)?;
    let expected = known.expects(current.version, &path(&current))?;
    let (written, spec): (_, EndpointSpec) =
        input::read(body, state.webhook_allow_private, Some(&current.spec))?;
    if written.is_some_and(|written| written != current.id) {
        return Err(Problem::invalid(vec![FieldError::new(
            "id",
            "is not that of the address; it cannot be changed",
        )]));
    }
    let changed = state.webhooks.replace(&id, spec, expected).await;
    let changed = changed.map_err(|error| overtaken(&current, expected, error))?;
    Ok(versioned::changed(StatusCode::OK, changed.version, &view(&state, &changed).await?))
}

/// Remove a webhook, with every delivery to it
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "webhooks", params(("id" = String, Path, description = "The webhook"), ChangeHeaders), responses(
    (status = 204, description = "It is gone"),
))]
async fn remove(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    known: Known,
) -> Result<StatusCode, Problem> {
    let current = find(&state, &id)?;
    let expected = known.expects(current.version, &path(&current))?;
    let removed = state.webhooks.remove(&id, expected).await;
    removed.map_err(|error| overtaken(&current, expected, error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send to a webhook again that had said it is gone
#[utoipa::path(post, path = "/webhooks/{id}/resume", tag = "webhooks", params(("id" = String, Path, description = "The webhook")), responses(
    (status = 200, body = EndpointView, description = "What it is now", headers(("ETag" = String))),
))]
async fn resume(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    _: NoFields,
) -> Result<Response, Problem> {
    let resumed = state.webhooks.resume(&id).await.map_err(refusal)?;
    Ok(versioned::changed(StatusCode::OK, resumed.version, &view(&state, &resumed).await?))
}

#[derive(Serialize, ToSchema)]
struct TestAnswer {
    /// Whether the receiver took it
    delivered: bool,
    /// Of its answer, if there was one
    status: Option<u16>,
    /// Why it was not delivered
    error: Option<String>,
    /// The beginning of the answer's body
    answer: Option<String>,
    duration_ms: u64,
    request: RequestView,
    timestamp: DateTime<Utc>,
}

/// Send a test to a webhook
///
/// One attempt, now, whatever state it is in.
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "webhooks", params(("id" = String, Path, description = "The webhook")), responses(
    (status = 200, body = TestAnswer, description = "What came of it"),
))]
async fn test(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    _: NoFields,
) -> Result<Json<TestAnswer>, Problem> {
    let endpoint = find(&state, &id)?;
    let (delivery, time, data, answer) = state.webhooks.test(&id).await.map_err(refusal)?;
    Ok(Json(TestAnswer {
        delivered: answer.is_success(),
        status: answer.status,
        error: answer.error,
        answer: answer.body,
        duration_ms: u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX),
        request: RequestView::new(&endpoint.spec, delivery.as_str(), hypersdk_webhook::TEST, time, &data),
        timestamp: Utc::now(),
    }))
}

fn find(state: &ApiState, id: &str) -> Result<std::sync::Arc<Endpoint>, Problem> {
    state
        .webhooks
        .endpoint(id)
        .ok_or_else(|| Problem::not_found(format!("there is no webhook {id:?}; GET /webhooks lists them")))
}

async fn view(state: &ApiState, endpoint: &Endpoint) -> Result<EndpointView, Problem> {
    let counts = state.webhooks.store().delivery_counts().await?;
    Ok(EndpointView::new(endpoint, counts.get(&endpoint.id).copied()))
}

fn path(endpoint: &Endpoint) -> String {
    format!("/webhooks/{}", endpoint.id)
}

/// Somebody else was a moment faster, unless it is the configuration's to change.
fn overtaken(endpoint: &Endpoint, expected: Option<i64>, error: Error) -> Problem {
    let is_raced = error.kind() == ErrorKind::Conflict && endpoint.origin == Origin::Api;
    if is_raced && expected.is_some() { versioned::outdated(&path(endpoint)) } else { refusal(error) }
}

/// Secrets without a key to keep them are about a field of this request.
fn refusal(error: Error) -> Problem {
    match error.kind() {
        ErrorKind::Invalid => {
            let field = if error.message().starts_with("headers") { "headers" } else { "secret" };
            Problem::invalid(vec![FieldError::new(field, explain(&error))])
        }
        _ => Problem::from(error),
    }
}
