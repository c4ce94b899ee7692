//! The one place where errors become RFC 9457 problem details.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hypersdk_core::{Error, ErrorKind, RetryHint};
use serde::Serialize;

/// The media type of a problem.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// When to try again what cannot be done now, unless somebody has said.
const SOON_SECONDS: u64 = 5;

/// A field of the request and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct FieldError {
    /// The field's path, e.g. `jobs[1].output_dir`.
    pub(crate) field: String,
    /// What is wrong and what to write instead.
    pub(crate) message: String,
}

impl FieldError {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        FieldError { field: field.into(), message: message.into() }
    }
}

/// How a problem looks, RFC 9457.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes what Details writes")]
pub(super) struct ProblemView {
    r#type: String,
    title: String,
    status: u16,
    /// For people: what went wrong and what to do about it.
    detail: String,
    #[schema(required = false)]
    errors: Vec<FieldError>,
    #[schema(required = false, nullable = false)]
    request_id: Option<String>,
}

/// An answer that says what went wrong.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Problem(Box<Details>);

#[derive(Debug, Clone, Serialize)]
struct Details {
    r#type: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// What really happened: for the log, never for the answer.
    #[serde(skip)]
    internal: Option<String>,
    #[serde(skip)]
    retry_after_seconds: Option<u64>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What a kind of error means over HTTP.
///
/// An account that the *source* refuses is no fault of whoever calls us, so it is a bad gateway.
fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Invalid | ErrorKind::Unsupported => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::Unauthenticated | ErrorKind::Corrupt => StatusCode::BAD_GATEWAY,
        ErrorKind::Unavailable | ErrorKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        // Heals by itself once somebody has made room, which clients know how to wait for.
        ErrorKind::NoSpace => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The detail of an error whose real text stays in the log.
fn fixed_detail(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_GATEWAY => {
            "the source of the VMs refused the configured account or gave an unusable answer"
        }
        StatusCode::SERVICE_UNAVAILABLE => "a part this needs cannot be reached now; try again later",
        StatusCode::GATEWAY_TIMEOUT => "the source of the VMs did not answer in time; try again later",
        _ => "the daemon failed",
    }
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Problem(Box::new(Details {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            errors: Vec::new(),
            request_id: None,
            internal: None,
            retry_after_seconds: None,
            headers: Vec::new(),
        }))
    }

    /// Input that is malformed as a whole.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Input whose fields are wrong.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the request has wrong fields").with_errors(errors)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    /// A failure of our own; `internal` goes to the log.
    pub(crate) fn internal(internal: impl Into<String>) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let mut problem = Problem::new(status, fixed_detail(status));
        problem.0.internal = Some(internal.into());
        problem
    }

    pub(crate) fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// With a header beside those that every problem has.
    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    pub(super) fn with_request_id(mut self, id: &str) -> Self {
        self.0.request_id = Some(id.to_owned());
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What to log: the real chain of a failure of ours.
    pub(super) fn internal_text(&self) -> Option<&str> {
        self.0.internal.as_deref()
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

/// The message for people: what went wrong and what to do about it.
pub(crate) fn explain(error: &Error) -> String {
    match error.advice() {
        Some(advice) => format!("{}; {advice}", error.message()),
        None => error.message().to_owned(),
    }
}

/// As [`explain`], but with nothing of the inside if the failure is ours or the source's.
pub(crate) fn explain_safely(error: &Error) -> String {
    let status = status_of(error.kind());
    if !status.is_server_error() {
        return explain(error);
    }
    if error.kind() == ErrorKind::NoSpace {
        return match error.advice() {
            Some(advice) => format!("the disk is full; {advice}"),
            None => "the disk is full".to_owned(),
        };
    }
    match error.advice() {
        // Advice is written for people; only the message may hold what is inside.
        Some(advice) if !error.is_retryable() => advice.to_owned(),
        _ => fixed_detail(status).to_owned(),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = status_of(error.kind());
        let mut problem = Problem::new(status, explain_safely(&error));
        if status.is_server_error() {
            problem.0.internal = Some(error.chain());
        }
        if let RetryHint::After(delay) = error.retry() {
            problem.0.retry_after_seconds = Some(delay.as_secs().max(1));
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        // What is away now may be back in a moment, and nobody knows better than that.
        let soon = (self.0.status == StatusCode::SERVICE_UNAVAILABLE).then_some(SOON_SECONDS);
        if let Some(seconds) = self.0.retry_after_seconds.or(soon) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        for (name, value) in &self.0.headers {
            headers.append(name, value.clone());
        }
        // The outermost layer adds the request's id and logs what stays inside.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_a_deliberate_status() {
        for kind in ErrorKind::ALL {
            let expected = match kind {
                ErrorKind::NotFound => 404,
                ErrorKind::Unauthenticated | ErrorKind::Corrupt => 502,
                ErrorKind::PermissionDenied => 403,
                ErrorKind::Conflict => 409,
                ErrorKind::Invalid | ErrorKind::Unsupported => 422,
                ErrorKind::Unavailable | ErrorKind::Cancelled => 503,
                ErrorKind::Timeout => 504,
                ErrorKind::NoSpace => 503,
                ErrorKind::Internal => 500,
                other => panic!("{other} has no status yet"),
            };
            assert_eq!(status_of(kind).as_u16(), expected, "{kind}");
        }
    }

    #[test]
    fn what_failed_inside_is_for_the_log_only() {
        for kind in ErrorKind::ALL.into_iter().filter(|kind| status_of(*kind).is_server_error()) {
            let problem = Problem::from(Error::new(kind, "login", "user root at 10.0.0.7 refused"));
            let shown = serde_json::to_string(&problem).unwrap();
            assert!(!shown.contains("10.0.0.7"), "{shown}");
            assert!(problem.internal_text().unwrap().contains("10.0.0.7"));
        }
    }

    #[test]
    fn a_source_that_names_a_delay_is_passed_on() {
        let error = Error::new(ErrorKind::Unavailable, "list", "busy")
            .with_retry(RetryHint::After(std::time::Duration::from_secs(7)));
        assert_eq!(Problem::from(error).into_response().headers()[header::RETRY_AFTER], "7");
        for (kind, expected) in [(ErrorKind::Unavailable, Some("5")), (ErrorKind::NotFound, None)] {
            let response = Problem::from(Error::new(kind, "list", "away")).into_response();
            let found = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            assert_eq!(found, expected, "{kind}");
        }
    }
}
