//! `GET /orphans`, `DELETE /orphans`, `DELETE /orphans/{id}`: what exports left behind at their sources.

use axum::extract::State;
use axum::routing::{delete, get};
use axum::{Json, Router};
use chrono::Utc;
use serde_json::{Value, json};

use super::ApiState;
use super::extract::TextPath;
use super::problem::{Problem, explain_safely};
use crate::orphans::Swept;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/orphans", get(list).delete(clear)).route("/orphans/{id}", delete(remove))
}

async fn list(State(state): State<ApiState>) -> Json<Value> {
    let (found, errors) = state.orphans.list().await;
    let errors: Vec<String> = errors
        .iter()
        .map(|error| {
            tracing::warn!("{}", error.chain());
            format!("{}: {}", error.operation(), explain_safely(error))
        })
        .collect();
    let orphans: Vec<Value> = found
        .iter()
        .map(|found| {
            let mut view = json!(found.orphan);
            view["provider"] = found.provider.name.as_str().into();
            view["owner"] = json!(found.owner);
            view
        })
        .collect();
    Json(json!({ "orphans": orphans, "errors": errors, "timestamp": Utc::now() }))
}

async fn clear(State(state): State<ApiState>) -> Result<Json<Value>, Problem> {
    Ok(swept(&state.orphans.remove(None).await?))
}

async fn remove(State(state): State<ApiState>, TextPath(id): TextPath) -> Result<Json<Value>, Problem> {
    Ok(swept(&state.orphans.remove(Some(&id)).await?))
}

fn swept(swept: &Swept) -> Json<Value> {
    let failed: Vec<Value> = swept
        .failed
        .iter()
        .map(|(orphan, error)| json!({ "id": orphan.id, "error": explain_safely(error) }))
        .collect();
    Json(json!({
        "removed": swept.removed.iter().map(|orphan| &orphan.id).collect::<Vec<_>>(),
        "failed": failed,
        "timestamp": Utc::now(),
    }))
}
