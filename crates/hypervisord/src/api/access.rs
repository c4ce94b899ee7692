//! Who may do what: one table of routes, and the layer that keeps to it.
//!
//! A route without a line here is an administrator's. Where no authentication is configured everybody is one;
//! then the daemon answers to its own names only and takes no orders from pages of other origins, so that no
//! web site can drive a daemon on the machine it is looked at from.

mod origin;
mod table;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::{ApiState, audit};
use crate::auth::{Auth, Entry, Identity, Refusal, Role, Throttle};
use crate::server::Peer;

pub(super) use table::{Least, TABLE};

/// Who is let in, and how often.
#[derive(Debug)]
pub(crate) struct Access {
    /// `None` lets everybody in.
    pub(crate) auth: Option<Auth>,
    /// Only requests for these hosts are answered; any if `None`.
    pub(crate) hosts: Option<Vec<String>>,
    /// How many requests an address may send.
    pub(crate) rate: Option<Throttle>,
}

impl Access {
    /// Everybody may do everything, under any name.
    #[cfg(test)]
    pub(crate) fn open() -> Self {
        Access { auth: None, hosts: None, rate: None }
    }

    /// A limit of so many requests a minute, all of which may come at once.
    pub(crate) fn per_minute(requests: u32) -> Option<Throttle> {
        (requests > 0).then(|| Throttle::new(requests, Duration::from_secs(60) / requests))
    }
}

/// The address a request came from.
pub(super) fn client(request: &Parts) -> IpAddr {
    request.extensions.get::<Peer>().map_or(Ipv4Addr::LOCALHOST.into(), |peer| peer.addr.ip())
}

/// Lets a request pass if whoever sent it may do what it asks, and notes in the audit log what became of it.
pub(super) async fn guard(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let client = client(&parts);
    let identity = match admit(&state.access, &parts, client).await {
        Ok(identity) => identity,
        Err(Turned { response, identity: Some(identity) }) => {
            audit::record(&state, audit::Asked::of(&parts, &identity, client), response.status()).await;
            return response;
        }
        Err(Turned { response, .. }) => return response,
    };
    let asked = (!parts.method.is_safe() && !identity.is_nobody())
        .then(|| audit::Asked::of(&parts, &identity, client));
    parts.extensions.insert(identity);
    let response = next.run(Request::from_parts(parts, body)).await;
    if let Some(asked) = asked {
        audit::record(&state, asked, response.status()).await;
    }
    response
}

/// A request that is not let in.
struct Turned {
    response: Response,
    /// Who sent it, if that is known.
    identity: Option<Identity>,
}

impl From<Problem> for Turned {
    fn from(problem: Problem) -> Self {
        Turned { response: problem.into_response(), identity: None }
    }
}

async fn admit(access: &Access, request: &Parts, client: IpAddr) -> Result<Identity, Turned> {
    if let Some(wait) = access.rate.as_ref().and_then(|rate| rate.take(client)) {
        return Err(too_many("this address sends too many requests", wait.as_secs().max(1)).into());
    }
    if let Some(hosts) = &access.hosts
        && !origin::is_for(request, hosts)
    {
        let detail =
            "the daemon is not known under this name; use localhost, or name it in server.allowed_hosts";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).into());
    }
    let origin = origin::of(request);
    if !request.method.is_safe() && origin == origin::Origin::Foreign {
        let detail = "a page of another origin may not ask for this";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail).into());
    }
    let path = request.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    let least = path.map_or(Least::Role(Role::Viewer), |path| table::least(&request.method, path));
    let Some(auth) = &access.auth else { return Ok(Identity::anonymous()) };
    let identity = match (auth.authenticate(&request.headers, client).await, least) {
        (Ok(Entry::Credentials(identity)), _) => identity,
        (Ok(Entry::Cookie(session)), _) => {
            let shows = request.headers.get("x-csrf-token").is_some_and(|token| {
                subtle::ConstantTimeEq::ct_eq(token.as_bytes(), session.csrf.as_bytes()).into()
            });
            if !request.method.is_safe() && origin != origin::Origin::Same && !shows {
                let detail = "a request by cookie must come from a page of this daemon: send X-CSRF-Token";
                return Err(Problem::new(StatusCode::FORBIDDEN, detail).into());
            }
            session.identity
        }
        (Err(_), Least::Open) => return Ok(Identity::nobody()),
        (Err(refusal), _) => return Err(refused(auth, request, refusal).into()),
    };
    match least {
        Least::Role(role) if identity.role < role => {
            let detail =
                format!("this needs the role {role}, and {} has the role {}", identity.name, identity.role);
            let response = Problem::new(StatusCode::FORBIDDEN, detail).into_response();
            Err(Turned { response, identity: Some(identity) })
        }
        _ => Ok(identity),
    }
}

/// The answer to whoever has not proved who they are.
pub(super) fn refused(auth: &Auth, request: &Parts, refusal: Refusal) -> Problem {
    let detail = match refusal {
        Refusal::Missing => "send Authorization: Bearer TOKEN; `hypervisord token create` makes one",
        Refusal::Wrong => "these credentials are not good",
        Refusal::TooMany { seconds } => {
            return too_many("too many wrong credentials came from this address", seconds);
        }
    };
    let problem = Problem::new(StatusCode::UNAUTHORIZED, detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"hypersdk\""));
    // A browser would ask for a password in a window of its own, instead of the page.
    if auth.has_users() && !request.headers.contains_key("sec-fetch-site") {
        let basic = HeaderValue::from_static("Basic realm=\"hypersdk\", charset=\"UTF-8\"");
        return problem.with_header(header::WWW_AUTHENTICATE, basic);
    }
    problem
}

fn too_many(detail: &str, seconds: u64) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
}

/// What the log and the audit log call a request.
pub(super) fn route_of(request: &Parts) -> String {
    let path = request.extensions.get::<MatchedPath>().map_or("(none)", MatchedPath::as_str);
    format!("{} {path}", method_of(&request.method))
}

/// The method, as the table names it.
fn method_of(method: &Method) -> &str {
    if method == Method::HEAD { "GET" } else { method.as_str() }
}
