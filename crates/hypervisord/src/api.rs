//! The REST API. Routes live by area, each file with its own `routes()`; [`router`] puts them together.

mod access;
mod admin;
mod areas;
mod audit;
mod capability;
mod catalogue;
mod envelope;
mod events;
mod extract;
mod fields;
mod health;
mod jobs;
mod legacy;
mod limits;
mod login;
mod metrics;
mod model;
mod openapi;
mod orphans;
mod packages;
mod paging;
mod pool;
mod problem;
mod replay;
mod request;
mod schedules;
mod stats;
mod submit;
#[cfg(test)]
mod tests;
mod validate;
mod versioned;
mod vms;
mod web;
mod webhooks;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::{Extension, Router};
use hypersdk_core::{AuditLog, JobManager, ProviderRegistry, ReplayStore};
use hypersdk_export::Limits;
use hypersdk_sched::Scheduler;
use hypersdk_store::Database;
use hypersdk_webhook::Deliverer;
use tokio_util::sync::CancellationToken;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use utoipa_axum::router::OpenApiRouter;

use crate::export_root::ExportRoot;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::orphans::Orphans;
use crate::readiness::Readiness;
use crate::retention::Keeper;
use crate::submission::Submission;
pub(crate) use access::Access;
use areas::Areas;
pub(crate) use events::shaped_data;
use problem::Problem;
pub(crate) use request::{LABEL_SHAPE, is_label};
pub(crate) use schedules::{read_schedule, read_template};
pub(crate) use webhooks::JobProgress;

/// The largest body that is read.
const BODY_LIMIT_BYTES: usize = 4 << 20;

/// What handlers use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) manager: JobManager,
    pub(crate) submission: Submission,
    pub(crate) scheduler: Scheduler,
    pub(crate) limits: Limits,
    pub(crate) orphans: Orphans,
    pub(crate) keeper: Keeper,
    pub(crate) providers: Arc<ProviderRegistry>,
    pub(crate) export_root: ExportRoot,
    pub(crate) nodes: Nodes,
    /// Whether the dashboard is served.
    pub(crate) dashboard: bool,
    pub(crate) readiness: Readiness,
    pub(crate) started: Instant,
    pub(crate) access: Arc<Access>,
    pub(crate) audit: Arc<dyn AuditLog>,
    pub(crate) replays: Arc<dyn ReplayStore>,
    pub(crate) metrics: Arc<Metrics>,
    /// `None` if everything is in memory, as in tests.
    pub(crate) database: Option<Database>,
    pub(crate) webhooks: Deliverer,
    /// Endpoints made over the API may be inside the network unless they say otherwise.
    pub(crate) webhook_allow_private: bool,
    /// Fires when the daemon stops: streams that would go on for ever end then.
    pub(crate) stopping: CancellationToken,
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState").field("providers", &self.providers).finish_non_exhaustive()
    }
}

/// The routes that describe themselves.
fn described() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(admin::routes())
        .merge(health::routes())
        .merge(stats::routes())
        .merge(capability::routes())
        .merge(metrics::routes())
        .merge(submit::routes())
        .merge(jobs::routes())
        .merge(events::routes())
        .merge(legacy::routes())
        .merge(packages::routes())
        .merge(catalogue::routes())
        .merge(pool::routes())
        .merge(vms::routes())
        .merge(schedules::routes())
        .merge(webhooks::routes())
        .merge(validate::routes())
        .merge(limits::routes())
        .merge(orphans::routes())
        .merge(login::routes())
        .merge(audit::routes())
}

/// Every route there is.
fn routes() -> Router<ApiState> {
    Router::new().merge(openapi::with_document(described())).merge(web::routes())
}

/// Everything the daemon answers.
pub(crate) fn router(state: ApiState) -> Router {
    let areas = Areas::of(routes().with_state(state.clone()));
    routes()
        .layer(Extension(areas))
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::middleware::from_fn_with_state(state.clone(), access::guard))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(compression())
        .layer(CatchPanicLayer::custom(envelope::panicked))
        .layer(axum::middleware::from_fn(envelope::envelope))
        .layer(axum::middleware::from_fn_with_state(state.clone(), envelope::count))
        .with_state(state)
}

/// Answers are compressed if the client can take it, but for streams, whose messages would wait for more.
fn compression() -> CompressionLayer<impl Predicate> {
    let worth_it = SizeAbove::new(1024).and(NotForContentType::SSE);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it)
}

async fn no_route(uri: Uri) -> impl IntoResponse {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> impl IntoResponse {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not answer {method}", uri.path()))
}
