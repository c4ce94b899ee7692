//! Pausing and resuming the daemon.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::extract::NoFields;
use super::problem::Problem;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(pause)).routes(routes!(resume))
}

#[derive(Serialize, ToSchema)]
struct Paused {
    /// This daemon's name
    node: String,
    paused: bool,
    /// Jobs that go on here
    running_jobs: usize,
    timestamp: DateTime<Utc>,
}

/// Claim no more jobs
///
/// What runs goes on. It stays so through restarts.
#[utoipa::path(post, path = "/admin/pause", tag = "daemon", responses((status = 200, body = Paused, description = "It is paused")))]
async fn pause(State(state): State<ApiState>, _: NoFields) -> Result<Json<Paused>, Problem> {
    set(&state, true).await
}

/// Claim jobs again
#[utoipa::path(post, path = "/admin/resume", tag = "daemon", responses((status = 200, body = Paused, description = "It goes on")))]
async fn resume(State(state): State<ApiState>, _: NoFields) -> Result<Json<Paused>, Problem> {
    set(&state, false).await
}

async fn set(state: &ApiState, paused: bool) -> Result<Json<Paused>, Problem> {
    state.nodes.set_paused(paused).await?;
    Ok(Json(Paused {
        node: state.nodes.name().to_owned(),
        paused,
        running_jobs: state.manager.running(),
        timestamp: Utc::now(),
    }))
}
