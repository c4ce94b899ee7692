//! How many jobs there are and how long the daemon has run.

use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use chrono::Utc;
use serde_json::{Value, json};

use super::ApiState;
use super::problem::Problem;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/status", get(status)).route("/stats", get(stats))
}

async fn status(State(state): State<ApiState>) -> Result<Json<Value>, Problem> {
    let counts = state.manager.store().counts().await?;
    let uptime = state.started.elapsed();
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime": display(uptime),
        "uptime_seconds": uptime.as_secs(),
        "total_jobs": counts.total(),
        "pending_jobs": counts.pending,
        "running_jobs": counts.running,
        "completed_jobs": counts.completed,
        "failed_jobs": counts.failed,
        "cancelled_jobs": counts.cancelled,
        "timestamp": Utc::now(),
    })))
}

async fn stats(State(state): State<ApiState>) -> Result<Json<Value>, Problem> {
    let counts = state.manager.store().counts().await?;
    let ended = counts.completed + counts.failed;
    Ok(Json(json!({
        "total_jobs": counts.total(),
        "pending_jobs": counts.pending,
        "running_jobs": counts.running,
        "completed_jobs": counts.completed,
        "failed_jobs": counts.failed,
        "cancelled_jobs": counts.cancelled,
        "success_rate": if ended == 0 { None } else { Some(ratio(counts.completed, ended)) },
        "providers": state.providers.instances().count(),
        "timestamp": Utc::now(),
    })))
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn display(uptime: Duration) -> String {
    crate::config::display_duration(Duration::from_secs(uptime.as_secs()))
}
