//! What handlers take from a request, with refusals as problems.

use std::time::Duration;

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use hypersdk_core::JobId;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fields::Fields;
use super::problem::Problem;

/// How long a body may take to come.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// A body of JSON or YAML, by its content type.
///
/// Any other type is refused, also because a web page may send those across origins without being asked.
#[derive(Debug)]
pub(super) struct Document(pub(super) Value);

impl<S: Send + Sync> FromRequest<S> for Document {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = Kind::of(request.headers())?;
        let body = read(request, state).await?;
        kind.parse(&body).map(Document)
    }
}

/// No body, or one without a field: what somebody gives along in vain is refused by name.
#[derive(Debug)]
pub(super) struct NoFields;

impl<S: Send + Sync> FromRequest<S> for NoFields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = Kind::of(request.headers());
        let body = read(request, state).await?;
        if body.is_empty() {
            return Ok(NoFields);
        }
        let value = kind?.parse(&body)?;
        let fields = Fields::open("", value).map_err(|error| Problem::malformed(error.message))?;
        let errors = fields.close();
        if errors.is_empty() { Ok(NoFields) } else { Err(Problem::invalid(errors)) }
    }
}

/// What a body is written in.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Json,
    Yaml,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.split(';').next())
            .map(|text| text.trim().to_ascii_lowercase())
            .unwrap_or_default();
        match content_type.as_str() {
            "application/json" => Ok(Kind::Json),
            "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => Ok(Kind::Yaml),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send Content-Type: application/json or application/yaml",
            )),
        }
    }

    fn parse(self, body: &[u8]) -> Result<Value, Problem> {
        match self {
            Kind::Json => json(body),
            Kind::Yaml => yaml(body),
        }
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    // What is too large by its own word is not waited for.
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse::<u64>().ok()) > Some(super::BODY_LIMIT_BYTES as u64) {
        return Err(too_large());
    }
    tokio::time::timeout(BODY_PATIENCE, Bytes::from_request(request, state))
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))?
        .map_err(unreadable)
}

fn unreadable(rejection: BytesRejection) -> Problem {
    let status = rejection.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large();
    }
    Problem::malformed(format!("the body cannot be read: {}", rejection.body_text()))
}

fn too_large() -> Problem {
    let limit = super::BODY_LIMIT_BYTES;
    let detail = format!("the body is larger than {limit} bytes; send several requests");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

fn json(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::malformed(format!("the body is not JSON: {error}")))
}

fn yaml(body: &[u8]) -> Result<Value, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| Problem::malformed("the body is not UTF-8"))?;
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| Problem::malformed(format!("the body is not YAML: {}", error.without_snippet())))
}

/// The parameters of the query string.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Params(params)),
            Err(rejection) => Err(Problem::malformed(rejection.body_text())),
        }
    }
}

/// The job identifier in the path. What is no identifier names no job.
#[derive(Debug)]
pub(super) struct JobPath(pub(super) JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let TextPath(text) = TextPath::from_request_parts(parts, state).await?;
        text.parse().map(JobPath).map_err(|_| super::jobs::no_such_job(&text))
    }
}

/// The one parameter of the path, decoded.
#[derive(Debug)]
pub(super) struct TextPath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for TextPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(TextPath(text)),
            Err(rejection) => Err(Problem::malformed(rejection.body_text())),
        }
    }
}
