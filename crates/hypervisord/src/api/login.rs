//! Sessions for people with browsers: a cookie that no script can read.

use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form, Json};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Document, NoFields};
use super::fields::Fields;
use super::openapi::words;
use super::problem::Problem;
use super::{ApiState, access, audit};
use crate::auth::{Auth, COOKIE, Entry, Identity, Refusal, Role, Session};
use crate::server::Peer;

/// Where a form leads to.
const HOME: &str = "/web/dashboard/";

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(logout)).routes(routes!(session))
}

/// Either `token`, or `username` and `password`.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Credentials {
    token: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct SessionView {
    name: String,
    #[schema(schema_with = words::role)]
    role: Role,
    /// For `X-CSRF-Token`; `null` where there is no session by cookie
    csrf_token: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    /// Whether `auth` is configured
    login_required: bool,
}

/// Begin a session by cookie
///
/// From a form it leads to the dashboard.
#[utoipa::path(post, path = "/login", tag = "access", request_body(content(
    (Credentials = "application/json"), (Credentials = "application/x-www-form-urlencoded"),
)), responses(
    (status = 200, body = SessionView, description = "Who one is now; with the cookie"),
    (status = 303, description = "To the dashboard; with the cookie"),
))]
async fn login(State(state): State<ApiState>, request: Request) -> Result<Response, Problem> {
    let Some(auth) = &state.access.auth else {
        return Err(Problem::new(StatusCode::CONFLICT, "nobody has to log in here: auth is not configured"));
    };
    let (head, body) = request.into_parts();
    let client = access::client(&head);
    let is_tls = head.extensions.get::<Peer>().is_some_and(|peer| peer.tls);
    let asked = audit::Asked::of(&head, &Identity::nobody(), client);
    let (credentials, is_form) = read(Request::from_parts(head.clone(), body)).await?;
    let found = match credentials {
        Credentials { token: Some(token), username: None, password: None } => {
            auth.token(token.trim(), client).await
        }
        Credentials { token: None, username: Some(user), password: Some(password) } => {
            auth.password(&user, &password, client).await
        }
        _ => return Err(Problem::malformed("give either token, or username and password")),
    };
    let identity = match found {
        Ok(identity) => identity,
        Err(refusal) => {
            if refusal == Refusal::Wrong {
                audit::record(&state, asked, StatusCode::UNAUTHORIZED).await;
            }
            return Err(access::refused(auth, &head, refusal));
        }
    };
    audit::record(&state, asked.by(identity.name.clone(), identity.role.to_string()), StatusCode::OK).await;
    let (session, secret) = auth.begin(identity);
    let mut response =
        if is_form { Redirect::to(HOME).into_response() } else { Json(shown(&session)).into_response() };
    set_cookie(&mut response, &secret, auth.session_lifetime().as_secs(), is_tls);
    Ok(response)
}

async fn read(request: Request) -> Result<(Credentials, bool), Problem> {
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| text.starts_with("application/x-www-form-urlencoded"));
    if is_form {
        let Form(credentials) = Form::<Credentials>::from_request(request, &())
            .await
            .map_err(|rejection| Problem::malformed(rejection.body_text()))?;
        return Ok((credentials, true));
    }
    let Document(body) = Document::from_request(request, &()).await?;
    let mut fields = Fields::open("", body).map_err(|error| Problem::malformed(error.message))?;
    let credentials = Credentials {
        token: fields.text("token"),
        username: fields.text("username"),
        password: fields.text("password"),
    };
    let errors = fields.close();
    if errors.is_empty() { Ok((credentials, false)) } else { Err(Problem::invalid(errors)) }
}

/// End the session of the cookie, if there is one
#[utoipa::path(post, path = "/logout", tag = "access", responses((status = 204, description = "There is none now")))]
async fn logout(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Extension(_): Extension<Identity>,
    _: NoFields,
) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(auth) = &state.access.auth
        && let Some(session) = of_cookie(auth, &headers).await
    {
        auth.end(&session);
    }
    set_cookie(&mut response, "", 0, false);
    response
}

/// Who one is
#[utoipa::path(get, path = "/session", tag = "access", responses((status = 200, body = SessionView, description = "That")))]
async fn session(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Extension(identity): Extension<Identity>,
) -> Json<SessionView> {
    if let Some(auth) = &state.access.auth
        && let Some(session) = of_cookie(auth, &headers).await
    {
        return Json(shown(&session));
    }
    Json(SessionView {
        name: identity.name,
        role: identity.role,
        csrf_token: None,
        expires_at: None,
        login_required: state.access.auth.is_some(),
    })
}

async fn of_cookie(auth: &Auth, headers: &HeaderMap) -> Option<Session> {
    if headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    // Without credentials nothing is counted against an address.
    match auth.authenticate(headers, std::net::Ipv4Addr::LOCALHOST.into()).await {
        Ok(Entry::Cookie(session)) => Some(session),
        _ => None,
    }
}

fn shown(session: &Session) -> SessionView {
    SessionView {
        name: session.identity.name.clone(),
        role: session.identity.role,
        csrf_token: Some(session.csrf.clone()),
        expires_at: Some(session.expires_at),
        login_required: true,
    }
}

fn set_cookie(response: &mut Response, secret: &str, seconds: u64, is_tls: bool) {
    let secure = if is_tls { "; Secure" } else { "" };
    let text = format!("{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    let value = HeaderValue::from_str(&text).expect("hexadecimal and ASCII");
    response.headers_mut().insert(header::SET_COOKIE, value);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
