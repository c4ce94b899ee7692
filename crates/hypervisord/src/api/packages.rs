//! Verification of packages on this machine, whoever made them.

use std::path::{Path, PathBuf};

use axum::Json;
use axum::extract::State;
use chrono::SubsecRound;
use hypersdk_core::{
    Error, ErrorKind, Package, PackageChange, PackageState, Verification, VerificationLevel,
};
use hypersdk_ova::verify::{Level, Report, VerifyError, verify};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::catalogue;
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
    #[schema(required = false)]
    path: String,
    /// Or a package of the catalogue
    #[schema(required = false)]
    id: String,
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
    /// The package of the catalogue that it is, which keeps what was found
    package_id: Option<String>,
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
    match (fields.has("path"), fields.has("id")) {
        (false, false) => fields.wrong(
            "path",
            "is missing: give the absolute path of an OVA, an OVF directory or a descriptor, or the id of a package",
        ),
        (true, true) => fields.wrong("id", "names a package, and so does path; leave one of them out"),
        _ => {}
    }
    let path = fields.text("path").map(PathBuf::from);
    let id = fields.text("id");
    let level = fields.word("level", &LEVELS).unwrap_or(Level::Structure);
    let errors = fields.close();
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let (field, asked, known) = match (path, id) {
        (Some(path), _) => ("path", path, None),
        (None, id) => {
            let package = catalogue::find(&state, &id.unwrap_or_default()).await?;
            ("id", place(&package), Some(package))
        }
    };
    let at_field = |error: Error| Problem::invalid(vec![FieldError::new(field, explain_safely(&error))]);
    let path = state.export_root.locate("find package", &asked).map_err(at_field)?;
    let report = verify(&path, level).await.map_err(|error| match error {
        VerifyError::NotAPackage { reason, .. } => {
            at_field(Error::new(ErrorKind::Invalid, "read package", format!("it is no package: {reason}")))
        }
        VerifyError::Io { path, source } => at_field(Error::io(format!("read {}", path.display()), source)),
        other => Problem::from(Error::new(ErrorKind::Unavailable, "verify package", other.to_string())),
    })?;
    let known = match known {
        Some(package) => Some(package),
        None => at(&state, &[asked, path]).await?,
    };
    let mut answer = json!(report);
    answer["ok"] = report.is_ok().into();
    answer["package_id"] = Value::Null;
    if let Some(package) = known.filter(|package| package.state == PackageState::Present) {
        answer["package_id"] = package.id.as_str().into();
        note(&state, &package, &report).await?;
    }
    Ok(Json(answer))
}

/// What is verified of a package: its archive, or its directory.
fn place(package: &Package) -> PathBuf {
    let main = Path::new(&package.outcome.ovf_path);
    match main.parent() {
        Some(directory) if !package.spec.format.is_archive() => directory.to_owned(),
        _ => main.to_owned(),
    }
}

/// The package of the catalogue that is at one of these paths, its directory's or its main file's.
async fn at(state: &ApiState, paths: &[PathBuf]) -> Result<Option<Package>, Problem> {
    for path in paths {
        let inside = path.file_name().map(|name| path.join(name).display().to_string() + ".ovf");
        for main_file in [Some(path.display().to_string()), inside].into_iter().flatten() {
            if let Some(package) = state.keeper.remover().catalogue().package_at(&main_file).await? {
                return Ok(Some(package));
            }
        }
    }
    Ok(None)
}

/// Keeps what was found in the catalogue. A package with another manifest than its job wrote is not that package,
/// however whole it is.
async fn note(state: &ApiState, package: &Package, report: &Report) -> Result<(), Problem> {
    let level = match report.level {
        Level::Headers => VerificationLevel::Headers,
        Level::Structure => VerificationLevel::Structure,
        Level::Full => VerificationLevel::Full,
    };
    let fault = report.faults.first().map(|fault| match &fault.file {
        Some(file) => format!("{file}: {}", fault.message),
        None => fault.message.clone(),
    });
    let manifest = report.files.iter().find(|file| file.name.ends_with(".mf"));
    let manifest = manifest.and_then(|file| file.digest.as_ref()).map(|digest| digest.hex());
    // Of another length it was made by another algorithm, and says nothing.
    let checksum = &package.outcome.checksum;
    let other = manifest.is_some_and(|manifest| manifest.len() == checksum.len() && manifest != *checksum);
    let fault = fault.or_else(|| other.then(|| "its manifest is not the one that its job wrote".to_owned()));
    let verification = Verification { at: chrono::Utc::now().trunc_subsecs(6), level, fault };
    let change = PackageChange::Verified(verification);
    match state.keeper.remover().catalogue().change_package(&package.id, change).await {
        // It went meanwhile.
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        result => result.map(drop).map_err(Problem::from),
    }
}
