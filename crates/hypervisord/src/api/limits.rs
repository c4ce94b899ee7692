//! `GET` and `PUT /limits`: caps and bandwidth, changed while exports run.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use hypersdk_export::{Caps, Limits, Timetable};
use serde_json::{Value, json};

use super::ApiState;
use super::extract::Document;
use super::fields::Fields;
use super::problem::Problem;

/// The largest cap.
const MOST: i64 = 10_000;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/limits", get(show).put(change))
}

async fn show(State(state): State<ApiState>) -> Json<Value> {
    Json(view(&state.limits))
}

fn view(limits: &Limits) -> Value {
    let caps = limits.caps();
    json!({
        "per_host": caps.per_host,
        "per_datastore": caps.per_datastore,
        "per_vcenter": caps.per_provider,
        "bandwidth_limit": limits.bandwidth().to_string(),
        "bytes_per_second": limits.current_rate(),
    })
}

/// Changes what is named and leaves the rest.
async fn change(State(state): State<ApiState>, Document(body): Document) -> Result<Json<Value>, Problem> {
    let mut fields = Fields::open("", body).map_err(|error| Problem::invalid(vec![error]))?;
    let now = state.limits.caps();
    let mut cap =
        |name, now| fields.integer(name, 0, MOST).and_then(|cap| usize::try_from(cap).ok()).unwrap_or(now);
    let caps = Caps {
        per_host: cap("per_host", now.per_host),
        per_datastore: cap("per_datastore", now.per_datastore),
        per_provider: cap("per_vcenter", now.per_provider),
    };
    let bandwidth =
        fields.parsed("bandwidth_limit", |text| text.parse::<Timetable>().map_err(|error| error.to_string()));
    // Shown by GET, and so sent back by whoever edits that.
    let _computed = fields.take("bytes_per_second");
    let errors = fields.close();
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    if caps != now {
        state.limits.set_caps(caps);
    }
    if let Some(bandwidth) = bandwidth {
        state.limits.set_bandwidth(bandwidth);
    }
    let shown = view(&state.limits);
    tracing::info!(limits = %shown, "limits changed, until the next start");
    Ok(Json(shown))
}
