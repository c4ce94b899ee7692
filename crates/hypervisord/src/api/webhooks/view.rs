//! How endpoints and deliveries look on the wire. No secret does.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hypersdk_webhook::{
    Attempt, Delivery, DeliveryCounts, DeliveryId, DeliveryState, Endpoint, EndpointId, EndpointSpec,
    EndpointStats, Halt, MASK, Message, Origin,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::display_duration;

#[derive(Debug, Serialize)]
pub(super) struct EndpointView {
    id: EndpointId,
    url: String,
    events: Vec<String>,
    headers: BTreeMap<String, &'static str>,
    enabled: bool,
    timeout: String,
    retry: u32,
    retry_delay: String,
    secret: Option<&'static str>,
    profile: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    allow_private: bool,
    description: Option<String>,
    origin: Origin,
    /// `active`, `disabled` or `halted`.
    status: &'static str,
    halted: Option<Halt>,
    #[serde(skip_serializing_if = "is_epoch")]
    created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "is_epoch")]
    updated_at: DateTime<Utc>,
    version: i64,
    deliveries: Value,
}

/// Those of a configuration have no times.
fn is_epoch(time: &DateTime<Utc>) -> bool {
    *time == DateTime::UNIX_EPOCH
}

impl EndpointView {
    pub(super) fn new(endpoint: &Endpoint, counts: Option<DeliveryCounts>) -> Self {
        let spec = &endpoint.spec;
        let status = match (&endpoint.halt, spec.enabled) {
            (Some(_), _) => "halted",
            (None, true) => "active",
            (None, false) => "disabled",
        };
        let template = spec.profile.template();
        EndpointView {
            id: endpoint.id.clone(),
            url: spec.shown_url(),
            events: spec.events.patterns(),
            headers: spec.headers.names().map(|name| (name.to_owned(), MASK)).collect(),
            enabled: spec.enabled,
            timeout: display_duration(spec.timeout),
            retry: spec.retry,
            retry_delay: display_duration(spec.retry_delay),
            secret: spec.secret.as_ref().map(|_| MASK),
            profile: spec.profile.name(),
            template: template.map(|(source, _)| source.to_owned()),
            content_type: template.map(|(_, content_type)| content_type.to_owned()),
            allow_private: spec.allow_private,
            description: spec.description.clone(),
            origin: endpoint.origin,
            status,
            halted: endpoint.halt.clone(),
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
            version: endpoint.version,
            deliveries: counts_view(&counts.unwrap_or_default()),
        }
    }
}

fn counts_view(counts: &DeliveryCounts) -> Value {
    json!({
        "pending": counts.pending, "in_flight": counts.in_flight, "delivered": counts.delivered,
        "dead": counts.dead,
    })
}

/// What was done since the start, and what is kept. A delivery that is claimed but not on its way yet is
/// pending: `pending` and `in_flight` together are what has not ended.
pub(super) fn stats(stats: &EndpointStats, counts: &DeliveryCounts) -> Value {
    let mut value = json!(stats);
    value["pending"] = json!(counts.pending + counts.in_flight.saturating_sub(stats.in_flight));
    value["dead_kept"] = json!(counts.dead);
    value["delivered_kept"] = json!(counts.delivered);
    value
}

#[derive(Debug, Serialize)]
pub(super) struct DeliveryView {
    id: DeliveryId,
    webhook: EndpointId,
    event: String,
    event_time: DateTime<Utc>,
    job_id: Option<String>,
    state: DeliveryState,
    tries: u32,
    attempts: Vec<Attempt>,
    created_at: DateTime<Utc>,
    /// When it is tried next, while it waits.
    next_try_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Value>,
}

impl DeliveryView {
    /// With the request it makes of its endpoint, if that is given.
    pub(super) fn new(delivery: Delivery, endpoint: Option<&Endpoint>) -> Self {
        let request = endpoint.map(|endpoint| {
            request(&endpoint.spec, delivery.id.as_str(), &delivery.event, delivery.time, &delivery.data)
        });
        DeliveryView {
            job_id: delivery.data["job_id"].as_str().map(str::to_owned),
            next_try_at: (delivery.state == DeliveryState::Pending).then_some(delivery.due_at),
            id: delivery.id,
            webhook: delivery.endpoint,
            event: delivery.event,
            event_time: delivery.time,
            state: delivery.state,
            tries: delivery.tries,
            attempts: delivery.attempts,
            created_at: delivery.created_at,
            ended_at: delivery.ended_at,
            request,
        }
    }
}

/// A request as it may be shown: timestamp and signature are made anew for each attempt.
pub(super) fn request(
    spec: &EndpointSpec,
    id: &str,
    event: &str,
    time: DateTime<Utc>,
    data: &Value,
) -> Value {
    let message = Message { id, event, time, data };
    match hypersdk_webhook::request(spec, &message, Utc::now()) {
        Err(error) => json!({ "method": "POST", "url": spec.shown_url(), "error": error }),
        Ok(request) => {
            let headers: BTreeMap<&str, &str> = request
                .headers
                .iter()
                .map(|(name, value)| {
                    let hidden = value.is_sensitive() || name == "webhook-signature";
                    (name.as_str(), if hidden { MASK } else { value.to_str().unwrap_or_default() })
                })
                .collect();
            let body = String::from_utf8_lossy(&request.payload.body).into_owned();
            json!({ "method": "POST", "url": spec.shown_url(), "headers": headers, "body": body })
        }
    }
}
