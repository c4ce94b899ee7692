//! What every request passes through: an id, a log line, and problems in one form.

use std::any::Any;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ApiState;
use super::problem::Problem;

/// The id, as an extension of the request.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request an id (its own if it brought a reasonable one), puts the id into the answer, and logs.
pub(super) async fn envelope(mut request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()))
        .map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(RequestId(id.clone()));
    let began = Instant::now();
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        if let Some(internal) = problem.internal_text() {
            tracing::error!(request_id = %id, %method, %path, status = problem.status().as_u16(), "{internal}");
        }
        response = problem.with_request_id(&id).into_response();
    }
    tracing::debug!(request_id = %id, %method, %path, status = response.status().as_u16(),
        millis = began.elapsed().as_secs_f64() * 1000.0, "request");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Counts requests by the route that answered them.
pub(super) async fn count(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let (method, route) = (request.method().clone(), request.extensions().get::<MatchedPath>().cloned());
    let began = Instant::now();
    let response = next.run(request).await;
    let route = route.as_ref().map(MatchedPath::as_str);
    state.metrics.answered(&method, route, response.status(), began.elapsed());
    response
}

/// A handler that panicked is a failure like any other.
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Problem::internal(format!("a handler panicked: {text}")).into_response()
}
