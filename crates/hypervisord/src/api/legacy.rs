//! Routes that clients of version 0.2 know; each says what a newer route says too.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Duration, Utc};
use hypersdk_core::JobStatus;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::extract::JobPath;
use super::jobs;
use super::model::ProgressView;
use super::openapi::words;
use super::problem::Problem;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(progress)).routes(routes!(logs)).routes(routes!(eta))
}

#[derive(Serialize, ToSchema)]
struct ProgressAnswer {
    job_id: String,
    #[schema(schema_with = words::job_status)]
    status: JobStatus,
    progress: ProgressView,
    timestamp: DateTime<Utc>,
}

/// A job's progress, for clients of version 0.2
#[utoipa::path(get, path = "/jobs/progress/{id}", tag = "jobs", params(("id" = String, Path, description = "The job")), responses(
    (status = 200, body = ProgressAnswer, description = "Its progress"),
))]
async fn progress(
    State(state): State<ApiState>,
    JobPath(id): JobPath,
) -> Result<Json<ProgressAnswer>, Problem> {
    let job = jobs::find(&state, &id).await?;
    Ok(Json(ProgressAnswer {
        job_id: id.to_string(),
        status: job.status,
        progress: ProgressView::from(&job.progress),
        timestamp: Utc::now(),
    }))
}

/// A job's log, for clients of version 0.2
#[utoipa::path(get, path = "/jobs/logs/{id}", tag = "jobs", params(("id" = String, Path, description = "The job")), responses(
    (status = 200, body = jobs::LogsView, description = "Its lines, oldest first"),
))]
async fn logs(state: State<ApiState>, id: JobPath) -> Result<Json<jobs::LogsView>, Problem> {
    jobs::logs(state, id).await
}

#[derive(Serialize, ToSchema)]
struct EtaAnswer {
    job_id: String,
    #[schema(schema_with = words::job_status)]
    status: JobStatus,
    percent_complete: f64,
    /// Seconds
    estimated_remaining: Option<f64>,
    eta: Option<DateTime<Utc>>,
    timestamp: DateTime<Utc>,
}

/// When a job will end, for clients of version 0.2
#[utoipa::path(get, path = "/jobs/eta/{id}", tag = "jobs", params(("id" = String, Path, description = "The job")), responses(
    (status = 200, body = EtaAnswer, description = "An estimate"),
))]
async fn eta(State(state): State<ApiState>, JobPath(id): JobPath) -> Result<Json<EtaAnswer>, Problem> {
    let job = jobs::find(&state, &id).await?;
    let view = ProgressView::from(&job.progress);
    // More than ten years is no estimate.
    let remaining = view
        .estimated_remaining
        .filter(|seconds| job.status == JobStatus::Running && (0.0..3.2e8).contains(seconds));
    let eta = remaining.map(|seconds| Utc::now() + Duration::milliseconds((seconds * 1000.0) as i64));
    Ok(Json(EtaAnswer {
        job_id: id.to_string(),
        status: job.status,
        percent_complete: view.percent_complete,
        estimated_remaining: remaining,
        eta,
        timestamp: Utc::now(),
    }))
}
