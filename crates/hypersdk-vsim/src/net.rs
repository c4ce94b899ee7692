//! Sockets: TLS, HTTP, and what is served over them.

mod connection;
mod control;
mod download;
mod nfc;
mod sdk;
mod tls;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};

pub(crate) use connection::{Peer, serve};
pub(crate) use tls::Identity;

/// Body of a reply: whole, or streamed and possibly broken off.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

pub(crate) mod routes {
    pub(crate) use super::control::route as control;
    pub(crate) use super::nfc::route as nfc;
    pub(crate) use super::sdk::route as sdk;
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

fn plain(status: StatusCode, words: impl Into<Bytes>) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", words)
}
