//! The REST API. Routes live by area, each file with its own `routes()`; [`router`] puts them together.

mod capability;
mod envelope;
mod events;
mod extract;
mod fields;
mod health;
mod jobs;
mod legacy;
mod model;
mod packages;
mod problem;
mod request;
mod stats;
mod submit;
#[cfg(test)]
mod tests;
mod vms;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::response::IntoResponse;
use hypersdk_core::{JobManager, ProviderRegistry};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::export_root::ExportRoot;
use crate::readiness::Readiness;
use crate::submission::Submission;
use problem::Problem;

/// The largest body that is read.
const BODY_LIMIT_BYTES: usize = 4 << 20;

/// What handlers use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) manager: JobManager,
    pub(crate) submission: Submission,
    pub(crate) providers: Arc<ProviderRegistry>,
    pub(crate) export_root: ExportRoot,
    pub(crate) readiness: Readiness,
    pub(crate) started: Instant,
    /// Fires when the daemon stops: streams that would go on for ever end then.
    pub(crate) stopping: CancellationToken,
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState").field("providers", &self.providers).finish_non_exhaustive()
    }
}

/// Everything the daemon answers.
pub(crate) fn router(state: ApiState) -> Router {
    Router::new()
        .merge(health::routes())
        .merge(stats::routes())
        .merge(capability::routes())
        .merge(submit::routes())
        .merge(jobs::routes())
        .merge(events::routes())
        .merge(legacy::routes())
        .merge(packages::routes())
        .merge(vms::routes())
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(CatchPanicLayer::custom(envelope::panicked))
        .layer(axum::middleware::from_fn(envelope::envelope))
        .with_state(state)
}

async fn no_route(uri: Uri) -> impl IntoResponse {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> impl IntoResponse {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not answer {method}", uri.path()))
}
