//! How endpoints and deliveries look on the wire. No secret does.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hypersdk_webhook::{
    Attempt, Delivery, DeliveryCounts, DeliveryId, DeliveryState, Endpoint, EndpointId, EndpointSpec,
    EndpointStats, Halt, MASK, Message, Origin,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::super::openapi::words;
use crate::config::display_duration;

const ACTIVE: &str = "active";
const DISABLED: &str = "disabled";
const HALTED: &str = "halted";

fn status_words() -> RefOr<Schema> {
    words::one_of([ACTIVE, DISABLED, HALTED]).into()
}

fn origin_words() -> RefOr<Schema> {
    words::spelt(&[Origin::Config, Origin::Api])
}

fn state_words() -> RefOr<Schema> {
    words::spelt(&DeliveryState::ALL)
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndpointView {
    #[schema(value_type = String)]
    id: EndpointId,
    /// Of chats, without its path
    url: String,
    events: Vec<String>,
    /// Their names; their values are not shown
    #[schema(value_type = BTreeMap<String, String>)]
    headers: BTreeMap<String, &'static str>,
    enabled: bool,
    timeout: String,
    retry: u32,
    retry_delay: String,
    /// Whether there is one; it is not shown
    secret: Option<&'static str>,
    profile: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    allow_private: bool,
    description: Option<String>,
    /// Who keeps it: those of the configuration are changed there
    #[schema(schema_with = origin_words)]
    origin: Origin,
    #[schema(schema_with = status_words)]
    status: &'static str,
    /// Since when and why nothing is sent to it
    halted: Option<HaltView>,
    #[serde(skip_serializing_if = "is_epoch")]
    #[schema(required = false)]
    created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "is_epoch")]
    #[schema(required = false)]
    updated_at: DateTime<Utc>,
    version: i64,
    /// As far as they are still kept
    deliveries: CountsView,
}

#[derive(Debug, Serialize, ToSchema)]
struct HaltView {
    since: DateTime<Utc>,
    reason: String,
}

impl From<Halt> for HaltView {
    fn from(Halt { since, reason }: Halt) -> Self {
        HaltView { since, reason }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct CountsView {
    pending: u64,
    in_flight: u64,
    delivered: u64,
    dead: u64,
}

impl From<DeliveryCounts> for CountsView {
    fn from(counts: DeliveryCounts) -> Self {
        let DeliveryCounts { pending, in_flight, delivered, dead } = counts;
        CountsView { pending, in_flight, delivered, dead }
    }
}

/// Those of a configuration have no times.
fn is_epoch(time: &DateTime<Utc>) -> bool {
    *time == DateTime::UNIX_EPOCH
}

impl EndpointView {
    pub(super) fn new(endpoint: &Endpoint, counts: Option<DeliveryCounts>) -> Self {
        let spec = &endpoint.spec;
        let status = match (&endpoint.halt, spec.enabled) {
            (Some(_), _) => HALTED,
            (None, true) => ACTIVE,
            (None, false) => DISABLED,
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
            halted: endpoint.halt.clone().map(HaltView::from),
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
            version: endpoint.version,
            deliveries: counts.unwrap_or_default().into(),
        }
    }
}

/// What was done since the start, and what is kept. A delivery that is claimed but not on its way yet is
/// pending: `pending` and `in_flight` together are what has not ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookFigures {
    /// Requests made
    attempts: u64,
    delivered: u64,
    failed_attempts: u64,
    /// Given up
    dead: u64,
    attempt_seconds: f64,
    in_flight: u64,
    /// Nothing is sent until a probe succeeds
    circuit_open: bool,
    pending: u64,
    dead_kept: u64,
    delivered_kept: u64,
}

impl WebhookFigures {
    pub(super) fn new(stats: &EndpointStats, counts: &DeliveryCounts) -> Self {
        WebhookFigures {
            attempts: stats.attempts,
            delivered: stats.delivered,
            failed_attempts: stats.failed_attempts,
            dead: stats.dead,
            attempt_seconds: stats.attempt_seconds,
            in_flight: stats.in_flight,
            circuit_open: stats.circuit_open,
            pending: counts.pending + counts.in_flight.saturating_sub(stats.in_flight),
            dead_kept: counts.dead,
            delivered_kept: counts.delivered,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryView {
    #[schema(value_type = String)]
    id: DeliveryId,
    #[schema(value_type = String)]
    webhook: EndpointId,
    event: String,
    event_time: DateTime<Utc>,
    job_id: Option<String>,
    #[schema(schema_with = state_words)]
    state: DeliveryState,
    tries: u32,
    /// The last ones, the newest last
    attempts: Vec<AttemptView>,
    created_at: DateTime<Utc>,
    /// When it is tried next, while it waits
    next_try_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<RequestView>,
}

/// One request.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptView {
    at: DateTime<Utc>,
    /// Of the answer, if there was one
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    duration_ms: u64,
    /// Why it failed
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The beginning of the answer's body
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// When the next one is due, if there is one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<DateTime<Utc>>,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        let Attempt { at, status, duration_ms, error, answer, next_at } = attempt;
        AttemptView { at, status, duration_ms, error, answer, next_at }
    }
}

impl DeliveryView {
    /// With the request it makes of its endpoint, if that is given.
    pub(super) fn new(delivery: Delivery, endpoint: Option<&Endpoint>) -> Self {
        let request = endpoint.map(|endpoint| {
            let id = delivery.id.as_str();
            RequestView::new(&endpoint.spec, id, &delivery.event, delivery.time, &delivery.data)
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
            attempts: delivery.attempts.into_iter().map(AttemptView::from).collect(),
            created_at: delivery.created_at,
            ended_at: delivery.ended_at,
            request,
        }
    }
}

/// A request as it may be shown: timestamp and signature are made anew for each attempt.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RequestView {
    method: &'static str,
    url: String,
    /// Without the values that prove something
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// Why it cannot be made
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl RequestView {
    pub(super) fn new(spec: &EndpointSpec, id: &str, event: &str, time: DateTime<Utc>, data: &Value) -> Self {
        let message = Message { id, event, time, data };
        let (method, url) = ("POST", spec.shown_url());
        match hypersdk_webhook::request(spec, &message, Utc::now()) {
            Err(error) => RequestView { method, url, headers: None, body: None, error: Some(error) },
            Ok(request) => {
                let headers = request.headers.iter().map(|(name, value)| {
                    let hidden = value.is_sensitive() || name == "webhook-signature";
                    let shown = if hidden { MASK } else { value.to_str().unwrap_or_default() };
                    (name.to_string(), shown.to_owned())
                });
                let body = String::from_utf8_lossy(&request.payload.body).into_owned();
                RequestView { method, url, headers: Some(headers.collect()), body: Some(body), error: None }
            }
        }
    }
}
