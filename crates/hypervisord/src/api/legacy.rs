//! Routes that clients of version 0.2 know; each says what a newer route says too.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use chrono::{Duration, Utc};
use hypersdk_core::JobStatus;
use serde_json::{Value, json};

use super::ApiState;
use super::extract::JobPath;
use super::jobs;
use super::model::ProgressView;
use super::problem::Problem;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/jobs/progress/{id}", get(progress))
        .route("/jobs/logs/{id}", get(jobs::logs))
        .route("/jobs/eta/{id}", get(eta))
}

async fn progress(State(state): State<ApiState>, JobPath(id): JobPath) -> Result<Json<Value>, Problem> {
    let job = jobs::find(&state, &id).await?;
    Ok(Json(json!({
        "job_id": id,
        "status": job.status,
        "progress": ProgressView::from(&job.progress),
        "timestamp": Utc::now(),
    })))
}

async fn eta(State(state): State<ApiState>, JobPath(id): JobPath) -> Result<Json<Value>, Problem> {
    let job = jobs::find(&state, &id).await?;
    let view = ProgressView::from(&job.progress);
    // More than ten years is no estimate.
    let remaining = view
        .estimated_remaining
        .filter(|seconds| job.status == JobStatus::Running && (0.0..3.2e8).contains(seconds));
    let eta = remaining.map(|seconds| Utc::now() + Duration::milliseconds((seconds * 1000.0) as i64));
    Ok(Json(json!({
        "job_id": id,
        "status": job.status,
        "percent_complete": view.percent_complete,
        "estimated_remaining": remaining,
        "eta": eta,
        "timestamp": Utc::now(),
    })))
}
