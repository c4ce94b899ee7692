//! Calls over HTTP: one POST a call, with a time limit and a bounded retry of what may be repeated.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use hypersdk_core::{Error, ErrorKind, RetryHint};
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderValue, RETRY_AFTER, SET_COOKIE};
use reqwest::{Response, StatusCode};
use tracing::Instrument;
use url::Url;

use super::element::Malformed;
use super::envelope::{Call, request};
use super::fault::Fault;
use crate::http::{self, TransportError};

/// The largest reply that is read; a page of a large inventory is a few MiB.
const MAX_REPLY_BYTES: usize = 256 << 20;

/// The cookie that carries a vSphere session.
const SESSION_COOKIE: &str = "vmware_soap_session";

/// A session cookie as it is sent back.
pub(crate) type Cookie = HeaderValue;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("{0}")]
    Fault(Box<Fault>),
    #[error("{0}")]
    Transport(TransportError),
    #[error("HTTP status {status}")]
    Status { status: StatusCode, retry_after: Option<Duration> },
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// The session was renewed, and what the call named went with the old one.
    #[error("the session was renewed")]
    SessionReplaced,
}

impl CallError {
    /// The fault, if it is one.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        match self {
            CallError::Fault(fault) => Some(fault),
            _ => None,
        }
    }

    /// True if the reply may have been lost after the server did the work.
    pub(crate) fn leaves_doubt(&self) -> bool {
        match self {
            CallError::Transport(error) => !error.never_sent(),
            CallError::Status { .. } | CallError::Malformed(_) => true,
            CallError::Fault(_) | CallError::SessionReplaced => false,
        }
    }

    /// True if a repetition of an idempotent call can help.
    fn passes(&self) -> bool {
        match self {
            CallError::Transport(error) => error.passes(),
            CallError::Status { status, .. } => matches!(status.as_u16(), 502..=504),
            CallError::Fault(_) | CallError::Malformed(_) | CallError::SessionReplaced => false,
        }
    }

    /// The core error it becomes.
    pub(crate) fn into_error(self, operation: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        match self {
            CallError::Fault(fault) => fault.into_error(operation),
            CallError::Transport(error) => error.into_error(operation),
            CallError::Status { status, retry_after } => {
                let kind = if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                    ErrorKind::Unavailable
                } else {
                    ErrorKind::Internal
                };
                let error = Error::new(kind, operation, format!("the server answered HTTP {status}"));
                match retry_after {
                    Some(after) if error.is_retryable() => error.with_retry(RetryHint::After(after)),
                    _ if status == StatusCode::NOT_FOUND => {
                        error.with_advice("check the url: it does not lead to a vSphere API")
                    }
                    _ => error,
                }
            }
            CallError::Malformed(error) => {
                Error::new(ErrorKind::Internal, operation, format!("unexpected reply: {error}"))
            }
            CallError::SessionReplaced => {
                Error::new(ErrorKind::Unavailable, operation, "the session ended in the middle")
            }
        }
    }
}

/// A reply, with the session cookie if the server set one.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    pub(crate) value: T,
    pub(crate) cookie: Option<Cookie>,
}

/// Speaks to one endpoint in one API version. Knows no session: the cookie is the caller's.
#[derive(Debug, Clone)]
pub(crate) struct SoapClient {
    http: reqwest::Client,
    url: Url,
    action: HeaderValue,
    timeout: Duration,
}

impl SoapClient {
    /// A client for `url` (ending in `/sdk`) that asks for API `version`, e.g. `8.0.2.0`.
    pub(crate) fn new(http: reqwest::Client, url: Url, version: &str, timeout: Duration) -> Self {
        let action = HeaderValue::from_str(&format!("urn:vim25/{version}"))
            .unwrap_or_else(|_| HeaderValue::from_static("urn:vim25"));
        SoapClient { http, url, action, timeout }
    }

    /// Calls a method. Transport errors and 502 to 504 are retried with jitter if the call is idempotent.
    pub(crate) async fn call<C: Call>(
        &self,
        call: &C,
        op_id: &str,
        cookie: Option<&Cookie>,
    ) -> Result<Reply<C::Reply>, CallError> {
        let span = tracing::debug_span!("soap", method = C::METHOD, object = %call.this().id, op_id);
        async {
            let body: Arc<str> = request(call, op_id).into();
            let attempt = || self.attempt(call, Arc::clone(&body), cookie);
            let retries = if C::IDEMPOTENT { 2 } else { 0 };
            let backoff = ExponentialBuilder::default()
                .with_min_delay(Duration::from_millis(150))
                .with_max_delay(Duration::from_secs(3))
                .with_max_times(retries)
                .with_jitter();
            let result = attempt
                .retry(backoff)
                .when(CallError::passes)
                .notify(|error: &CallError, delay: Duration| {
                    tracing::debug!(%error, ?delay, "call is repeated");
                })
                .await;
            match &result {
                Ok(_) => tracing::trace!("answered"),
                Err(error) => tracing::debug!(%error, "failed"),
            }
            result
        }
        .instrument(span)
        .await
    }

    async fn attempt<C: Call>(
        &self,
        call: &C,
        body: Arc<str>,
        cookie: Option<&Cookie>,
    ) -> Result<Reply<C::Reply>, CallError> {
        let mut request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "text/xml; charset=\"utf-8\"")
            .header("SOAPAction", self.action.clone())
            .body(body.as_bytes().to_vec());
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie.clone());
        }
        let exchange = async {
            let response = request.send().await.map_err(|error| http::classify(&error))?;
            let (status, cookie, retry_after) =
                (response.status(), session_cookie(&response), retry_after(&response));
            let text = read_text(response).await?;
            Ok::<_, CallError>((status, cookie, retry_after, text))
        };
        let limit = self.timeout + call.patience();
        let (status, cookie, retry_after, text) = tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| CallError::Transport(TransportError::Timeout { after: limit }))??;
        // 200 carries a reply and 500 a fault; anything else is a proxy's or web server's own page.
        if status != StatusCode::OK && status != StatusCode::INTERNAL_SERVER_ERROR {
            return Err(CallError::Status { status, retry_after });
        }
        match call.read(text) {
            Err(CallError::Malformed(_)) if status != StatusCode::OK => {
                Err(CallError::Status { status, retry_after })
            }
            read => Ok(Reply { value: read?, cookie }),
        }
    }
}

async fn read_text(mut response: Response) -> Result<String, CallError> {
    let mut body = Vec::with_capacity(response.content_length().unwrap_or(0).min(8 << 20) as usize);
    while let Some(chunk) = response.chunk().await.map_err(|error| http::classify(&error))? {
        if body.len() + chunk.len() > MAX_REPLY_BYTES {
            return Err(Malformed(format!("the reply is larger than {MAX_REPLY_BYTES} bytes")).into());
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| Malformed("the reply is not UTF-8".to_owned()).into())
}

impl From<TransportError> for CallError {
    fn from(error: TransportError) -> Self {
        CallError::Transport(error)
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The session cookie a response sets, as `name=value` to send back.
fn session_cookie(response: &Response) -> Option<Cookie> {
    response.headers().get_all(SET_COOKIE).iter().find_map(|header| {
        let pair = header.to_str().ok()?.split(';').next()?.trim();
        let (name, value) = pair.split_once('=')?;
        let live = name == SESSION_COOKIE && !value.trim_matches('"').is_empty();
        let mut cookie = if live { HeaderValue::from_str(pair).ok()? } else { return None };
        cookie.set_sensitive(true);
        Some(cookie)
    })
}
