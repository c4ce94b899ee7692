//! What this very build and configuration can do.

use axum::extract::State;
use axum::{Extension, Json};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::areas::Areas;
use super::model::{ARCHIVE_COMPRESSIONS, FORMATS, MANIFEST_DIGESTS, POWER_POLICIES, VERIFY_MODES};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(capabilities))
}

/// What this build and configuration can do
///
/// `providers` and `provider_types`; the words that `format`, `archive_compression`, `manifest_digest`, `verify` and
/// `options.power` of a job may have; `destinations`; which parts of the
/// API (`areas`) and which ways into it there are.
#[utoipa::path(get, path = "/capabilities", tag = "daemon", responses(
    (status = 200, body = Object, description = "Lists of words, by what they are about"),
))]
async fn capabilities(State(state): State<ApiState>, Extension(areas): Extension<Areas>) -> Json<Value> {
    let providers: Vec<Value> = state
        .providers
        .instances()
        .map(|instance| {
            let can = instance.provider.capabilities();
            json!({
                "name": instance.name.as_str(),
                "type": can.provider_type,
                "live_export": can.live_export,
                "host_digests": can.host_digests,
                "power_control": can.power_control,
            })
        })
        .collect();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "providers": providers,
        "provider_types": state.providers.types().collect::<Vec<_>>(),
        "formats": words(&FORMATS),
        "compression": ["none", "deflate"],
        "compression_levels": [0, 9],
        "archive_compression": words(&ARCHIVE_COMPRESSIONS),
        "signing": true,
        "portable": true,
        "chunks": ["ovf"],
        "destinations": ["directory"],
        "manifest_digests": words(&MANIFEST_DIGESTS),
        "verify": words(&VERIFY_MODES),
        "power": words(&POWER_POLICIES),
        "areas": areas.names().await,
        "dashboard": state.dashboard,
        "traces": crate::telemetry::CAN_TRACE,
        "authentication": state.access.auth.as_ref().map(crate::auth::Auth::ways).unwrap_or_default(),
    }))
}

fn words<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(word, _)| *word).collect()
}
