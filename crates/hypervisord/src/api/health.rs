//! Whether the daemon lives, and whether it takes work.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use hypersdk_core::ErrorKind;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::{FieldError, Problem, ProblemView};
use crate::readiness::Stage;

/// How long the database may take to prove that it can be written to.
const CHECK_PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(live)).routes(routes!(ready))
}

#[derive(Serialize, ToSchema)]
struct Health {
    /// `healthy`
    status: &'static str,
    version: &'static str,
    uptime_seconds: u64,
    timestamp: DateTime<Utc>,
}

/// That the daemon answers
#[utoipa::path(get, path = "/health", tag = "daemon", responses((status = 200, body = Health, description = "It does")))]
async fn health(State(state): State<ApiState>) -> Json<Health> {
    Json(Health {
        status: "healthy",
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: state.started.elapsed().as_secs(),
        timestamp: Utc::now(),
    })
}

#[derive(Serialize, ToSchema)]
struct Stands {
    /// `alive` or `ready`
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
struct Ready {
    /// `ready`
    status: &'static str,
    /// It claims no jobs until it is resumed
    paused: bool,
}

/// That the daemon lives
#[utoipa::path(get, path = "/health/live", tag = "daemon", responses((status = 200, body = Stands, description = "It does")))]
async fn live() -> Json<Stands> {
    Json(Stands { status: "alive" })
}

/// Whether the daemon takes work
#[utoipa::path(get, path = "/health/ready", tag = "daemon", responses(
    (status = 200, body = Ready, description = "It does"),
    (status = 503, body = ProblemView, content_type = "application/problem+json", description = "It does not; `errors` names the part that fails"),
))]
async fn ready(State(state): State<ApiState>) -> Response {
    let failing = match state.readiness.stage() {
        Stage::Starting => Some(("daemon", "it is starting")),
        Stage::Stopping => Some(("daemon", "it is stopping")),
        Stage::Ready => match tokio::time::timeout(CHECK_PATIENCE, state.manager.store().check()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::error!("check database: {}", error.chain());
                Some((
                    "database",
                    match error.kind() {
                        ErrorKind::NoSpace => "its disk is full",
                        ErrorKind::Unavailable => "it cannot be reached",
                        _ => "it cannot be written to",
                    },
                ))
            }
            Err(_) => Some(("database", "it does not answer")),
        },
    };
    match failing {
        None => Json(Ready { status: "ready", paused: state.nodes.is_paused() }).into_response(),
        Some((part, why)) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {part}: {why}"))
                .with_errors(vec![FieldError::new(part, why)])
                .into_response()
        }
    }
}
