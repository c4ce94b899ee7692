//! How many jobs there are and how long the daemon has run.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::Problem;
use crate::nodes::SeenNode;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(status)).routes(routes!(stats))
}

#[derive(Serialize, ToSchema)]
struct Status {
    version: &'static str,
    /// For people: `3h12m`
    uptime: String,
    uptime_seconds: u64,
    total_jobs: u64,
    pending_jobs: u64,
    running_jobs: u64,
    completed_jobs: u64,
    failed_jobs: u64,
    cancelled_jobs: u64,
    /// This daemon's name
    node: String,
    /// This daemon claims no jobs
    paused: bool,
    /// Every daemon that shares the database, or did
    nodes: Vec<NodeView>,
    timestamp: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
struct NodeView {
    name: String,
    /// It was heard of within the last half minute
    alive: bool,
    paused: bool,
    version: String,
    address: String,
    providers: Vec<String>,
    labels: Vec<String>,
    running_jobs: u64,
    max_concurrent_jobs: u64,
    started_at: DateTime<Utc>,
    heard_at: DateTime<Utc>,
}

impl From<SeenNode> for NodeView {
    fn from(SeenNode { node, alive }: SeenNode) -> Self {
        let report = node.report;
        NodeView {
            name: report.name,
            alive,
            paused: node.paused,
            version: report.version,
            address: report.address,
            providers: report.providers.iter().map(ToString::to_string).collect(),
            labels: report.labels.into_iter().collect(),
            running_jobs: report.running,
            max_concurrent_jobs: report.max_concurrent,
            started_at: report.started_at,
            heard_at: node.heard_at,
        }
    }
}

/// How the daemon does
#[utoipa::path(get, path = "/status", tag = "daemon", responses((status = 200, body = Status, description = "Version, time up, jobs by status")))]
async fn status(State(state): State<ApiState>) -> Result<Json<Status>, Problem> {
    let counts = state.manager.store().counts().await?;
    let nodes = state.nodes.all().await?.into_iter().map(NodeView::from).collect();
    let uptime = state.started.elapsed();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime: display(uptime),
        uptime_seconds: uptime.as_secs(),
        total_jobs: counts.total(),
        pending_jobs: counts.pending,
        running_jobs: counts.running,
        completed_jobs: counts.completed,
        failed_jobs: counts.failed,
        cancelled_jobs: counts.cancelled,
        node: state.nodes.name().to_owned(),
        paused: state.nodes.is_paused(),
        nodes,
        timestamp: Utc::now(),
    }))
}

#[derive(Serialize, ToSchema)]
struct Stats {
    total_jobs: u64,
    pending_jobs: u64,
    running_jobs: u64,
    completed_jobs: u64,
    failed_jobs: u64,
    cancelled_jobs: u64,
    /// Completed jobs over those that completed or failed, 0 to 1; `null` before the first
    success_rate: Option<f64>,
    /// How many connections are configured
    providers: usize,
    timestamp: DateTime<Utc>,
}

/// How many jobs there are
#[utoipa::path(get, path = "/stats", tag = "daemon", responses((status = 200, body = Stats, description = "Jobs by status")))]
async fn stats(State(state): State<ApiState>) -> Result<Json<Stats>, Problem> {
    let counts = state.manager.store().counts().await?;
    let ended = counts.completed + counts.failed;
    Ok(Json(Stats {
        total_jobs: counts.total(),
        pending_jobs: counts.pending,
        running_jobs: counts.running,
        completed_jobs: counts.completed,
        failed_jobs: counts.failed,
        cancelled_jobs: counts.cancelled,
        success_rate: (ended > 0).then(|| ratio(counts.completed, ended)),
        providers: state.providers.instances().count(),
        timestamp: Utc::now(),
    }))
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn display(uptime: Duration) -> String {
    crate::config::display_duration(Duration::from_secs(uptime.as_secs()))
}
