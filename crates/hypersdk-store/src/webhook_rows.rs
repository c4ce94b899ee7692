//! Rows of webhooks, in every kind of database alike.

use chrono::{DateTime, Utc};
use hypersdk_core::{Error, ErrorKind, Result, RetryHint};
use hypersdk_webhook::{
    Attempt, ClaimedDelivery, Delivery, DeliveryId, DeliveryState, EndpointId, Halt, NewDelivery, Report,
    StoredEndpoint, Verdict,
};
use serde_json::{Value, json};
use sqlx::FromRow;

/// A row of `webhook_endpoints`.
#[derive(FromRow)]
pub(crate) struct RawEndpoint {
    id: String,
    spec: String,
    sealed: Option<Vec<u8>>,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<RawEndpoint> for StoredEndpoint {
    type Error = Error;

    fn try_from(raw: RawEndpoint) -> Result<StoredEndpoint> {
        Ok(StoredEndpoint {
            id: raw.id.parse().map_err(|error| unreadable("id", error))?,
            spec: raw.spec,
            sealed: raw.sealed,
            created_at: time("created_at", raw.created_at)?,
            updated_at: time("updated_at", raw.updated_at)?,
            version: raw.version,
        })
    }
}

/// A row of `webhook_halts`.
#[derive(FromRow)]
pub(crate) struct RawHalt {
    endpoint: String,
    since: i64,
    reason: String,
}

impl TryFrom<RawHalt> for (EndpointId, Halt) {
    type Error = Error;

    fn try_from(raw: RawHalt) -> Result<(EndpointId, Halt)> {
        let endpoint = raw.endpoint.parse().map_err(|error| unreadable("endpoint", error))?;
        Ok((endpoint, Halt { since: time("since", raw.since)?, reason: raw.reason }))
    }
}

/// A row of `webhook_deliveries`.
#[derive(FromRow)]
pub(crate) struct RawDelivery {
    pub(crate) seq: i64,
    id: String,
    endpoint: String,
    lane: String,
    event: String,
    time: i64,
    data: String,
    latest_only: bool,
    state: String,
    tries: i64,
    attempts: String,
    created_at: i64,
    pub(crate) due_at: i64,
    ended_at: Option<i64>,
    fence: i64,
}

impl TryFrom<RawDelivery> for Delivery {
    type Error = Error;

    fn try_from(raw: RawDelivery) -> Result<Delivery> {
        Ok(Delivery {
            id: DeliveryId::new(raw.id),
            endpoint: raw.endpoint.parse().map_err(|error| unreadable("endpoint", error))?,
            lane: raw.lane,
            event: raw.event,
            time: time("time", raw.time)?,
            data: serde_json::from_str(&raw.data).map_err(|error| unreadable("data", error))?,
            latest_only: raw.latest_only,
            state: raw.state.parse().map_err(|error| unreadable("state", error))?,
            tries: u32::try_from(raw.tries).map_err(|error| unreadable("tries", error))?,
            attempts: serde_json::from_str(&raw.attempts).map_err(|error| unreadable("attempts", error))?,
            created_at: time("created_at", raw.created_at)?,
            due_at: time("due_at", raw.due_at)?,
            ended_at: raw.ended_at.map(|micros| time("ended_at", micros)).transpose()?,
        })
    }
}

impl TryFrom<RawDelivery> for ClaimedDelivery {
    type Error = Error;

    fn try_from(raw: RawDelivery) -> Result<ClaimedDelivery> {
        let fence = raw.fence;
        Ok(ClaimedDelivery { delivery: raw.try_into()?, fence })
    }
}

/// What a report changed.
#[derive(FromRow)]
pub(crate) struct Reported {
    pub(crate) id: String,
    pub(crate) endpoint: String,
    pub(crate) lane: String,
    pub(crate) ended_at: Option<i64>,
    pub(crate) latest_only: bool,
}

/// Deliveries as a list of objects for a statement that adds them all; `data` is a text.
pub(crate) fn new_rows(deliveries: &[NewDelivery]) -> String {
    let rows = deliveries.iter().map(|new| {
        json!({
            "id": new.id, "endpoint": new.endpoint, "lane": new.lane, "event": new.event,
            "time": new.time.timestamp_micros(), "data": new.data.to_string(),
            "latest_only": i32::from(new.latest_only),
        })
    });
    Value::from_iter(rows).to_string()
}

/// Reports as a list of objects for a statement that writes them all; `attempts` is a text.
pub(crate) fn report_rows(reports: &[Report], now: DateTime<Utc>) -> Result<String> {
    let rows: Result<Vec<Value>> = reports
        .iter()
        .map(|report| {
            let (state, due_at, ended) = match report.verdict {
                Verdict::Delivered => (DeliveryState::Delivered, None, true),
                Verdict::Dead => (DeliveryState::Dead, None, true),
                Verdict::Retry(at) => (DeliveryState::Pending, Some(at.timestamp_micros()), false),
                Verdict::Release => (DeliveryState::Pending, None, false),
            };
            Ok(json!({
                "id": report.id, "fence": report.fence, "state": state.as_str(), "due_at": due_at,
                "ended_at": ended.then(|| now.timestamp_micros()), "tries": report.tries,
                "attempts": attempts(&report.attempts)?,
            }))
        })
        .collect();
    Ok(Value::from(rows?).to_string())
}

/// Attempts as a column holds them.
pub(crate) fn attempts(attempts: &[Attempt]) -> Result<String> {
    serde_json::to_string(attempts).map_err(|error| unreadable("attempts", error))
}

/// Endpoints and lanes as a list of pairs, each once.
pub(crate) fn lanes<'a>(lanes: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let lanes: std::collections::BTreeSet<(&str, &str)> = lanes.into_iter().collect();
    json!(lanes).to_string()
}

/// Identifiers as a list.
pub(crate) fn ids<'a>(ids: impl IntoIterator<Item = &'a EndpointId>) -> String {
    Value::from_iter(ids.into_iter().map(EndpointId::as_str)).to_string()
}

pub(crate) fn time(column: &str, micros: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| unreadable(column, format!("{micros} is no time")))
}

/// The error of an endpoint that somebody else has changed.
pub(crate) fn changed(id: &EndpointId) -> Error {
    let message = format!("webhook {id} exists already, or has been changed meanwhile");
    Error::new(ErrorKind::Conflict, "keep webhook", message)
        .with_advice("read it again and repeat the change")
}

/// The error of a delivery that is not there.
pub(crate) fn no_delivery(id: &DeliveryId) -> Error {
    Error::new(ErrorKind::NotFound, "find delivery", format!("there is no delivery {:?}", id.as_str()))
}

fn unreadable(column: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, "read webhook row", format!("column {column}: {cause}"))
        .with_retry(RetryHint::Never)
}
