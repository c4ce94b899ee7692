//! `GET /orphans`, `DELETE /orphans`, `DELETE /orphans/{id}`: what exports left behind at their sources.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::extract::TextPath;
use super::openapi::words;
use super::problem::{Problem, explain_safely};
use crate::orphans::{Found, Owner, Swept};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, clear)).routes(routes!(remove))
}

fn owner_words() -> RefOr<Schema> {
    words::spelt(&[Owner::Live, Owner::Ours, Owner::Unknown])
}

#[derive(Serialize, ToSchema)]
struct OrphanList {
    orphans: Vec<OrphanView>,
    /// Sources that could not be asked
    errors: Vec<String>,
    timestamp: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
struct OrphanView {
    id: String,
    /// Such as `snapshot`
    kind: String,
    name: String,
    /// The job that made it, or another text
    work: String,
    vm: String,
    vm_name: String,
    created_at: Option<DateTime<Utc>>,
    provider: String,
    /// `ours` is left behind, `live` in use, and of `unknown` this daemon knows nothing
    #[schema(schema_with = owner_words)]
    owner: Owner,
}

impl From<Found> for OrphanView {
    fn from(Found { provider, orphan, owner }: Found) -> Self {
        OrphanView {
            id: orphan.id,
            kind: orphan.kind,
            name: orphan.name,
            work: orphan.work,
            vm: orphan.vm.to_string(),
            vm_name: orphan.vm_name,
            created_at: orphan.created_at,
            provider: provider.name.to_string(),
            owner,
        }
    }
}

/// What exports left behind at their sources
#[utoipa::path(get, path = "/orphans", tag = "daemon", responses((status = 200, body = OrphanList, description = "All of it")))]
async fn list(State(state): State<ApiState>) -> Json<OrphanList> {
    let (found, errors) = state.orphans.list().await;
    let errors: Vec<String> = errors
        .iter()
        .map(|error| {
            tracing::warn!("{}", error.chain());
            format!("{}: {}", error.operation(), explain_safely(error))
        })
        .collect();
    let orphans = found.into_iter().map(OrphanView::from).collect();
    Json(OrphanList { orphans, errors, timestamp: Utc::now() })
}

#[derive(Serialize, ToSchema)]
struct SweptView {
    /// Their ids
    removed: Vec<String>,
    failed: Vec<StuckView>,
    timestamp: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
struct StuckView {
    id: String,
    error: String,
}

/// Remove all that is left behind
#[utoipa::path(delete, path = "/orphans", tag = "daemon", responses((status = 200, body = SweptView, description = "What came of it")))]
async fn clear(State(state): State<ApiState>) -> Result<Json<SweptView>, Problem> {
    Ok(swept(&state.orphans.remove(None).await?))
}

/// Remove one thing that is left behind
#[utoipa::path(delete, path = "/orphans/{id}", tag = "daemon", params(("id" = String, Path, description = "The thing")), responses((status = 200, body = SweptView, description = "What came of it")))]
async fn remove(State(state): State<ApiState>, TextPath(id): TextPath) -> Result<Json<SweptView>, Problem> {
    Ok(swept(&state.orphans.remove(Some(&id)).await?))
}

fn swept(swept: &Swept) -> Json<SweptView> {
    let stuck = swept.failed.iter();
    let stuck =
        stuck.map(|(orphan, error)| StuckView { id: orphan.id.clone(), error: explain_safely(error) });
    Json(SweptView {
        removed: swept.removed.iter().map(|orphan| orphan.id.clone()).collect(),
        failed: stuck.collect(),
        timestamp: Utc::now(),
    })
}
