//! What was sent, what came of it, and sending it again.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use hypersdk_core::ErrorKind;
use hypersdk_webhook::{DeliveryCounts, DeliveryId, DeliveryQuery};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::ApiState;
use super::super::extract::{NoFields, Params, TextPath};
use super::super::paging;
use super::super::problem::{FieldError, Problem};
use super::find;
use super::view::{DeliveryView, WebhookFigures};

/// Deliveries of a page, unless asked otherwise.
const PAGE: usize = 100;
/// Deliveries of a page at most.
const PAGE_MAX: i64 = 1000;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(deliveries))
        .routes(routes!(delivery))
        .routes(routes!(redeliver))
        .routes(routes!(redeliver_dead))
        .routes(routes!(stats))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeliveryParams {
    /// `pending`, `in_flight`, `delivered`, `dead`
    state: Option<String>,
    /// Deliveries of the page; 100 if not given
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// The `next` of the page before
    before: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct DeliveryPage {
    deliveries: Vec<DeliveryView>,
    /// The `before` of the next page; `null` on the last
    #[schema(value_type = Option<String>)]
    next: Option<DeliveryId>,
    timestamp: DateTime<Utc>,
}

/// The deliveries to a webhook, newest first
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", tag = "webhooks", params(("id" = String, Path, description = "The webhook"), DeliveryParams), responses(
    (status = 200, body = DeliveryPage, description = "A page"),
))]
async fn deliveries(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    Params(params): Params<DeliveryParams>,
) -> Result<Json<DeliveryPage>, Problem> {
    let endpoint = find(&state, &id)?;
    let mut errors = Vec::new();
    let wanted = params.state.map(|text| text.parse()).transpose();
    let wanted = wanted.unwrap_or_else(|message| {
        errors.push(FieldError::new("state", message));
        None
    });
    let limit = paging::limit(params.limit, PAGE, PAGE_MAX, &mut errors);
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
    let deliveries = found.into_iter().map(|delivery| DeliveryView::new(delivery, None)).collect();
    Ok(Json(DeliveryPage { deliveries, next, timestamp: Utc::now() }))
}

/// A delivery, with its request
#[utoipa::path(get, path = "/webhooks/deliveries/{id}", tag = "webhooks", params(("id" = String, Path, description = "The delivery")), responses(
    (status = 200, body = DeliveryView, description = "The delivery"),
))]
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

#[derive(Serialize, ToSchema)]
struct Redelivered {
    /// How many are going to be sent again
    redelivered: u64,
    timestamp: DateTime<Utc>,
}

fn redelivered(redelivered: u64) -> Response {
    (StatusCode::ACCEPTED, Json(Redelivered { redelivered, timestamp: Utc::now() })).into_response()
}

/// Send a delivery again
#[utoipa::path(post, path = "/webhooks/deliveries/{id}/redeliver", tag = "webhooks", params(("id" = String, Path, description = "The delivery")), responses(
    (status = 202, body = Redelivered, description = "It waits for its turn"),
))]
async fn redeliver(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    _: NoFields,
) -> Result<Response, Problem> {
    let revived = state.webhooks.store().redeliver(&DeliveryId::new(&*id)).await?;
    if !revived {
        let detail = "it has not ended: it is going to be tried by itself";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    state.webhooks.wake();
    Ok(redelivered(1))
}

/// Send everything again that was given up
#[utoipa::path(post, path = "/webhooks/{id}/redeliver", tag = "webhooks", params(("id" = String, Path, description = "The webhook")), responses(
    (status = 202, body = Redelivered, description = "It waits for its turn"),
))]
async fn redeliver_dead(
    State(state): State<ApiState>,
    TextPath(id): TextPath,
    _: NoFields,
) -> Result<Response, Problem> {
    let endpoint = find(&state, &id)?;
    let revived = state.webhooks.store().redeliver_dead(&endpoint.id).await?;
    state.webhooks.wake();
    Ok(redelivered(revived))
}

#[derive(Serialize, ToSchema)]
struct WebhookStatsView {
    /// In all
    #[serde(flatten)]
    total: WebhookFigures,
    /// By webhook
    endpoints: BTreeMap<String, WebhookFigures>,
    timestamp: DateTime<Utc>,
}

/// What the webhooks do
#[utoipa::path(get, path = "/stats/webhooks", tag = "webhooks", responses(
    (status = 200, body = WebhookStatsView, description = "In all, and each"),
))]
async fn stats(State(state): State<ApiState>) -> Result<Json<WebhookStatsView>, Problem> {
    let counts = state.webhooks.store().delivery_counts().await?;
    let stats = state.webhooks.stats();
    let sum = |of: fn(&DeliveryCounts) -> u64| counts.values().map(of).sum::<u64>();
    let all = DeliveryCounts {
        pending: sum(|count| count.pending),
        in_flight: sum(|count| count.in_flight),
        delivered: sum(|count| count.delivered),
        dead: sum(|count| count.dead),
    };
    let endpoints = state.webhooks.endpoints();
    let each = endpoints.iter().map(|endpoint| {
        let count = counts.get(&endpoint.id).copied().unwrap_or_default();
        let stats = stats.endpoints.get(&endpoint.id).copied().unwrap_or_default();
        (endpoint.id.to_string(), WebhookFigures::new(&stats, &count))
    });
    Ok(Json(WebhookStatsView {
        total: WebhookFigures::new(&stats.total, &all),
        endpoints: each.collect(),
        timestamp: Utc::now(),
    }))
}
