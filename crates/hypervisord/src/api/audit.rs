//! The audit log: every request that could change something, and every one that somebody had no right to.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use hypersdk_core::AuditEntry;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::envelope::RequestId;
use super::extract::Params;
use super::paging;
use super::problem::Problem;
use crate::auth::Identity;

/// Entries of a page, unless asked otherwise.
const PAGE: usize = 100;
/// Entries of a page at most.
const PAGE_MAX: i64 = 1000;
/// The longest path that is kept.
const TARGET_MAX: usize = 500;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
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

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// The `next` of the page before
    before: Option<i64>,
    /// Entries of the page; 100 if not given
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct AuditPage {
    entries: Vec<AuditView>,
    /// The `before` of the next page; `null` on the last
    next: Option<i64>,
    timestamp: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
struct AuditView {
    seq: i64,
    time: DateTime<Utc>,
    /// `token:NAME`, `user:NAME`, `anonymous`; `nobody` for a failed login
    actor: String,
    role: String,
    /// Method and route
    action: String,
    /// The path
    target: String,
    /// The status of the answer
    status: u16,
    /// The address
    client: String,
    request_id: String,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { seq, time, actor, role, action, target, status, client, request_id } = entry;
        AuditView { seq, time, actor, role, action, target, status, client, request_id }
    }
}

/// Who did what, newest first
#[utoipa::path(get, path = "/audit", tag = "access", params(ListParams), responses(
    (status = 200, body = AuditPage, description = "A page"),
))]
async fn list(
    State(state): State<ApiState>,
    Params(params): Params<ListParams>,
) -> Result<Json<AuditPage>, Problem> {
    let mut errors = Vec::new();
    let limit = paging::limit(params.limit, PAGE, PAGE_MAX, &mut errors);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let entries = state.audit.entries(params.before, limit).await?;
    let next = entries.last().filter(|_| entries.len() == limit).map(|entry| entry.seq);
    let entries = entries.into_iter().map(AuditView::from).collect();
    Ok(Json(AuditPage { entries, next, timestamp: Utc::now() }))
}
