//! `POST /jobs/validate`: what would come of these jobs, without making them.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt};
use hypersdk_core::{Finding, FindingLevel, PreflightDepth};
use hypersdk_export::forecast;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::extract::Document;
use super::openapi::words;
use super::problem::{FieldError, Problem, explain_safely};
use super::request::{Entry, SubmitBody, entries};
use crate::submission::{Candidate, JobRequest};

/// VMs looked at in one request.
const MOST: usize = 200;
/// VMs looked at at once.
const AT_ONCE: usize = 4;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(validate))
}

fn level_words() -> RefOr<Schema> {
    words::spelt(&[FindingLevel::Info, FindingLevel::Warning, FindingLevel::Error])
}

/// Something found while looking at a VM.
#[derive(Debug, Serialize, ToSchema)]
struct FindingView {
    #[schema(schema_with = level_words)]
    level: FindingLevel,
    /// For programs, such as `privilege_missing`
    code: String,
    message: String,
    advice: Option<String>,
}

impl From<Finding> for FindingView {
    fn from(finding: Finding) -> Self {
        let Finding { level, code, message, advice, .. } = finding;
        FindingView { level, code, message, advice }
    }
}

#[derive(Serialize, ToSchema)]
struct Verdicts {
    /// Whether all of them would be accepted and nothing stands in their way
    valid: bool,
    jobs: Vec<Verdict>,
    warnings: Vec<String>,
    timestamp: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Verdict {
    vm_path: String,
    vm_id: Option<String>,
    provider: Option<String>,
    output_dir: Option<String>,
    valid: bool,
    findings: Vec<FindingView>,
    expected_bytes: Option<u64>,
    expected_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
}

impl Verdict {
    fn refused(vm_path: String, errors: Vec<FieldError>) -> Self {
        Verdict {
            vm_path,
            vm_id: None,
            provider: None,
            output_dir: None,
            valid: false,
            findings: Vec::new(),
            expected_bytes: None,
            expected_seconds: None,
            errors,
        }
    }
}

/// What would come of these jobs, without making them
#[utoipa::path(post, path = "/jobs/validate", tag = "jobs", request_body = SubmitBody, responses((status = 200, body = Verdicts, description = "What was found, job by job")))]
async fn validate(
    State(state): State<ApiState>,
    Document(body): Document,
) -> Result<Json<Verdicts>, Problem> {
    let mut warnings = Vec::new();
    let mut verdicts = Vec::new();
    let mut wanted = Vec::new();
    for Entry { path, request, warnings: noted } in entries(body)? {
        warnings.extend(noted);
        match request {
            Ok(request) => wanted.extend(candidates(&state, &path, request, &mut verdicts).await),
            Err(errors) => verdicts.push(Verdict::refused(String::new(), errors)),
        }
        if wanted.len() > MOST {
            let message = format!("one request looks at {MOST} VMs at most; name fewer");
            return Err(Problem::invalid(vec![FieldError::new("vm_path", message)]));
        }
    }
    let looked: Vec<Verdict> =
        stream::iter(wanted).map(|candidate| look(&state, candidate)).buffered(AT_ONCE).collect().await;
    verdicts.extend(looked);
    Ok(Json(Verdicts {
        valid: verdicts.iter().all(|verdict| verdict.valid),
        jobs: verdicts,
        warnings,
        timestamp: Utc::now(),
    }))
}

/// The jobs a request would make; what is refused is a verdict already.
async fn candidates(
    state: &ApiState,
    path: &str,
    request: JobRequest,
    verdicts: &mut Vec<Verdict>,
) -> Vec<Candidate> {
    let vm_path = request.spec.vm.to_string();
    match state.submission.checked(&request).await {
        Ok(candidates) => candidates,
        Err(fault) => {
            let field =
                if path.is_empty() { fault.field.to_owned() } else { format!("{path}.{}", fault.field) };
            let error = FieldError::new(field, explain_safely(&fault.error));
            verdicts.push(Verdict::refused(vm_path, vec![error]));
            Vec::new()
        }
    }
}

async fn look(state: &ApiState, candidate: Candidate) -> Verdict {
    let Candidate { spec, vm } = candidate;
    let mut verdict = Verdict::refused(vm.path.clone(), Vec::new());
    verdict.vm_id = Some(vm.id.to_string());
    verdict.provider = spec.provider.as_ref().map(ToString::to_string);
    verdict.output_dir = Some(spec.output_dir.display().to_string());
    let found = match state.providers.get(spec.provider.as_ref()) {
        Ok(provider) => forecast(&provider, &vm, &spec, &state.limits, PreflightDepth::Thorough).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(found) => {
            verdict.valid =
                found.preflight.findings.iter().all(|finding| finding.level != FindingLevel::Error);
            verdict.findings = found.preflight.findings.into_iter().map(FindingView::from).collect();
            verdict.expected_bytes = found.preflight.expected_bytes;
            verdict.expected_seconds = found.expected_time.map(|time| time.as_secs());
        }
        Err(error) => {
            tracing::warn!(vm = %vm.id, "check before export: {}", error.chain());
            verdict.errors.push(FieldError::new("vm_path", explain_safely(&error)));
        }
    }
    verdict
}
