//! Packages on this machine.

use std::path::PathBuf;

use axum::Json;
use axum::extract::State;
use hypersdk_core::{Error, ErrorKind};
use hypersdk_ova::verify::{Level, VerifyError, verify};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::extract::Document;
use super::fields::Fields;
use super::openapi::words;
use super::problem::{FieldError, Problem, explain_safely};

const LEVELS: [(&str, Level); 3] =
    [("headers", Level::Headers), ("structure", Level::Structure), ("full", Level::Full)];

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(verify_package))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `verify_package` takes from its fields")]
struct VerifyBody {
    /// The absolute path of an OVA, an OVF directory or a descriptor, below the export root if there is one
    path: String,
    #[schema(required = false, schema_with = words::verify_level)]
    level: String,
}

/// What the report says at least.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a report")]
struct VerifyAnswer {
    /// Whether nothing is wrong
    ok: bool,
    package: String,
    format: String,
    files: Vec<serde_json::Map<String, Value>>,
    faults: Vec<serde_json::Map<String, Value>>,
    warnings: Vec<serde_json::Map<String, Value>>,
}

/// Verify a package
#[utoipa::path(post, path = "/packages/verify", tag = "packages", request_body = VerifyBody, responses(
    (status = 200, body = VerifyAnswer, description = "A report, whether the package is whole or faulty"),
))]
async fn verify_package(
    State(state): State<ApiState>,
    Document(body): Document,
) -> Result<Json<Value>, Problem> {
    let mut fields = Fields::open("", body).map_err(|error| Problem::invalid(vec![error]))?;
    if !fields.has("path") {
        fields
            .wrong("path", "is missing: give the absolute path of an OVA, an OVF directory or a descriptor");
    }
    let path = fields.text("path").map(PathBuf::from);
    let level = fields.word("level", &LEVELS).unwrap_or(Level::Structure);
    let errors = fields.close();
    let Some(path) = path.filter(|_| errors.is_empty()) else { return Err(Problem::invalid(errors)) };
    let at_path = |error: Error| Problem::invalid(vec![FieldError::new("path", explain_safely(&error))]);
    let path = state.export_root.locate("find package", &path).map_err(at_path)?;
    let report = verify(&path, level).await.map_err(|error| match error {
        VerifyError::NotAPackage { reason, .. } => {
            at_path(Error::new(ErrorKind::Invalid, "read package", format!("it is no package: {reason}")))
        }
        VerifyError::Io { path, source } => at_path(Error::io(format!("read {}", path.display()), source)),
        other => Problem::from(Error::new(ErrorKind::Unavailable, "verify package", other.to_string())),
    })?;
    let mut answer = json!(report);
    answer["ok"] = report.is_ok().into();
    Ok(Json(answer))
}
