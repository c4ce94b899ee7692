//! The audit log: every request that could change something, and every one that somebody had no right to.

use std::net::IpAddr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::get;
use axum::{Json, Router};
use chrono::Utc;
use hypersdk_core::AuditEntry;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiState;
use super::envelope::RequestId;
use super::extract::Params;
use super::problem::{FieldError, Problem};
use crate::auth::Identity;

/// Entries of a page, unless asked otherwise.
const PAGE: usize = 100;
/// Entries of a page at most.
const PAGE_MAX: usize = 1000;
/// The longest path that is kept.
const TARGET_MAX: usize = 500;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/audit", get(list))
}

/// A request, as long as its answer is not known.
pub(super) struct Asked(AuditEntry);

impl Asked {
    pub(super) fn of(request: &Parts, identity: &Identity, client: IpAddr) -> Self {
        let request_id = request.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        Asked(AuditEntry {
            seq: 0,
            time: Utc::now(),
            actor: identity.name.clone(),
            role: identity.role.to_string(),
            action: super::access::route_of(request),
            target: request.uri.path().chars().take(TARGET_MAX).collect(),
            status: 0,
            client: client.to_canonical().to_string(),
            request_id,
        })
    }

    /// Who it turned out to be.
    pub(super) fn by(mut self, actor: String, role: String) -> Self {
        (self.0.actor, self.0.role) = (actor, role);
        self
    }
}

/// Keeps an entry. That it cannot be kept does not undo what was done.
pub(super) async fn record(state: &ApiState, asked: Asked, status: StatusCode) {
    let entry = AuditEntry { time: Utc::now(), status: status.as_u16(), ..asked.0 };
    if let Err(error) = state.audit.record(entry.clone()).await {
        tracing::error!(?entry, "an audit entry was not kept: {}", error.chain());
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParams {
    before: Option<i64>,
    limit: Option<usize>,
}

async fn list(
    State(state): State<ApiState>,
    Params(params): Params<ListParams>,
) -> Result<Json<Value>, Problem> {
    let limit = params.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        let message = format!("expected 1 to {PAGE_MAX}");
        return Err(Problem::invalid(vec![FieldError::new("limit", message)]));
    }
    let entries = state.audit.entries(params.before, limit).await?;
    let next = entries.last().filter(|_| entries.len() == limit).map(|entry| entry.seq);
    Ok(Json(json!({ "entries": entries, "next": next, "timestamp": Utc::now() })))
}
