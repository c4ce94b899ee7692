//! The dashboard at `/web/dashboard/`: files in the binary, as they are, for browsers.
//!
//! What it shows it asks the API for, like any other client. Its files hold nothing secret and open to everybody, so
//! that there is something to log in with; whoever still has to is sent from the page to the login.

mod files;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::ApiState;
use super::problem::Problem;
use crate::auth::Identity;

/// Where it is.
const HOME: &str = "/web/dashboard/";

/// Nothing but this daemon's own files, and no text that could act as script or style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/", get(home))
        .route("/web/dashboard", get(home))
        .route("/web/dashboard/", get(page))
        .route("/web/dashboard/{*file}", get(file))
}

async fn home(State(state): State<ApiState>, uri: Uri) -> Response {
    if !state.dashboard {
        return absent(&uri);
    }
    Redirect::temporary(HOME).into_response()
}

async fn page(
    State(state): State<ApiState>,
    Extension(identity): Extension<Identity>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if state.dashboard && identity.is_nobody() {
        return ([(header::CACHE_CONTROL, "no-store")], Redirect::to("/web/dashboard/login.html"))
            .into_response();
    }
    answer(&state, "index.html", &uri, &headers)
}

async fn file(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    answer(&state, &name, &uri, &headers)
}

fn answer(state: &ApiState, name: &str, uri: &Uri, request: &HeaderMap) -> Response {
    let Some(file) = files::find(name).filter(|_| state.dashboard) else { return absent(uri) };
    // A browser asks each time whether it has the one of this build.
    let known = request.get(header::IF_NONE_MATCH).is_some_and(|value| value == file.etag);
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { file.bytes.into_response() };
    let headers = response.headers_mut();
    let fixed = HeaderValue::from_static;
    headers.insert(header::CONTENT_TYPE, fixed(file.media_type));
    headers.insert(header::ETAG, file.etag.clone());
    headers.insert(header::CACHE_CONTROL, fixed("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, fixed(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(header::REFERRER_POLICY, fixed("same-origin"));
    response
}

fn absent(uri: &Uri) -> Response {
    Problem::not_found(format!("there is nothing at {}", uri.path())).into_response()
}
