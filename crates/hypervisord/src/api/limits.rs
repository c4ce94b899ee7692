//! `GET` and `PUT /limits`: caps and bandwidth, changed while exports run.

use axum::Json;
use axum::extract::State;
use hypersdk_export::{Caps, Limits, Timetable};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::extract::Document;
use super::fields::Fields;
use super::problem::Problem;

/// The largest cap.
const MOST: i64 = 10_000;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show, change))
}

#[derive(Debug, Serialize, ToSchema)]
struct LimitsView {
    /// Exports at one time of VMs on one host; 0 for any number
    per_host: usize,
    /// The same by datastore
    per_datastore: usize,
    /// The same by connection
    per_vcenter: usize,
    /// As it was written
    bandwidth_limit: String,
    /// What that is now; `null` for no limit
    bytes_per_second: Option<u64>,
}

impl From<&Limits> for LimitsView {
    fn from(limits: &Limits) -> Self {
        let caps = limits.caps();
        LimitsView {
            per_host: caps.per_host,
            per_datastore: caps.per_datastore,
            per_vcenter: caps.per_provider,
            bandwidth_limit: limits.bandwidth().to_string(),
            bytes_per_second: limits.current_rate(),
        }
    }
}

/// What exports may take
#[utoipa::path(get, path = "/limits", tag = "daemon", responses((status = 200, body = LimitsView, description = "Caps and bandwidth")))]
async fn show(State(state): State<ApiState>) -> Json<LimitsView> {
    Json(LimitsView::from(&state.limits))
}

/// Every field is optional.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `change` takes from its fields")]
struct LimitFields {
    #[schema(minimum = 0, maximum = 10000)]
    per_host: Option<i64>,
    #[schema(minimum = 0, maximum = 10000)]
    per_datastore: Option<i64>,
    #[schema(minimum = 0, maximum = 10000)]
    per_vcenter: Option<i64>,
    /// Such as `200MB/s`
    bandwidth_limit: Option<String>,
    /// As shown; it counts for nothing
    bytes_per_second: Option<u64>,
}

/// Change what exports may take, until the next start
///
/// What is not named stays as it is.
#[utoipa::path(put, path = "/limits", tag = "daemon", request_body = LimitFields, responses((status = 200, body = LimitsView, description = "What they may take now")))]
async fn change(
    State(state): State<ApiState>,
    Document(body): Document,
) -> Result<Json<LimitsView>, Problem> {
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
    let shown = LimitsView::from(&state.limits);
    tracing::info!(limits = ?shown, "limits changed, until the next start");
    Ok(Json(shown))
}
