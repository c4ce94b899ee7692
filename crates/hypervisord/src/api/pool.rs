//! What the session pools are doing.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use hypersdk_core::ConnectionStats;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(pool))
}

/// The pools of all connections added up, and each by itself.
#[derive(Debug, Serialize, ToSchema)]
struct PoolView {
    #[serde(flatten)]
    all: Figures,
    connections: Vec<ConnectionView>,
    timestamp: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ConnectionView {
    provider: String,
    #[serde(flatten)]
    figures: Figures,
    holders: Vec<HolderView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct HolderView {
    /// A job's id, or what is being done
    work: String,
    seconds: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Figures {
    enabled: bool,
    total_connections: u64,
    in_use: u64,
    idle: u64,
    max_connections: u64,
    waiting: u64,
    total_created: u64,
    total_closed: u64,
    total_renewed: u64,
    total_borrowed: u64,
    total_reused: u64,
    total_timeouts: u64,
    /// `total_reused` over `total_borrowed`, 0 to 1
    reuse_ratio: f64,
}

impl From<&ConnectionStats> for Figures {
    fn from(stats: &ConnectionStats) -> Self {
        Figures {
            enabled: stats.pooled,
            total_connections: stats.total_connections,
            in_use: stats.in_use,
            idle: stats.idle,
            max_connections: stats.max_connections,
            waiting: stats.waiting,
            total_created: stats.total_created,
            total_closed: stats.total_closed,
            total_renewed: stats.total_renewed,
            total_borrowed: stats.total_borrowed,
            total_reused: stats.total_reused,
            total_timeouts: stats.total_timeouts,
            reuse_ratio: stats.reuse_ratio(),
        }
    }
}

/// What the session pools do
#[utoipa::path(get, path = "/stats/pool", tag = "daemon", responses((status = 200, body = PoolView, description = "Sessions of all connections, and of each")))]
async fn pool(State(state): State<ApiState>) -> Json<PoolView> {
    let each: Vec<(String, ConnectionStats)> = state
        .providers
        .instances()
        .map(|instance| (instance.name.to_string(), instance.provider.connections()))
        .collect();
    let all: ConnectionStats = each.iter().map(|(_, stats)| stats).sum();
    let connections = each
        .into_iter()
        .map(|(provider, stats)| ConnectionView {
            provider,
            figures: Figures::from(&stats),
            holders: stats
                .holders
                .into_iter()
                .map(|holder| HolderView { work: holder.work, seconds: holder.seconds })
                .collect(),
        })
        .collect();
    Json(PoolView { all: Figures::from(&all), connections, timestamp: Utc::now() })
}
