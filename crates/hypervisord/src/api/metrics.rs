//! `GET /metrics`.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::Problem;
use crate::metrics::Sources;

/// OpenMetrics, which Prometheus asks for first.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Numbers for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "daemon", responses(
    (status = 200, body = String, content_type = "application/openmetrics-text", description = "OpenMetrics text"),
))]
async fn metrics(State(state): State<ApiState>) -> Result<impl IntoResponse, Problem> {
    let sources = Sources {
        manager: state.manager.clone(),
        providers: state.providers.clone(),
        webhooks: state.webhooks.clone(),
        database: state.database.clone(),
        started: state.started,
    };
    let text = state.metrics.scrape(&sources).await?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text))
}
