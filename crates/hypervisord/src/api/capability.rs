//! What this very build and configuration can do.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::ApiState;
use super::model::{ARCHIVE_COMPRESSIONS, FORMATS, MANIFEST_DIGESTS, POWER_POLICIES, VERIFY_MODES};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/capabilities", get(capabilities))
}

async fn capabilities(State(state): State<ApiState>) -> Json<Value> {
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
    }))
}

fn words<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(word, _)| *word).collect()
}
