//! Whether the daemon lives, and whether it takes work.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::Utc;
use serde_json::{Value, json};

use super::ApiState;
use super::problem::{FieldError, Problem};
use crate::readiness::Stage;

/// How long the database may take to prove that it can be written to.
const CHECK_PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/health", get(health))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
}

async fn health(State(state): State<ApiState>) -> Json<Value> {
    Json(json!({
        "status": "healthy",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": state.started.elapsed().as_secs(),
        "timestamp": Utc::now(),
    }))
}

async fn live() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

async fn ready(State(state): State<ApiState>) -> Response {
    let failing = match state.readiness.stage() {
        Stage::Starting => Some(("daemon", "it is starting")),
        Stage::Stopping => Some(("daemon", "it is stopping")),
        Stage::Ready => match tokio::time::timeout(CHECK_PATIENCE, state.manager.store().check()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::error!("check database: {}", error.chain());
                Some(("database", "it cannot be written to"))
            }
            Err(_) => Some(("database", "it does not answer")),
        },
    };
    match failing {
        None => Json(json!({ "status": "ready" })).into_response(),
        Some((part, why)) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {part}: {why}"))
                .with_errors(vec![FieldError::new(part, why)])
                .into_response()
        }
    }
}
