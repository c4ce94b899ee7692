//! Where events go: endpoints, what was delivered to them, and what is to be sent again.

mod feed;
mod input;
mod view;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use hypersdk_core::{Error, ErrorKind};
use hypersdk_webhook::{DeliveryCounts, DeliveryId, DeliveryQuery, Endpoint, EndpointSpec};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiState;
use super::extract::{Document, Params, TextPath};
use super::problem::{FieldError, Problem, explain};
pub(crate) use feed::JobProgress;
use view::{DeliveryView, EndpointView};

/// Deliveries of a page, unless asked otherwise.
const PAGE: usize = 100;
/// Deliveries of a page at most.
const PAGE_MAX: i64 = 1000;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/webhooks", get(list).post(create))
        .route("/webhooks/{id}", get(show).put(replace).delete(remove))
        .route("/webhooks/{id}/test", post(test))
        .route("/webhooks/{id}/resume", post(resume))
        .route("/webhooks/{id}/redeliver", post(redeliver_dead))
        .route("/webhooks/{id}/deliveries", get(deliveries))
        .route("/webhooks/deliveries/{id}", get(delivery))
        .route("/webhooks/deliveries/{id}/redeliver", post(redeliver))
        .route("/stats/webhooks", get(stats))
}

async fn list(State(state): State<ApiState>) -> Result<Json<Value>, Problem> {
    let counts = state.webhooks.store().delivery_counts().await?;
    let views: Vec<EndpointView> = state
        .webhooks
        .endpoints()
        .iter()
        .map(|endpoint| EndpointView::new(endpoint, counts.get(&endpoint.id).copied()))
        .collect();
    Ok(Json(json!({ "total": views.len(), "webhooks": views, "timestamp": Utc::now() })))
}

async fn create(State(state): State<ApiState>, Document(body): Document) -> Result<Response, Problem> {
    let (id, spec) = input::read(body, state.webhook_allow_private, None)?;
    let made = state.webhooks.create(id, spec).await.map_err(refusal)?;
    let mut response = (StatusCode::CREATED, Json(EndpointView::new(&made, Some(DeliveryCounts::default()))))
        .into_response();
    if let Ok(location) = format!("/webhooks/{}", made.id).parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn show(State(state): State<ApiState>, TextPath(id): TextPath) -> Result<Json<EndpointView>, Problem> {
    view(&state, &*find(&state, &id)?).await
}

async fn replace(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    Document(body): Document,
) -> Result<Json<EndpointView>, Problem> {
    let current = find(&state, &id)?;
    let (written, spec): (_, EndpointSpec) =
        input::read(body, state.webhook_allow_private, Some(&current.spec))?;
    if written.is_some_and(|written| written != current.id) {
        return Err(Problem::invalid(vec![FieldError::new(
            "id",
            "is not that of the address; it cannot be changed",
        )]));
    }
    let changed = state.webhooks.replace(&id, spec).await.map_err(refusal)?;
    view(&state, &changed).await
}

async fn remove(State(state): State<ApiState>, TextPath(id): TextPath) -> Result<StatusCode, Problem> {
    state.webhooks.remove(&id).await.map_err(refusal)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn resume(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
) -> Result<Json<EndpointView>, Problem> {
    let resumed = state.webhooks.resume(&id).await.map_err(refusal)?;
    view(&state, &resumed).await
}

async fn test(State(state): State<ApiState>, TextPath(id): TextPath) -> Result<Json<Value>, Problem> {
    let endpoint = find(&state, &id)?;
    let (delivery, time, data, answer) = state.webhooks.test(&id).await.map_err(refusal)?;
    let request = view::request(&endpoint.spec, delivery.as_str(), hypersdk_webhook::TEST, time, &data);
    Ok(Json(json!({
        "delivered": answer.is_success(),
        "status": answer.status,
        "error": answer.error,
        "answer": answer.body,
        "duration_ms": u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX),
        "request": request,
        "timestamp": Utc::now(),
    })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliveryParams {
    state: Option<String>,
    limit: Option<i64>,
    before: Option<String>,
}

async fn deliveries(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Params(params): Params<DeliveryParams>,
) -> Result<Json<Value>, Problem> {
    let endpoint = find(&state, &id)?;
    let mut errors = Vec::new();
    let wanted = params.state.map(|text| text.parse()).transpose();
    let wanted = wanted.unwrap_or_else(|message| {
        errors.push(FieldError::new("state", message));
        None
    });
    let limit = match params.limit {
        None => PAGE,
        Some(limit @ 1..=PAGE_MAX) => usize::try_from(limit).unwrap_or(PAGE),
        Some(_) => {
            errors.push(FieldError::new("limit", format!("expected 1 to {PAGE_MAX}")));
            PAGE
        }
    };
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let query = DeliveryQuery {
        endpoint: Some(endpoint.id.clone()),
        state: wanted,
        before: params.before.map(DeliveryId::new),
        limit,
    };
    let found = state.webhooks.store().deliveries(&query).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Problem::invalid(vec![FieldError::new("before", "expected the `next` of the page before")])
        }
        _ => Problem::from(error),
    })?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.id.clone());
    let views: Vec<DeliveryView> =
        found.into_iter().map(|delivery| DeliveryView::new(delivery, None)).collect();
    Ok(Json(json!({ "deliveries": views, "next": next, "timestamp": Utc::now() })))
}

async fn delivery(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
) -> Result<Json<DeliveryView>, Problem> {
    let delivery = state.webhooks.store().delivery(&DeliveryId::new(&*id)).await?;
    let delivery = delivery.ok_or_else(|| {
        Problem::not_found(format!("there is no delivery {id:?}; GET /webhooks/ID/deliveries lists them"))
    })?;
    let endpoint = state.webhooks.endpoint(delivery.endpoint.as_str());
    Ok(Json(DeliveryView::new(delivery, endpoint.as_deref())))
}

async fn redeliver(State(state): State<ApiState>, TextPath(id): TextPath) -> Result<Response, Problem> {
    let revived = state.webhooks.store().redeliver(&DeliveryId::new(&*id)).await?;
    if !revived {
        let detail = "it has not ended: it is going to be tried by itself";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    state.webhooks.wake();
    Ok((StatusCode::ACCEPTED, Json(json!({ "redelivered": 1, "timestamp": Utc::now() }))).into_response())
}

async fn redeliver_dead(State(state): State<ApiState>, TextPath(id): TextPath) -> Result<Response, Problem> {
    let endpoint = find(&state, &id)?;
    let revived = state.webhooks.store().redeliver_dead(&endpoint.id).await?;
    state.webhooks.wake();
    Ok((StatusCode::ACCEPTED, Json(json!({ "redelivered": revived, "timestamp": Utc::now() })))
        .into_response())
}

async fn stats(State(state): State<ApiState>) -> Result<Json<Value>, Problem> {
    let counts = state.webhooks.store().delivery_counts().await?;
    let stats = state.webhooks.stats();
    let sum = |of: fn(&DeliveryCounts) -> u64| counts.values().map(of).sum::<u64>();
    let endpoints: serde_json::Map<String, Value> = state
        .webhooks
        .endpoints()
        .iter()
        .map(|endpoint| {
            let count = counts.get(&endpoint.id).copied().unwrap_or_default();
            let stats = stats.endpoints.get(&endpoint.id).copied().unwrap_or_default();
            (endpoint.id.to_string(), view::stats(&stats, &count))
        })
        .collect();
    let count = DeliveryCounts {
        pending: sum(|count| count.pending),
        in_flight: sum(|count| count.in_flight),
        delivered: sum(|count| count.delivered),
        dead: sum(|count| count.dead),
    };
    let mut total = view::stats(&stats.total, &count);
    total["endpoints"] = Value::Object(endpoints);
    total["timestamp"] = json!(Utc::now());
    Ok(Json(total))
}

fn find(state: &ApiState, id: &str) -> Result<std::sync::Arc<Endpoint>, Problem> {
    state
        .webhooks
        .endpoint(id)
        .ok_or_else(|| Problem::not_found(format!("there is no webhook {id:?}; GET /webhooks lists them")))
}

async fn view(state: &ApiState, endpoint: &Endpoint) -> Result<Json<EndpointView>, Problem> {
    let counts = state.webhooks.store().delivery_counts().await?;
    Ok(Json(EndpointView::new(endpoint, counts.get(&endpoint.id).copied())))
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
